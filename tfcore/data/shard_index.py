"""Indexes of shards: where the bytes of each picture are in its file, found once and kept in a file of their own."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfcore.data import index_files
from tfcore.data.download import data_dir, usable
from tfcore.data.index_files import HOMELESS
from tfcore.data.pictures import shown
from tfcore.data.shard_cache import discard, held, status
from tfcore.data.store import THREADS
from tfcore.errors import DataError

ROW = np.dtype([("offset", "<i8"), ("size", "<i8"), ("label", "<i8")])
LARGEST_BYTES = 1 << 28  # of a record: more than a picture of the largest size takes
GET_ANEW = "Get this file anew."
_VERSION = 1
_LOG = logging.getLogger(__name__)


class Stamp(NamedTuple):
    """What tells a file from the one that had its name before."""

    size: int  # bytes
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Stamp":
        """The stamp of a file of this status."""
        return cls(status.st_size, status.st_mtime_ns)


class Index(NamedTuple):
    """The pictures of a shard.

    Args:
        rows: ROW [N], in the order of the shard: place and size of the encoded picture in bytes, and its label.
        names: each label with the names that its examples have for it, at most two different ones.
    """

    rows: NDArray[np.void]
    names: tuple[tuple[int, str], ...] = ()


class Shard(NamedTuple):
    """A file of many pictures, with its `Index`."""

    path: Path
    stamp: Stamp
    rows: NDArray[np.void]
    names: tuple[tuple[int, str], ...]


def indexed(paths: Sequence[Path], kind: str, make: Callable[[Path, int], Index]) -> list[Shard]:
    """Returns the shards with their indexes, which are made where none is kept or a shard has changed since.

    An index is kept in the folder `.tfcore-index` beside the shard, or in the cache folder where that cannot be
    written. It is valid for the shard's size and time of modification, and is written under another name and renamed,
    so that several processes may make it at once.

    Args:
        paths: the shards.
        kind: a word for the format, and for what is taken from it.
        make: reads the index of a shard of so many bytes; called from several threads.

    Raises:
        DataError: a shard cannot be read, is damaged, or changes meanwhile.
    """
    with usable(paths[0].parent, "Name shards that can be read."):
        stamps = [Stamp(*status(path)) for path in paths]
    found = {number: _kept(path, kind, stamp) for number, (path, stamp) in enumerate(zip(paths, stamps, strict=True))}
    indexes = {number: index for number, index in found.items() if index is not None}
    missing = [number for number in found if number not in indexes]

    def made(number: int) -> Index:
        path, stamp = paths[number], stamps[number]
        with usable(path, GET_ANEW), held(path):
            try:
                index = make(path, stamp.size)
                _check(path, index.rows, stamp.size)
            except DataError:
                discard(path)
                raise
            if Stamp.of(path.stat()) != stamp:
                raise DataError(f"{shown(path)} changes while it is read. Wait until it is complete.")
        return index

    homeless: set[Path] = set()
    with ThreadPoolExecutor(THREADS) as pool, _progress(sum(stamps[number].size for number in missing)) as advance:
        for number, index in zip(missing, pool.map(made, missing), strict=True):
            indexes[number] = index
            if not _keep(paths[number], kind, stamps[number], index):
                homeless.add(paths[number].parent)
            advance(stamps[number].size)
    for folder in sorted(homeless):
        _LOG.warning(HOMELESS, shown(folder), data_dir(""))
    return [Shard(path, stamps[number], *indexes[number]) for number, path in enumerate(paths)]


def is_within(rows: NDArray[np.void], size_bytes: int) -> NDArray[np.bool_]:
    """Whether each picture has at least one byte, at most LARGEST_BYTES, and lies inside a file of that size."""
    offset, size = rows["offset"], rows["size"]
    return (size > 0) & (size <= min(LARGEST_BYTES, size_bytes)) & (offset >= 0) & (offset <= size_bytes - size)


def _check(path: Path, rows: NDArray[np.void], size_bytes: int) -> None:
    """Raises DataError where a picture is empty, too large or outside of the shard."""
    bad = np.flatnonzero(~is_within(rows, size_bytes))
    if len(bad):
        row = rows[bad[0]]
        raise DataError(
            f"{shown(path)} must hold pictures of 1 to {LARGEST_BYTES} bytes within its {size_bytes}. Record {bad[0]} "
            f"has {row['size']} at byte {row['offset']}. {GET_ANEW}"
        )


def _head(path: Path, kind: str, stamp: Stamp) -> list[str | int]:
    return [_VERSION, kind, shown(path.name), *stamp]


def _kept(path: Path, kind: str, stamp: Stamp) -> Index | None:
    """Reads the index of a shard; None where there is none, or none that is intact and of this shard."""
    for content, rows in index_files.kept(path, kind):
        try:
            head, names = content
            index = Index(np.frombuffer(rows, ROW), tuple((int(label), str(name)) for label, name in names))
        except (ValueError, TypeError):
            continue
        if head == _head(path, kind, stamp) and is_within(index.rows, stamp.size).all():
            return index
    return None


def _keep(path: Path, kind: str, stamp: Stamp, index: Index) -> bool:
    """Writes the index of a shard; returns whether there is a place for it."""
    return index_files.keep(path, kind, [_head(path, kind, stamp), index.names], index.rows.tobytes())


@contextmanager
def _progress(total_bytes: int) -> Iterator[Callable[[int], None]]:
    """Yields a function that adds bytes to a progress bar on standard error; there is none without a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    hidden = not total_bytes or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("Indexing the data set, once", total=total_bytes)
        yield lambda size: progress.advance(task, size)
