"""Downloads into the cache of shards: one process at a time for each shard, and room for it."""

import fcntl
import os
import time
from pathlib import Path

from tfcore.data.remote_files import Warn, attempt, download, shown
from tfcore.errors import DataError
from tfcore.files import sync

UNFINISHED = ".unfinished"  # ending of the names of files that are being downloaded


def fetch(url: str, size: int, tag: str, sums: dict[str, str], target: str, mtime: int, limit: int, warn: Warn) -> None:
    """Downloads a file into the cache, unless it is there by now; one process at a time downloads one file.

    Args:
        url: of the file.
        size, tag: as `described` found them.
        sums: checksums by their names in `hashlib`.
        target: where it is put.
        mtime: its time of modification, in seconds.
        limit: of the cache, in bytes; the files that were used longest ago are deleted.
        warn: see `listed`.
    """
    from filelock import FileLock

    path = Path(target)
    unfinished = path.with_name(path.name + UNFINISHED)
    try:
        with FileLock(_lock_of(path)):
            if path.exists() and path.stat().st_size == size:
                return
            with FileLock(path.parent / ".room.lock"):
                make_room(path.parent, size, limit)
                unfinished.touch()
            try:
                attempt(lambda: download(url, size, tag, sums, unfinished), url, warn)
                os.utime(unfinished, (time.time(), mtime))
                sync(unfinished)
                os.replace(unfinished, path)
            finally:
                unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(
            f"{path.parent} cannot keep {shown(url)}: {error.strerror or error}. Make room, give a smaller "
            "--cache_bytes, or another --data_dir."
        ) from error


def _lock_of(path: Path) -> Path:
    return path.parent / "locks" / path.name.partition(".")[0]


def make_room(folder: Path, size: int, limit: int) -> None:
    """Deletes the files of the cache that were used longest ago, until `size` more bytes are within the limit.

    Files being downloaded count, with their final size; those that a process is about to open stay.
    """
    used: list[tuple[float, Path]] = []
    total = size
    for path in folder.iterdir():
        _, _, rest = path.name.partition(".")
        if rest.endswith(UNFINISHED) and _is_left_over(path):
            path.unlink(missing_ok=True)
        elif (text := rest.removesuffix(UNFINISHED)).isdecimal():
            total += int(text)
            if text == rest:
                used.append((path.stat().st_atime, path))
    for _, path in sorted(used):
        if total <= limit:
            return
        if _deleted(path):
            total -= int(path.name.partition(".")[2])


def _is_left_over(unfinished: Path) -> bool:
    """Whether the process that downloaded a file was killed."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(_lock_of(unfinished), timeout=0):
            return True
    except Timeout:
        return False


def _deleted(path: Path) -> bool:
    """Deletes a file, unless a process holds it; see `shard_cache.held`."""
    try:
        with path.open("r+b") as file:  # NFS gives such a lock only on a file that is open for writing
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    except (BlockingIOError, PermissionError):  # it is held, or another user's
        return False
    return True
