"""Encoded pictures in a column of Parquet files, read by index through a cache of row groups."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfcore.data.download import usable
from tfcore.data.headers import Header
from tfcore.data.layout import Layout
from tfcore.data.pictures import header, shown
from tfcore.data.shard_cache import held
from tfcore.data.shard_index import GET_ANEW, Stamp
from tfcore.data.shard_store import opened
from tfcore.data.store import Rows, pieces
from tfcore.errors import DataError
from tfcore.files import MEMORY_BYTES, open_file

if TYPE_CHECKING:
    import pyarrow as pa

CACHE_BYTES = 1 << 28  # of the row groups of a split that are kept in memory
_LOG = logging.getLogger(__name__)


class _File(NamedTuple):
    """A Parquet file whose footer was read."""

    path: Path
    stamp: Stamp
    metadata: Any  # pyarrow.parquet.FileMetaData


class _Group(NamedTuple):
    """A row group."""

    file: _File
    number: int  # in its file
    size: int  # in bytes, decompressed
    rows: int


class ParquetStore:
    """The pictures in Parquet files in their order; see `store.Store`.

    Parquet can only be read by row groups, so a picture is read with all others of its group, and the groups used last
    are kept in memory, up to CACHE_BYTES.

    Args:
        paths: the files.
        picture: the column of encoded pictures, binary or a struct with `bytes`.
        label: the column of labels, whole numbers.

    Attributes:
        labels: int64 [N].

    Raises:
        DataError: a file is missing, damaged or lacks a column or a label, or a row group is too large.
    """

    def __init__(self, paths: Sequence[Path], picture: str, label: str) -> None:
        self._picture = picture
        self._cached: dict[int, pa.ChunkedArray] = {}
        self._groups: list[_Group] = []
        labels = [np.empty(0, np.int64)]
        for path in paths:
            file = _opened(path)
            labels.append(_labels(file, label))
            with intact(path):  # a damaged footer may be found only here
                for number in range(file.metadata.num_row_groups):
                    rows = file.metadata.row_group(number).num_rows
                    self._groups.append(_Group(file, number, _group_bytes(file, number), rows))
        self.labels = np.concatenate(labels)
        self._ends = np.cumsum(np.array([group.rows for group in self._groups], np.int64))
        total = sum(group.size for group in self._groups)
        if total > CACHE_BYTES:
            _LOG.warning(
                "%s: to read one picture, Parquet reads its whole row group, here %.0f MB, so training in random order "
                "may wait for it. Convert the data set once with `tfcore convert --format=records`.",
                shown(paths[0].parent), total / len(self._groups) / 1e6,
            )  # fmt: skip

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def layout(self) -> Layout:
        """The files."""
        ends = {group.file.path: end for group, end in zip(self._groups, self._ends, strict=True)}
        return Layout(list(ends), np.array(list(ends.values()), np.int64))

    def read(self, indices: NDArray[np.int64]) -> list[bytes]:
        """See `Store.read`."""
        numbers = np.searchsorted(self._ends, indices, side="right")
        found: dict[int, bytes] = {}
        for number in np.unique(numbers).tolist():
            column = self._column(number)
            first = self._first(number)
            for index in indices[numbers == number].tolist():
                found[index] = column[index - first].as_py()
                if found[index] is None:
                    raise DataError(
                        f"{self.name(index)}, has no picture in the file itself. Write it with all of them."
                    )
        return [found[index] for index in indices.tolist()]

    def header(self, index: int) -> Header:
        """See `Store.header`."""
        return header(self.read(np.array([index]))[0], self.name(index))

    def name(self, index: int) -> str:
        """See `Store.name`; records are counted from 0."""
        number = int(np.searchsorted(self._ends, index, side="right"))
        file = self._groups[number].file
        begin = next(place for place, group in enumerate(self._groups) if group.file is file)
        return f"{shown(file.path)}, record {index - self._first(begin)}"

    def identity(self, rows: Rows) -> Iterator[bytes]:
        """Name and size of each file, and the numbers of the pictures."""
        for group in self._groups:
            if group.number == 0:
                yield f"{group.file.path.name}\0{group.file.stamp.size}\0".encode(errors="surrogateescape")
        yield from (piece.tobytes() for piece in pieces(rows))

    def _first(self, number: int) -> int:
        """The index of the first picture of a row group."""
        return int(self._ends[number - 1]) if number else 0

    def _column(self, number: int) -> "pa.ChunkedArray":
        """The pictures of a row group. Two threads may read the same; a lock could hold up the end of an iterator."""
        found = self._cached.pop(number, None)
        if found is None:
            found = _pictures(self._groups[number], self._picture)
        self._cached[number] = found  # the one used last is the last
        cached = tuple(self._cached)
        held = np.cumsum([self._groups[other].size for other in reversed(cached)])  # by the last ones
        for oldest in cached[: len(cached) - max(1, int(np.searchsorted(held, CACHE_BYTES, side="right")))]:
            self._cached.pop(oldest, None)
        return found


@contextmanager
def intact(path: Path) -> Iterator[None]:
    """Turns errors of pyarrow and of the operating system inside the block into a DataError."""
    import pyarrow as pa

    with usable(path, GET_ANEW):
        try:
            yield
        except (pa.ArrowException, ValueError, KeyError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
            raise DataError(f"{shown(path)} is damaged or of another format: {reason}. {GET_ANEW}") from error


def _opened(path: Path) -> _File:
    from pyarrow import parquet

    with intact(path), held(path), open_file(path) as file:
        return _File(path, Stamp.of(os.fstat(file.fileno())), parquet.read_metadata(file))


def _read(file: _File, group: int | None, column: str) -> "pa.ChunkedArray":
    """Reads one column of a row group, or of all for None."""
    from pyarrow import parquet

    with intact(file.path), opened(file.path, file.stamp) as source:
        reader = parquet.ParquetFile(source, metadata=file.metadata)
        table = reader.read([column]) if group is None else reader.read_row_group(group, [column])
        table.validate(full=True)
        groups = range(file.metadata.num_row_groups) if group is None else [group]
        rows = sum(file.metadata.row_group(number).num_rows for number in groups)
        if table.num_columns != 1 or len(table) != rows:
            raise ValueError(f"it has {len(table)} of {rows} rows of the column {column}")
        return table.column(0)


def _labels(file: _File, column: str) -> NDArray[np.int64]:
    import pyarrow as pa

    found = _read(file, None, column)
    if not pa.types.is_integer(found.type) or found.null_count:
        raise DataError(
            f"The column {column} of {shown(file.path)} must hold a whole number in every row. It holds {found.type}, "
            f"and {found.null_count} rows have none."
        )
    with intact(file.path):
        return found.cast(pa.int64()).to_numpy()


def _pictures(group: _Group, column: str) -> "pa.ChunkedArray":
    import pyarrow as pa

    found = _read(group.file, group.number, column)
    if not pa.types.is_struct(found.type):
        return found
    with intact(group.file.path):
        return pa.chunked_array([chunk.field("bytes") for chunk in found.chunks], found.type.field("bytes").type)


def _group_bytes(file: _File, number: int) -> int:
    """The decompressed size of a row group. That of its column alone is not asked for: pyarrow aborts on damaged ones.

    Raises:
        DataError: it is negative or more than a quarter of the machine's memory.
    """
    size_bytes = file.metadata.row_group(number).total_byte_size
    if not 0 <= size_bytes <= MEMORY_BYTES // 4:
        raise DataError(
            f"Row group {number} of {shown(file.path)} must have at most {MEMORY_BYTES // 4} bytes, a quarter of this "
            f"machine's memory. It has {size_bytes}. Write the file with smaller row groups."
        )
    return size_bytes
