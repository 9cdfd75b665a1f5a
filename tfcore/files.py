"""Files that are read without waiting and in bounded memory; and such as appear whole or not at all."""

import errno
import io
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tfcore.errors import RunError

TEXT_BYTES = 1 << 24  # more than any text of ours has: flags, a result, an architecture with its names of classes


def open_file(path: str | Path) -> io.BufferedReader:
    """Opens a file for reading, and never waits: opening a pipe would, until somebody writes to it.

    Raises:
        OSError: it cannot be opened, or it is a folder, pipe, socket or device.
    """
    return open(path, "rb", opener=_open_regular)


def read_text(path: str | Path) -> str:
    """All of a text file in UTF-8.

    Raises:
        OSError: it cannot be opened, is no file, or has more than TEXT_BYTES.
        UnicodeDecodeError: it is no UTF-8.
    """
    with open_file(path) as file:
        data = file.read(TEXT_BYTES + 1)
    if len(data) > TEXT_BYTES:
        raise OSError(errno.EFBIG, f"it has more than {TEXT_BYTES} bytes", str(path))
    return data.decode()


def _open_regular(path: str, flags: int) -> int:
    """What `open` gets its descriptor from."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", path)
    return os.open(path, flags | os.O_NONBLOCK)  # without waiting, also where it became a pipe in between


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
