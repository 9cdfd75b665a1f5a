"""A run's folder: its lock, its configuration, its result."""

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tfcore.errors import RunError

CONFIG = "config.flags"
RESULT = "result.json"
_LOCK = ".lock"
CHECKPOINTS = "checkpoints"
ARCHITECTURE = "architecture.json"
_UNFINISHED = ".unfinished-"
_BEFORE_START = (_LOCK, _UNFINISHED + CONFIG)  # all that a start leaves which is killed before its run has begun


def new_folder(root: Path, name: str, now: datetime) -> Path:
    """A path for a new run that nothing stands at, such as `runs/20260131-095959-softmax-cifar10`."""
    stem = f"{now:%Y%m%d-%H%M%S}-{name}"
    candidates = (root / (stem if number == 1 else f"{stem}-{number}") for number in range(1, 10_000))
    return next(path for path in candidates if not path.exists())


class RunFolder:
    """The folder of one run, held by one process: use it as a context manager.

    The lock is the operating system's, on an open file: it goes when its process does, however that ends.

    Raises:
        RunError: the folder cannot be made or written, holds something that is not a run, or is in use.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / CHECKPOINTS
        self._lock = FileLock(path / _LOCK)
        self._made: list[Path] = []

    def __enter__(self) -> "RunFolder":
        try:
            self._made = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
            self.path.mkdir(parents=True, exist_ok=True)
            if not self.is_started and any(entry.name not in _BEFORE_START for entry in self.path.iterdir()):
                raise RunError(f"{self.path} holds files but no run ({CONFIG} is missing). Name another --run_dir.")
            self._lock.acquire(timeout=0)
        except Timeout:
            raise RunError(
                f"{self.path} is in use by another process. Wait for it, or name another --run_dir."
            ) from None
        except OSError as error:
            raise RunError(f"The run folder {self.path} cannot be written: {error.strerror}.") from error
        return self

    def __exit__(self, *_: object) -> None:
        """Lets go of the folder. One in which no run was started is as it was: not there, if it was not."""
        if not self.is_started:
            (self.path / _LOCK).unlink(missing_ok=True)
        self._lock.release()
        if not self.is_started:
            for folder in self._made:
                if not any(folder.iterdir()):
                    folder.rmdir()

    @property
    def is_started(self) -> bool:
        """Whether a run lives here."""
        return (self.path / CONFIG).is_file()

    def write_config(self, text: str) -> None:
        """Saves the effective flags of a run that starts or goes on; how it ended before, if it had, no longer counts.

        The result goes first: a kill in between must not leave a result that looks like the new configuration's.
        """
        (self.path / RESULT).unlink(missing_ok=True)
        write_whole(self.path / CONFIG, text)

    def write_architecture(self, text: str) -> None:
        """Saves what the model is, so that it can be built again without the data."""
        write_whole(self.path / ARCHITECTURE, text)

    def read_config(self) -> str:
        """The effective flags of the run that lives here."""
        return read_config(self.path)

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Saves how the run ended."""
        write_whole(self.path / RESULT, json.dumps(result, indent=2) + "\n")

    def read_result(self) -> dict[str, Any]:
        """How the run ended; empty while it has not."""
        path = self.path / RESULT
        try:
            result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
            if not isinstance(result, dict):
                raise ValueError("it is no JSON object")
        except (ValueError, OSError) as error:
            raise RunError(
                f"{path} cannot be read: {error}. Delete it, and the run goes on from its checkpoint."
            ) from error
        return result


def read_config(folder: Path) -> str:
    """The flags of the run in `folder`.

    Raises:
        RunError: there is none.
    """
    try:
        return (folder / CONFIG).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise RunError(f"{folder} is not a run folder: it has no readable {CONFIG}.") from None


def write_whole(path: Path, text: str) -> None:
    """Writes a file whole or not at all.

    Raises:
        RunError: it cannot be written.
    """
    scratch = path.with_name(_UNFINISHED + path.name)
    try:
        scratch.write_text(text, encoding="utf-8")
        os.replace(scratch, path)
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror}.") from error
