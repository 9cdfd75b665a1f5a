"""Encoded pictures that are kept in files or records and read by index: the protocol, and a file for each picture."""

import atexit
import os
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.pool import ThreadPool
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from tfcore import machine
from tfcore.data.headers import Header
from tfcore.data.pictures import read_bytes, read_header, shown
from tfcore.data.windows import Cut

_T = TypeVar("_T")
THREADS = min(8, machine.processors())  # reading and decoding release Python's lock
_PIECE = 1 << 16  # rows
_pools: dict[str, ThreadPool] = {}


def _pool(purpose: str) -> ThreadPool:
    if purpose not in _pools:
        made = ThreadPool(THREADS)
        if _pools.setdefault(purpose, made) is not made:  # another thread was first
            made.terminate()
    return _pools[purpose]


@atexit.register
def _end_pools() -> None:
    for pool in _pools.values():
        pool.terminate()


def in_threads(purpose: str, function: Callable[..., _T], arguments: Sequence[tuple[Any, ...]]) -> list[_T]:
    """Calls a function with each of the arguments, in threads that the process keeps; returns the results in order.

    A thread must not wait for others of the same purpose. No lock is held while Python may collect garbage, as
    `ThreadPoolExecutor.submit` does: garbage may be an iterator of tf.data, whose end waits for calls that wait for the
    lock.

    Raises:
        Exception: of the first call that failed.
    """
    chunk = max(1, len(arguments) // (4 * THREADS))
    return _pool(purpose).starmap(function, arguments, chunksize=chunk)


Rows = range | NDArray[np.int64]  # numbers of pictures; a range takes no memory


def pieces(rows: Rows) -> Iterator[NDArray[np.int64]]:
    """Yields rows in arrays of bounded size."""
    for start in range(0, len(rows), _PIECE):
        piece = rows[start : start + _PIECE]
        yield np.arange(piece.start, piece.stop) if isinstance(piece, range) else piece


class Store(Protocol):
    """Pictures as the bytes of picture files (JPEG, PNG and so on), wherever they are kept."""

    def __len__(self) -> int: ...

    def read(self, indices: NDArray[np.int64]) -> list[bytes]:
        """The encoded pictures at `indices` (int64 [n], each in 0 .. N-1), in that order; called from several threads.

        Raises:
            DataError: one cannot be read.
        """

    def header(self, index: int) -> Header:
        """What is known of one picture before it is decoded; called from several threads.

        Raises:
            DataError: it cannot be read, or is no picture.
        """

    def name(self, index: int) -> str:
        """Names one picture in messages, such as `cats/17.jpg` or `train-00003.tfrecord, record 17`."""

    def identity(self, rows: Rows) -> Iterator[bytes]:
        """Yields bytes that tell the pictures of these rows from others, for a fingerprint; reads no picture."""


class Stored(NamedTuple):
    """The pictures of one split and their labels, int32 [N]."""

    store: Store
    labels: NDArray[np.int32]


class Loaded(NamedTuple):
    """Pictures on their way to a batch: JPEGs with the windows to decode, all others decoded and resized.

    Attributes:
        data: n strings of bytes.
        windows: int32 [n, 4].
        is_jpeg: bool [n].
    """

    data: list[bytes]
    windows: NDArray[np.int32]
    is_jpeg: NDArray[np.bool_]


class Encoded(Protocol):
    """Labelled pictures that are loaded encoded and decoded by TensorFlow; see `EncodedSplit`."""

    labels: NDArray[np.int32]
    image_shape: tuple[int, int, int]

    def load(self, indices: NDArray[np.int64], cut: Cut | None = None, draws: NDArray | None = None) -> Loaded:
        """Reads the encoded pictures at `indices`."""

    def check(self, index: int) -> None:
        """Raises DataError if a picture cannot be decoded."""


class FileStore:
    """A file for each picture; see `Store`.

    Args:
        paths: the files.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, indices: NDArray[np.int64]) -> list[bytes]:
        """The contents of the files."""
        return in_threads("read", read_bytes, [(self.paths[index],) for index in indices])

    def header(self, index: int) -> Header:
        """The header, without reading the whole file."""
        return read_header(self.paths[index])

    def name(self, index: int) -> str:
        """The path."""
        return shown(self.paths[index])

    def identity(self, rows: Rows) -> Iterator[bytes]:
        """The last two parts of each path and the size of each file.

        Raises:
            OSError: a file is missing.
        """
        for index in rows:
            path = self.paths[index]
            yield f"{os.sep.join(path.split(os.sep)[-2:])}\0{os.stat(path).st_size}\0".encode(errors="surrogateescape")
