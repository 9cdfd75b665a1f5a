"""A run's folder: its lock, its configuration, its result."""

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
_BESIDE_RESULT = (TEST, REPORT, *(f"{PICTURES}/{name}.png" for name in _SHEETS))  # what a run leaves at its end


def new_folder(root: Path, name: str, now: datetime) -> Path:
    """A path for a new run that nothing stands at, such as `runs/20260131-095959-softmax-cifar10`."""
    stem = f"{now:%Y%m%d-%H%M%S}-{name}"
    candidates = (root / (stem if number == 1 else f"{stem}-{number}") for number in range(1, 10_000))
    return next(path for path in candidates if not path.exists())


class RunFolder:
    """The folder of one run, held by one process: use it as a context manager.

    The lock is the operating system's, on an open file: it goes when its process does, however that ends.

    Raises:
        ConfigError: its name is no UTF-8.
        RunError: the folder holds something that is not a run, or is in use.
        DiskError: here and where something is written, the folder cannot be.
    """

    def __init__(self, path: Path) -> None:
        checks.plain_text("run_dir", str(path))  # TensorFlow cannot write under another name
        self.path = path
        self.checkpoints = path / CHECKPOINTS
        self._lock = FileLock(path / _LOCK)
        self._ours = [path / _LOCK, unfinished(path / CONFIG)]  # what there may be of a run that has not started
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
        """Lets go of the folder. One in which no run was started is as it was: not there, if it was not."""
        with suppress(OSError):  # a folder that vanished, or may no longer be written: not to hide why the run ended
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
        """Removes what a write that was interrupted left behind, in the folder and those of the curves."""
        for leftover in (*self.path.glob(f"{UNFINISHED}*"), *self.path.glob(f"*/{UNFINISHED}*")):
            with suppress(OSError):  # a file that cannot go is in nobody's way, and a folder is a checkpoint's
                leftover.unlink()

    @property
    def is_started(self) -> bool:
        """Whether a run lives here."""
        return (self.path / CONFIG).is_file()

    def write_config(self, text: str) -> None:
        """Saves the effective flags of a run that starts or goes on; how it ended before, if it had, no longer counts.

        The result goes first: a kill in between must not leave a result that looks like the new configuration's.
        """
        with writing(self.path / RESULT):
            (self.path / RESULT).unlink(missing_ok=True)
        for name in _BESIDE_RESULT:
            with suppress(OSError):  # who wants to write it again will say what is wrong
                (self.path / name).unlink()
        self._write(CONFIG, text)

    def write_architecture(self, text: str) -> None:
        """Saves what the model is, so that it can be built again without the data."""
        self._write(ARCHITECTURE, text)

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Saves how the run ended."""
        self._write(RESULT, json.dumps(result, indent=2) + "\n")

    def _write(self, name: str, text: str) -> None:
        """A file whole or not at all."""
        with replacing(self.path / name) as scratch:
            scratch.write_text(text, encoding="utf-8")

    def read_result(self) -> dict[str, Any]:
        """How the run ended; empty while it has not.

        Raises:
            RunError: it is damaged, or no file.
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


def read_config(folder: Path) -> str:
    """The text of the flags of the run in `folder`.

    Raises:
        RunError: there is none, or it is no text of a size that flags have.
    """
    try:
        return read_text(folder / CONFIG)
    except (OSError, UnicodeDecodeError):
        raise RunError(f"{folder} is not a run folder: it has no readable {CONFIG}.") from None
