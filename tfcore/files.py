"""Non-blocking reads in bounded memory, atomic writes, and disk errors."""

import errno
import io
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tfcore.errors import DiskError, RunError

UNFINISHED = ".unfinished-"  # prefix of the names of unfinished files and folders

MEMORY_BYTES = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")  # physical memory of this machine
IN_MEMORY_BYTES = MEMORY_BYTES // 4  # of pixels that are kept in memory, at most: a fixed share, whatever else runs
TEXT_BYTES = 1 << 24  # larger than every text file of a run: flags, a result, an architecture with its class names


def open_file(path: str | Path) -> io.BufferedReader:
    """Opens a regular file for reading without blocking, as opening a pipe would until it has a writer.

    Raises:
        OSError: it cannot be opened, or is a folder, pipe, socket or device.
    """
    return open(path, "rb", opener=_open_regular)


def read_text(path: str | Path) -> str:
    """Reads a UTF-8 text file.

    Raises:
        OSError: it cannot be opened, is not a regular file, or has more than TEXT_BYTES.
        UnicodeDecodeError: it is not UTF-8.
    """
    with open_file(path) as file:
        data = file.read(TEXT_BYTES + 1)
    if len(data) > TEXT_BYTES:
        raise OSError(errno.EFBIG, f"it has more than {TEXT_BYTES} bytes", str(path))
    return data.decode()


def _open_regular(path: str, flags: int) -> int:
    """Opens a descriptor of a regular file; the `opener` for `open`."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", path)
    return os.open(path, flags | os.O_NONBLOCK)  # non-blocking, as it may have become a pipe since the check


def refuse_existing(path: Path) -> None:
    """Raises RunError where `path` exists, so that nothing is overwritten silently."""
    if os.path.lexists(path):
        raise RunError(f"{path} is there already. Name another place, or delete it first.")


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; the file or folder written there is renamed to `path` at the end.

    Raises:
        RunError: `path` exists already.
        DiskError: it cannot be written; the temporary file is removed.
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
            refuse_existing(path)  # it may have appeared meanwhile, and renaming would replace a file
            scratch.rename(path)


@contextmanager
def replacing(path: Path, *kinds: type[Exception]) -> Iterator[Path]:
    """Yields a temporary path beside `path`; the file written there replaces `path` at the end of the context.

    Args:
        path: the file.
        kinds: see `writing`.

    Raises:
        DiskError: it cannot be written; `path` is unchanged and the temporary file is removed.
    """
    scratch = unfinished(path)
    try:
        with writing(path, *kinds):
            scratch.unlink(missing_ok=True)  # left by a killed process, or a symbolic link that would be followed
            yield scratch
            sync(scratch)
            os.replace(scratch, path)
    finally:
        with suppress(OSError):  # an error here would hide the one being raised
            scratch.unlink(missing_ok=True)


def unfinished(path: Path) -> Path:
    """The temporary path of `replacing`."""
    return path.with_name(UNFINISHED + path.name)


@contextmanager
def writing(path: Path, *kinds: type[Exception]) -> Iterator[None]:
    """Turns errors of writing `path` inside the context into a DiskError.

    Args:
        path: the path named in the message.
        kinds: exception types to convert besides OSError, such as TensorFlow's OpError.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(error, (OSError, *kinds)):
            raise
        raise DiskError(f"{path} cannot be written: {reason(error)}.") from error


def reason(error: Exception) -> str:
    """The operating system's message, such as `No space left on device`.

    TensorFlow's errors contain it at their end: `{{function_node …}} PATH; No space left on device [Op:SaveV2]`.
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0].rpartition("; ")[2].partition(" [Op:")[0].rstrip(".")


def sync(path: Path) -> None:
    """Flushes a file, or the entries of a folder, to the disk; a full disk may be reported only here."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
