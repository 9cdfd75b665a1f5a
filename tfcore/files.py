"""Files and folders that appear whole or not at all, and replace nothing."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tfcore.errors import RunError


def refuse_existing(path: Path) -> None:
    """Raises RunError where something is at `path`: nothing is ever overwritten in silence."""
    if os.path.lexists(path):
        raise RunError(f"{path} is there already. Name another place, or delete it first.")


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A place beside `path` to write a file or folder to; what is there at the end of the block becomes `path`.

    Raises:
        RunError: something is at `path` already, or it cannot be written; then nothing is left behind.
    """
    refuse_existing(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=path.parent) as folder:
            scratch = Path(folder) / path.name
            yield scratch
            _sync(scratch)
            refuse_existing(path)  # writing took a while, and renaming would replace a file
            scratch.rename(path)
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror or error}.") from error


def _sync(path: Path) -> None:
    """Puts the files on the disk before the rename that declares them complete."""
    for part in (path, *path.rglob("*")):
        if part.is_file():
            with part.open("rb") as file:
                os.fsync(file.fileno())
