"""The cache of remote shards: whole files, found by links to them, downloaded when they are opened.

    CACHE/NAME-DIGEST/train-000.tar   link to ../.shards/KEY.SIZE, whether that is there or not
    CACHE/.shards/KEY.SIZE            a shard; its time of access says when it was used last
    CACHE/.shards/KEY.json            where it comes from, and its checksums

KEY is a hash of address, size and tag (checksum, ETag or date), so that a file that changed at the server is another
shard. A shard's time of modification is made of its key: it is the same after each download.
"""

import fcntl
import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tfcore.data import fetching
from tfcore.data.remote_files import shown
from tfcore.errors import DataError

SHARDS = ".shards"
AGAIN = "Start again, which downloads it anew."
_SCRATCH = ".unfinished-"
_KEY_DIGITS = 32
_TIME_DIGITS = 8
_LATEST = 0x3FFFFFFF  # in 2004: some file systems know no time after 2038
_NAME = re.compile(rf"[0-9a-f]{{{_KEY_DIGITS}}}\.[0-9]{{1,18}}")
_TRIES = 100
_NO_LIMIT = 2**62  # where a reader is given a link, and no run has set one
_limits: dict[Path, int] = {}  # of the caches of this process, in bytes


@dataclass(frozen=True)
class RemoteFile:
    """A remote file as it was when it was listed.

    Args:
        url: its address.
        size: in bytes.
        tag: what tells it from another file of that size; "" for nothing.
        sums: checksums by their names in `hashlib`.
    """

    url: str
    size: int
    tag: str
    sums: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Of the cache. What comes after a question mark may be a password that is different tomorrow."""
        text = json.dumps([shown(self.url), self.size, self.tag, sorted(self.sums.items())])
        return hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]


@dataclass(frozen=True)
class _Cached:
    """The place of a shard in the cache, by its link."""

    path: Path

    @property
    def size(self) -> int:
        return int(self.path.name.partition(".")[2])

    @property
    def mtime_secs(self) -> int:
        return int(self.path.name[:_TIME_DIGITS], 16) & _LATEST

    @property
    def is_there(self) -> bool:
        try:
            return self.path.stat().st_size == self.size
        except FileNotFoundError:
            return False

    def request(self) -> dict[str, Any]:
        """What a worker needs to know to fetch it."""
        described = self.path.with_name(self.path.name.partition(".")[0] + ".json")
        try:
            file = RemoteFile(**json.loads(described.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"{described} cannot be read: {error}. Start again, which makes it anew.") from error
        limit = _limits.get(self.path.parent, _NO_LIMIT)
        return {**asdict(file), "target": str(self.path), "mtime": self.mtime_secs, "limit": limit}


def _cached(path: Path) -> _Cached | None:
    """The shard that a path is a link to; None for any other file."""
    try:
        target = Path(os.readlink(path))
    except OSError:
        return None
    if target.parent.name != SHARDS or not _NAME.fullmatch(target.name):
        return None
    return _Cached(Path(os.path.normpath(path.parent.absolute() / target)))


def set_limit(cache: Path, limit: int) -> None:
    """Sets the bytes that a cache may have after a download of this process."""
    _limits[Path(os.path.normpath(cache.absolute() / SHARDS))] = limit


def put_link(cache: Path, path: Path, file: RemoteFile) -> None:
    """Makes `path`, below the cache's folder, a link to the shard of a remote file; downloads nothing.

    Raises:
        OSError: the cache cannot be written.
    """
    shards = cache / SHARDS
    for folder in (shards / "locks", path.parent):
        folder.mkdir(parents=True, exist_ok=True)
    write_text(shards / f"{file.key}.json", json.dumps(asdict(file)))
    target = os.path.relpath(shards / f"{file.key}.{file.size}", path.parent)
    if not (path.is_symlink() and os.readlink(path) == target):
        with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=path.parent) as scratch:
            made = Path(scratch, path.name)
            made.symlink_to(target)
            os.replace(made, path)


def write_text(path: Path, text: str) -> None:
    """Writes a text file that other processes may be reading or writing, unless it has that text."""
    if not (path.exists() and path.read_text(encoding="utf-8") == text):
        with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=path.parent) as scratch:
            made = Path(scratch, path.name)
            made.write_text(text, encoding="utf-8")
            os.replace(made, path)


def is_remote(path: Path) -> bool:
    """Whether a path is a link to a shard of the cache."""
    return _cached(path) is not None


def status(path: Path) -> tuple[int, int]:
    """Size in bytes and time of modification in ns of a file; those of a remote one, wherever it is by now.

    Raises:
        OSError: there is no such file.
    """
    cached = _cached(path)
    if cached is not None:
        return cached.size, cached.mtime_secs * 10**9
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def is_missing(path: Path) -> bool:
    """Whether a path is a link to a shard that is not in the cache now."""
    cached = _cached(path)
    return cached is not None and not cached.is_there


def touch(path: Path) -> None:
    """Tells the cache that a shard is in use."""
    cached = _cached(path)
    if cached is not None:
        with suppress(OSError):  # it was deleted, or is another user's
            os.utime(cached.path, (time.time(), cached.mtime_secs))


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Makes sure that a file can be opened by its name inside the block: a remote one is downloaded, and stays.

    Raises:
        DataError: it cannot be fetched.
    """
    cached = _cached(path)
    if cached is None:
        yield
        return
    descriptor = _locked(cached)
    try:
        touch(path)
        yield
    finally:
        os.close(descriptor)


def _locked(cached: _Cached) -> int:
    """Fetches a shard if it is missing; returns a descriptor that keeps others from deleting it."""
    for _ in range(_TRIES):
        if not cached.is_there:
            fetching.ask("fetch", **cached.request())
        try:
            descriptor = os.open(cached.path, os.O_RDONLY)
        except FileNotFoundError:
            continue  # deleted since then
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if cached.is_there and os.fstat(descriptor).st_ino == cached.path.stat().st_ino:
            return descriptor
        os.close(descriptor)
    raise DataError(f"{cached.path} is deleted again and again. Give a larger --cache_bytes.")


def fetch_ahead(paths: Sequence[Path]) -> None:
    """Has shards downloaded that will be needed, without waiting; what fails is told when they are needed."""
    missing = [cached for path in paths if (cached := _cached(path)) is not None and not cached.is_there]
    if missing:
        fetching.ask("fetch_ahead", files=[cached.request() for cached in missing])


def discard(path: Path) -> None:
    """Deletes a shard that turned out to be damaged, so that it will be downloaded anew; leaves other files alone."""
    cached = _cached(path)
    if cached is not None:
        cached.path.unlink(missing_ok=True)
