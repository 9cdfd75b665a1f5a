"""A scratch folder inside the data folder, for one process at a time."""

import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_PREFIX = ".scratch-"


@contextmanager
def scratch_folder(data_dir: Path) -> Iterator[Path]:
    """Creates a folder in the data folder and deletes it after the block; waits for a process that has one.

    Folders that are there already belong to processes that were killed, and are deleted.

    Args:
        data_dir: the data folder; created if missing.

    Raises:
        OSError: the data folder cannot be written.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    with _locked(data_dir / ".lock"):
        for leftover in data_dir.glob(f"{_PREFIX}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=data_dir) as folder:
            yield Path(folder)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds the file's lock and deletes the file at the end; filelock would leave it among the user's data."""
    while True:
        with path.open("w") as file:
            _wait_for(file)
            if not os.fstat(
                file.fileno()
            ).st_nlink:  # deleted by its holder meanwhile: another process may lock a new file
                continue
            try:
                yield
            finally:
                with suppress(OSError):  # the folder was deleted or became read-only
                    path.unlink()
            return


def _wait_for(file: IO[str]) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"Waiting for another process that works in {Path(file.name).parent}.", file=sys.stderr)
        fcntl.flock(file, fcntl.LOCK_EX)
