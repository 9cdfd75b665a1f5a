"""Pictures in records, read by index: random access in shards of the ArrayRecord format.

Each record has a checksum in its shard, which is verified whenever it is read. Riegeli, the format underneath, is
described at https://github.com/google/riegeli.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from array_record.python import array_record_module
from numpy.typing import NDArray

from tfcore.data import pictures
from tfcore.data.dataset import Split, aligned_empty
from tfcore.data.download import usable
from tfcore.data.headers import Header
from tfcore.data.layout import Layout
from tfcore.data.open_shards import OpenShards
from tfcore.data.record_manifest import RESTORE, Piece
from tfcore.data.shard_cache import AGAIN, discard, held, is_remote, status
from tfcore.data.source import BatchReader, check_labels
from tfcore.data.store import Rows, in_threads, pieces
from tfcore.errors import DataError
from tfcore.files import open_file

_OPEN = 256  # shards at a time, each with a file and a few hundred kB; opening one takes a millisecond or more
_OPTIONS = "readahead_buffer_size:0,max_parallelism:0"  # for random access
_BUFFER_BYTES = 1 << 16
_CHUNK_BYTES = 1 << 23  # copied at a time


def open_shard(path: Path) -> Any:
    """Opens a shard for reading by index: `num_records()`, and `read([row, …])` from several threads."""
    # The name as bytes, since it need not be text.
    return array_record_module.ArrayRecordReader(bytes(path), _OPTIONS, file_reader_buffer_size=_BUFFER_BYTES)


def sha256_of(path: Path) -> str:
    """Computes the checksum of a file, as 64 hexadecimal digits.

    Raises:
        OSError: it cannot be read.
    """
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(folder: Path, pieces: Sequence[Piece]) -> None:
    """Compares all bytes of files with their checksums; a second for each GB or two.

    Raises:
        DataError: with the first file that differs or cannot be read.
    """
    for piece in pieces:
        path = folder / piece.file
        with usable(path, RESTORE):
            found = sha256_of(path)
        if found != piece.sha256:
            raise DataError(f"{path} must have the SHA-256 {piece.sha256}. It has {found}. {RESTORE}")


class RecordStore:
    """The records of a split, by index: a `Store` where they are picture files.

    At most 256 shards are open, those that were used last.

    Args:
        folder: of the data set.
        shards: in the order of the examples.
    """

    def __init__(self, folder: Path, shards: Sequence[Piece]) -> None:
        self._folder, self._shards = folder, tuple(shards)
        self._ends = np.cumsum([shard.records for shard in shards])
        paths = [folder / shard.file for shard in shards]
        self._stamps = [status(path) if is_remote(path) else None for path in paths]
        self._open = OpenShards(paths, self._opened, _OPEN)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def read(self, indices: NDArray[np.int64]) -> list[bytes]:
        """The records at `indices`, in that order; one that is named twice is read once. For several threads.

        Raises:
            DataError: a shard is missing, or a record damaged.
        """
        wanted, places = np.unique(indices, return_inverse=True)
        numbers, rows = self._place(wanted)
        found: list[bytes] = []
        for number, reader in self._open.readers(np.unique(numbers).tolist()):
            found += self._read(reader, number, rows[numbers == number].tolist())
        return [found[place] for place in places]

    @property
    def layout(self) -> Layout:
        """The shards."""
        return Layout([self._folder / shard.file for shard in self._shards], self._ends)

    def header(self, index: int) -> Header:
        """The header of a record that is a picture file.

        Raises:
            DataError: it cannot be read, or is no picture.
        """
        (data,) = self.read(np.array([index]))
        return pictures.header(data, self.name(index))

    def name(self, index: int) -> str:
        """Names a record by its shard and its row there."""
        number, row = self._place(np.array(index))
        return self._name(int(number), int(row))

    def identity(self, rows: Rows) -> Iterator[bytes]:
        """The checksums of all shards by the manifest, and the rows."""
        yield from (bytes.fromhex(shard.sha256) for shard in self._shards)
        yield from (piece.tobytes() for piece in pieces(rows))

    def _place(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The numbers of the shards, and the rows in them."""
        numbers = np.searchsorted(self._ends, indices, "right")
        return numbers, indices - np.concatenate([[0], self._ends])[numbers]

    def _name(self, number: int, row: int) -> str:
        return f"{self._folder / self._shards[number].file}, record {row}"

    def _read(self, reader: Any, number: int, rows: list[int]) -> list[bytes]:
        """Rows of one shard."""
        try:
            found: list[bytes] = reader.read(rows)
        except RuntimeError:
            found = []
        if len(found) == len(rows) and all(found):  # where a file was cut short since it was opened, records are empty
            return found
        return [self._read_one(reader, number, row) for row in rows]

    def _read_one(self, reader: Any, number: int, row: int) -> bytes:
        """One row, for the name of the one that is damaged."""
        try:
            (record,) = reader.read([row])
        except (RuntimeError, ValueError) as error:
            reason = f"its checksum is wrong ({str(error).partition(':')[0]})"
            raise self._damaged(number, self._name(number, row) + ",", reason) from error
        if not record:
            raise self._damaged(number, self._name(number, row) + ",", "the file ends before it")
        return bytes(record)

    def _damaged(self, number: int, name: str, reason: str) -> DataError:
        """The error of a damaged shard; one in the cache is deleted, so that it will be downloaded anew."""
        path = self._folder / self._shards[number].file
        discard(path)
        return DataError(f"{name} is damaged: {reason}. {AGAIN if is_remote(path) else RESTORE}")

    def _opened(self, number: int) -> Any:
        shard = self._shards[number]
        path = self._folder / shard.file
        with held(path):
            if self._stamps[number] not in (None, status(path)):
                raise DataError(
                    f"{path} has changed since the run began: another process found new data at its address. {AGAIN}"
                )
            with usable(path, RESTORE), open_file(path):  # ArrayRecord's error does not say why
                reader = open_shard(path)
            records = reader.num_records() if reader.ok() else 0
        if records != shard.records:
            reason = f"it must have {shard.records} readable records, by the manifest, and has {records}"
            raise self._damaged(number, str(path), reason)
        return reader


class PixelRecords:
    """One part of a data set whose records are pixels, read from the shards when a batch needs them.

    Args:
        store: the records.
        labels: int32 [N].
        image_shape: (H, W, C) of every picture.

    Attributes:
        nbytes: the size of all pixels.

    Raises:
        DataError: on labels of another dtype, rank or length, or without any example.
    """

    def __init__(self, store: RecordStore, labels: NDArray[np.int32], image_shape: tuple[int, int, int]) -> None:
        check_labels(labels, min(len(store), len(labels)))
        self._store, self.labels, self.image_shape = store, labels, image_shape
        self._picture_bytes = int(np.prod(image_shape))
        self.nbytes = len(labels) * self._picture_bytes

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The pictures at `indices`: uint8 [n, H, W, C].

        Raises:
            DataError: one cannot be read, or is of another size.
        """
        records = self._store.read(indices)
        for index, record in zip(indices, records, strict=True):
            if len(record) != self._picture_bytes:
                size = "x".join(map(str, self.image_shape))
                raise DataError(
                    f"{self._store.name(index)}, must have the {self._picture_bytes} bytes of a picture of {size}. It "
                    f"has {len(record)}. {RESTORE}"
                )
        return np.frombuffer(b"".join(records), np.uint8).reshape(-1, *self.image_shape)

    @property
    def layout(self) -> Layout:
        """The shards."""
        return self._store.layout.of_rows(range(len(self)))

    def first(self, count: int) -> "PixelRecords":
        """The first `count` examples; reads nothing."""
        return PixelRecords(self._store, self.labels[:count], self.image_shape)

    def identity(self) -> Iterator[bytes]:
        """The checksums of the shards by the manifest."""
        return self._store.identity(range(0))

    def batch_reader(self) -> BatchReader:
        """A reader that reads one batch a call."""
        from tfcore.data.batch_reader import PythonReader  # loads TensorFlow

        return PythonReader(self)

    def loaded(self) -> "LoadedRecords":
        """The same examples, with all pixels in memory, in an aligned array."""
        images = aligned_empty((len(self), *self.image_shape))
        chunk = max(1, _CHUNK_BYTES // self._picture_bytes)

        def load(start: int) -> None:
            rows = np.arange(start, min(start + chunk, len(self)))
            images[rows[0] : rows[-1] + 1] = self.read(rows)

        in_threads("read", load, [(start,) for start in range(0, len(self), chunk)])
        return LoadedRecords(images, self.labels, tuple(self.identity()), replace(self.layout, is_loaded=True))


@dataclass(frozen=True, eq=False)
class LoadedRecords(Split):
    """`PixelRecords` in memory; they are told from others by the same bytes, so it does not matter where a run reads.

    Args:
        images, labels: see `Split`.
        checksums: of the shards.
        layout: of the examples in the shards that they were read from.
    """

    checksums: tuple[bytes, ...]
    layout: Layout

    def first(self, count: int) -> "LoadedRecords":
        """The first `count` examples: views, not copies."""
        layout = self.layout.of_rows(range(min(count, len(self))))
        return LoadedRecords(self.images[:count], self.labels[:count], self.checksums, layout)

    def identity(self) -> Iterator[bytes]:
        """The checksums of the shards by the manifest."""
        yield from self.checksums
