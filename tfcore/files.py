"""Files that are read without waiting and in bounded memory, files that appear whole or not at all, and disk errors."""

import errno
import io
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tfcore.errors import DiskError, RunError

UNFINISHED = ".unfinished-"  # what the name of everything begins with that is not whole yet

MEMORY_BYTES = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")  # of this machine
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
    """Opens a path for `open`, and refuses what is no regular file."""
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
        RunError: something is at `path` already.
        DiskError: it cannot be written; then nothing is left behind.
    """
    refuse_existing(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=path.parent) as folder:
            scratch = Path(folder) / path.name
            yield scratch
            for part in (scratch, *scratch.rglob("*")):
                if part.is_file():
                    sync(part)
            refuse_existing(path)  # writing took a while, and renaming would replace a file
            scratch.rename(path)


@contextmanager
def replacing(path: Path, *kinds: type[Exception]) -> Iterator[Path]:
    """A place beside `path` to write a file to; at the end of the block it becomes `path`, in place of what was there.

    Args:
        path: the file.
        kinds: see `writing`.

    Raises:
        DiskError: it cannot be written; then `path` is as it was, and nothing else is left behind.
    """
    scratch = unfinished(path)
    try:
        with writing(path, *kinds):
            scratch.unlink(missing_ok=True)  # what a kill left; or a stranger, whose link would be written through
            yield scratch
            sync(scratch)
            os.replace(scratch, path)
    finally:
        with suppress(OSError):  # which would hide the error that is on its way
            scratch.unlink(missing_ok=True)


def unfinished(path: Path) -> Path:
    """Where `replacing` has a file written."""
    return path.with_name(UNFINISHED + path.name)


@contextmanager
def writing(path: Path, *kinds: type[Exception]) -> Iterator[None]:
    """Turns what the operating system says against writing `path` inside the block into a DiskError about it.

    Args:
        path: what the message names.
        kinds: what says it beside OSError, such as TensorFlow's OpError.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(error, (OSError, *kinds)):
            raise
        raise DiskError(f"{path} cannot be written: {reason(error)}.") from error


def reason(error: Exception) -> str:
    """Returns the operating system's message, such as `No space left on device`.

    TensorFlow's errors end in it: `{{function_node …}} PATH; No space left on device [Op:SaveV2]`.
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0].rpartition("; ")[2].partition(" [Op:")[0].rstrip(".")


def sync(path: Path) -> None:
    """Puts a file, or the names in a folder, on the disk, which may be the first that hears of a disk being full."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
