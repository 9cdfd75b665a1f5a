"""Picture files whose names and sizes are known from a listing, in few bytes each."""

import os
from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from tfcore.data.pictures import read_bytes, shown
from tfcore.data.store import FileStore, Rows, in_threads, pieces
from tfcore.errors import DataError


def shortest(numbers: NDArray[np.int64]) -> NDArray[np.unsignedinteger]:
    """Numbers from 0 in the smallest type that holds them."""
    return numbers.astype(np.min_scalar_type(int(numbers.max(initial=0))))


class FileList(Sequence[str]):
    """Paths of files, made when they are asked for: at most 14 bytes a file beside its name.

    Args:
        folders: of the files.
        numbers: int32 [n], the folder of each file.
        names: of the files, as bytes, one after the other.
        lengths: uint16 [n], of the names in bytes, in their order.
        order: int64 [n], for each place in the list the number of its name among `names`.
    """

    def __init__(
        self,
        folders: Sequence[str],
        numbers: NDArray[np.int32],
        *,
        names: bytes,
        lengths: NDArray[np.uint16],
        order: NDArray[np.int64],
    ) -> None:
        self._folders, self._numbers, self._names = tuple(folders), numbers, names
        self._last_parts = [os.fsencode(os.path.basename(folder) + os.sep) for folder in folders]
        self._starts = shortest(np.cumsum(lengths, dtype=np.int64) - lengths)[order]
        self._lengths = lengths[order]

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        start = int(self._starts[index])
        name = self._names[start : start + int(self._lengths[index])]
        return f"{self._folders[self._numbers[index]]}{os.sep}{os.fsdecode(name)}"

    def tails(self, indices: NDArray[np.int64]) -> Iterator[bytes]:
        """Yields the last two parts of the paths at `indices`: folder and name."""
        starts = self._starts[indices].astype(np.int64)
        ends = starts + self._lengths[indices]
        for number, start, end in zip(self._numbers[indices].tolist(), starts.tolist(), ends.tolist(), strict=True):
            yield self._last_parts[number] + self._names[start:end]


class ListedFiles(FileStore):
    """The files of a list, which must have the sizes that they had when they were listed; see `Store`.

    Args:
        paths: of the files.
        sizes: unsigned [n], in bytes.
    """

    def __init__(self, paths: FileList, sizes: NDArray[np.unsignedinteger]) -> None:
        super().__init__(paths)
        self._list, self._sizes = paths, sizes

    def read(self, indices: NDArray[np.int64]) -> list[bytes]:
        """The contents of the files.

        Raises:
            DataError: a file cannot be read, or has another size.
        """
        return in_threads("read", self._read, [(index,) for index in indices.tolist()])

    def _read(self, index: int) -> bytes:
        path, size = self.paths[index], self._sizes[index]
        data = read_bytes(path)
        if len(data) != size:
            text = f"{shown(path)} has {len(data)} bytes, and had {size} when its folder was listed."
            raise DataError(f"{text} Put it back, or start again after: touch {shown(os.path.dirname(path))}")
        return data

    def identity(self, rows: Rows) -> Iterator[bytes]:
        """The last two parts of each path and the size of each file."""
        for piece in pieces(rows):
            pairs = zip(self._list.tails(piece), self._sizes[piece].tolist(), strict=True)
            yield b"".join([b"%b\0%d\0" % pair for pair in pairs])
