"""Manages a run's folder: its lock, its configuration, its result."""

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tfcore import checks
from tfcore.errors import DiskError, RunError
from tfcore.files import UNFINISHED, read_text, replacing, unfinished, writing

CONFIG = "config.flags"
RESULT = "result.json"
_LOCK = ".lock"
CHECKPOINTS = "checkpoints"
ARCHITECTURE = "architecture.json"
TEST = "test.json"  # all scores of the test split
PICTURES = "pictures"
REPORT = "report.html"
_SHEETS = ("batch", "filters", "feature_maps", "wrong_test")
_BESIDE_RESULT = (TEST, REPORT, *(f"{PICTURES}/{name}.png" for name in _SHEETS))  # written at the end of a run


def new_folder(root: Path, name: str, now: datetime) -> Path:
    """Returns an unused path for a new run, such as `runs/20260131-095959-softmax-cifar10`."""
    stem = f"{now:%Y%m%d-%H%M%S}-{name}"
    candidates = (root / (stem if number == 1 else f"{stem}-{number}") for number in range(1, 10_000))
    return next(path for path in candidates if not path.exists())


class RunFolder:
    """The folder of one run, held by one process: use it as a context manager.

    The lock is the operating system's, on an open file: it is released when the process ends, even if killed.

    Raises:
        ConfigError: its name is not valid UTF-8.
        RunError: the folder holds other files than a run's, or is in use.
        DiskError: the folder cannot be written; raised here and by all methods that write.
    """

    def __init__(self, path: Path) -> None:
        checks.plain_text("run_dir", str(path))  # TensorFlow cannot write under another name
        self.path = path
        self.checkpoints = path / CHECKPOINTS
        self._lock = FileLock(path / _LOCK)
        self._ours = [path / _LOCK, unfinished(path / CONFIG)]  # all files of a run that has not started
        self._made: list[Path] = []

    def __enter__(self) -> "RunFolder":
        try:
            self._made = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
            self.path.mkdir(parents=True, exist_ok=True)
            if not self.is_started and any(entry not in self._ours for entry in self.path.iterdir()):
                raise RunError(f"{self.path} holds files but no run ({CONFIG} is missing). Name another --run_dir.")
            self._lock.acquire(timeout=0)
        except Timeout:
            raise RunError(
                f"{self.path} is in use by another process. Wait for it, or name another --run_dir."
            ) from None
        except OSError as error:
            raise DiskError(f"The run folder {self.path} cannot be written: {error.strerror}.") from error
        return self

    def __exit__(self, *_: object) -> None:
        """Releases the folder; restores or removes it if no run was started."""
        with suppress(OSError):  # if the folder vanished or is read-only: must not hide the error that ended the run
            self._clear()
        self._lock.release()

    def _clear(self) -> None:
        if self.is_started:
            return
        for path in self._ours:
            path.unlink(missing_ok=True)
        for folder in self._made:
            if not any(folder.iterdir()):
                folder.rmdir()

    def sweep(self) -> None:
        """Removes temporary files of interrupted writes from the folder and its subfolders."""
        for leftover in (*self.path.glob(f"{UNFINISHED}*"), *self.path.glob(f"*/{UNFINISHED}*")):
            with suppress(OSError):  # a file that cannot be deleted does no harm; a folder is a checkpoint's
                leftover.unlink()

    @property
    def is_started(self) -> bool:
        """Whether the folder holds a run."""
        return (self.path / CONFIG).is_file()

    def write_config(self, text: str) -> None:
        """Saves the effective flags of a run that starts or resumes, and removes the result of an earlier part.

        The result is removed first: after a kill in between, no old result may stand beside the new configuration.
        """
        with writing(self.path / RESULT):
            (self.path / RESULT).unlink(missing_ok=True)
        for name in _BESIDE_RESULT:
            with suppress(OSError):  # a later write to it reports the error
                (self.path / name).unlink()
        self._write(CONFIG, text)

    def write_architecture(self, text: str) -> None:
        """Saves the architecture, so that the model can be built again without the data."""
        self._write(ARCHITECTURE, text)

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Saves the result of the run."""
        self._write(RESULT, json.dumps(result, indent=2) + "\n")

    def _write(self, name: str, text: str) -> None:
        """Writes a file atomically."""
        with replacing(self.path / name) as scratch:
            scratch.write_text(text, encoding="utf-8")

    def read_result(self) -> dict[str, Any]:
        """Reads the result of the run; empty while it has none.

        Raises:
            RunError: it is damaged, or no regular file.
        """
        path = self.path / RESULT
        try:
            result: dict[str, Any] = json.loads(read_text(path))
            if not isinstance(result, dict):
                raise ValueError("it is no JSON object")
        except FileNotFoundError:
            return {}
        except (ValueError, RecursionError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise RunError(
                f"{path} cannot be read: {reason}. Delete it, and the run goes on from its checkpoint."
            ) from error
        return result


class UnwrittenFolder(RunFolder):
    """A run's folder for a worker that neither locks nor changes it; it need not exist on the worker's machine."""

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, *_: object) -> None:
        """Releases nothing."""

    def sweep(self) -> None:
        """Removes nothing."""

    def write_config(self, text: str) -> None:
        """Leaves the folder as it is."""

    def _write(self, name: str, text: str) -> None:
        """Leaves the folder as it is."""


def read_config(folder: Path) -> str:
    """Reads the flags of the run in `folder`, as text.

    Raises:
        RunError: there is none, it is too large, or it is no text.
    """
    try:
        return read_text(folder / CONFIG)
    except (OSError, UnicodeDecodeError):
        raise RunError(f"{folder} is not a run folder: it has no readable {CONFIG}.") from None
