"""Encoded pictures inside large files, read by index with one system call each."""

import io
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tfcore.data.download import usable
from tfcore.data.headers import Header
from tfcore.data.layout import Layout
from tfcore.data.open_shards import OpenShards
from tfcore.data.pictures import header, shown
from tfcore.data.shard_cache import held
from tfcore.data.shard_index import ROW, Shard, Stamp
from tfcore.data.store import Rows, pieces
from tfcore.errors import DataError
from tfcore.files import open_file

OPEN_FILES = 64  # of a store, at a time
_HEADER_BYTES = 1 << 16  # enough for the header of most pictures


def opened(path: Path, stamp: Stamp) -> io.BufferedReader:
    """Opens a shard.

    Raises:
        DataError: it cannot be opened, or has changed since it had that stamp.
    """
    with usable(path, "Put it back, and start again."), held(path):
        file = open_file(path)
        if Stamp.of(os.fstat(file.fileno())) == stamp:
            return file
    file.close()
    raise DataError(f"{shown(path)} has changed since it was indexed. Start again, which makes its index anew.")


class OpenShard(Protocol):
    """A shard that is open for reading until nothing refers to it."""

    def read(self, offset: int, size: int) -> bytes:
        """The encoded picture of a row of the index; called from several threads."""


class Bytes:
    """An open shard whose rows are ranges of bytes; closed when nothing refers to it, as threads may still read."""

    def __init__(self, path: Path, stamp: Stamp) -> None:
        self._path = path
        with opened(path, stamp) as file, usable(path, "Start again."):
            self._descriptor = os.dup(file.fileno())

    def read(self, offset: int, size: int) -> bytes:
        """See `OpenShard`."""
        with usable(self._path, "Start again."):
            data = os.pread(self._descriptor, size, offset)
        if len(data) != size:
            raise DataError(f"{shown(self._path)} has become shorter. Put it back, and start again.")
        return data

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):  # opening may have failed
            os.close(self._descriptor)


class ShardStore:
    """The pictures of several shards in their order, each a range of bytes; see `store.Store`.

    Shards are opened at the first read of one of their pictures, and at most OPEN_FILES stay open.

    Args:
        shards: with their indexes.
        open_shard: opens one for reading.
    """

    def __init__(self, shards: Sequence[Shard], open_shard: Callable[[Path, Stamp], OpenShard] = Bytes) -> None:
        self._shards = shards
        self._rows = np.concatenate([np.empty(0, ROW), *(shard.rows for shard in shards)])
        self._ends = np.cumsum([len(shard.rows) for shard in shards])
        paths = [shard.path for shard in shards]
        self._open = OpenShards(paths, lambda number: open_shard(*shards[number][:2]), OPEN_FILES)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def labels(self) -> NDArray[np.int64]:
        """int64 [N], as the shards have them."""
        return self._rows["label"]

    @property
    def layout(self) -> Layout:
        """The shards."""
        return Layout([shard.path for shard in self._shards], self._ends)

    def read(self, indices: NDArray[np.int64]) -> list[bytes]:
        """See `Store.read`."""
        numbers = np.searchsorted(self._ends, indices, side="right")
        rows, found = self._rows[indices].tolist(), [b""] * len(indices)
        for number, reader in self._open.readers(np.unique(numbers).tolist()):
            for place in np.flatnonzero(numbers == number).tolist():
                offset, size, _ = rows[place]
                found[place] = reader.read(offset, size)
        return found

    def header(self, index: int) -> Header:
        """See `Store.header`; of a large picture only the beginning is read, if the header is in it."""
        number = int(np.searchsorted(self._ends, index, side="right"))
        offset, size, _ = self._rows[index].tolist()
        reader = self._open.reader(number)
        try:
            return header(io.BytesIO(reader.read(offset, min(size, _HEADER_BYTES))), self.name(index))
        except DataError:
            if size <= _HEADER_BYTES:
                raise
        return header(reader.read(offset, size), self.name(index))

    def name(self, index: int) -> str:
        """See `Store.name`; records are counted from 0."""
        number = int(np.searchsorted(self._ends, index, side="right"))
        first = self._ends[number] - len(self._shards[number].rows)
        return f"{shown(self._shards[number].path)}, record {index - first}"

    def identity(self, rows: Rows) -> Iterator[bytes]:
        """Name and size of each shard, and for each picture its shard, place and size."""
        for shard in self._shards:
            yield f"{shard.path.name}\0{shard.stamp.size}\0".encode(errors="surrogateescape")
        for piece in pieces(rows):
            yield np.searchsorted(self._ends, piece, side="right").astype("<i8").tobytes()
        for field in ("offset", "size"):
            yield from (self._rows[field][piece].tobytes() for piece in pieces(rows))
