"""Reads data sets that TensorFlow Datasets has prepared on disk, as TFRecords or as ArrayRecords."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Unpack

import numpy as np

from tfcore.data.dataset import Dataset
from tfcore.data.download import usable
from tfcore.data.pictures import shown
from tfcore.data.shard_cache import held
from tfcore.data.shard_index import GET_ANEW, Index, Stamp, indexed
from tfcore.data.shard_store import Bytes, OpenShard, opened
from tfcore.data.sources.assemble import class_names
from tfcore.data.sources.encoded import PictureSettings, encoded_dataset
from tfcore.data.sources.shards import find, numbered, of_shards
from tfcore.data.sources.tfrecord import Examples, entries, read_example
from tfcore.errors import DataError
from tfcore.files import read_text

_INFO, _NAMES = "dataset_info.json", "label.labels.txt"
_LAYOUT = (
    f"Expected the folder of a version, such as …/cifar10/3.0.2, with {_INFO}, {_NAMES} and the shards of `train` and "
    "of `test` or `validation`."
)
_DAMAGE = (RuntimeError, ValueError, IndexError, OSError)  # that array_record raises


class _Format(NamedTuple):
    """A format of shards."""

    pattern: str
    entries: Callable[[Path, int], Index]
    open: Callable[[Path, Stamp], OpenShard]


def tfds(path: Path, **settings: Unpack[PictureSettings]) -> Dataset:
    """`tfds:PATH`: the folder of a version, as `tfds.load` leaves it, with features `image` and `label`.

    The file format is the one in dataset_info.json, TFRecord or ArrayRecord; the names of the classes are those in
    label.labels.txt, else the numbers. The first start reads all records and keeps an index (see
    `shard_index.indexed`). TensorFlow Datasets itself is not needed.

    Args:
        path: the folder.
        settings: see `PictureSettings`.

    Raises:
        DataError: the folder has another layout or format, a shard is damaged, or an Example lacks a feature; and see
            `encoded_dataset`.
        ConfigError: an invalid size, or a share that leaves one of the splits empty.
    """
    kind = _file_format(path)
    form = _FORMATS[kind]
    name = f"tfds:{path}"
    files = find(path, form.pattern, _LAYOUT)
    train, test = files.read(lambda paths: of_shards(indexed(paths, kind, form.entries), open_shard=form.open))
    names = class_names(path, _NAMES) or numbered(name, train, test)
    return encoded_dataset(name, train, test, names, **settings)


def _file_format(path: Path) -> str:
    """The format in dataset_info.json; older ones name none and have TFRecords."""
    file = path / _INFO
    with usable(file, _LAYOUT):
        try:
            info = json.loads(read_text(file))
        except (ValueError, RecursionError) as error:
            raise DataError(f"{shown(file)} is no JSON text: {error}. {GET_ANEW}") from error
    found = info.get("fileFormat", "tfrecord") if isinstance(info, dict) else None
    if not isinstance(found, str) or found not in _FORMATS:
        raise DataError(
            f"`fileFormat` in {shown(file)} must be {' or '.join(_FORMATS)}. Received {shown(repr(found))}."
        )
    return found


def _array_records(path: Path, size_bytes: int) -> Index:
    """Reads the index of a shard of ArrayRecords.

    The place of a picture is the number of its record, as records may be compressed; its size is kept for fingerprints.

    Raises:
        DataError: it is damaged, or not of Examples.
    """
    reader = _ArrayRecords(path, Stamp.of(path.stat()))
    if not reader.count:
        raise DataError(f"{shown(path)} is damaged or cut off: it has {size_bytes} bytes and no record. {GET_ANEW}")
    examples = Examples(path)
    for number in range(reader.count):
        examples.add(reader.record(number))
    index = examples.index()
    index.rows["offset"] = range(reader.count)
    index.rows["size"] = np.minimum(index.rows["size"], size_bytes - index.rows["offset"])  # as `indexed` requires
    return index


class _ArrayRecords:
    """A shard of ArrayRecords that is open for reading."""

    def __init__(self, path: Path, stamp: Stamp) -> None:
        from array_record.python.array_record_module import ArrayRecordReader

        self._path = path
        opened(path, stamp).close()  # a file, and the one that was indexed
        try:
            with held(path):
                self._reader = ArrayRecordReader(os.fsencode(path), "readahead_buffer_size:0")
                self.count = self._reader.num_records()
        except _DAMAGE as error:
            raise self._damaged(error) from error

    def record(self, number: int) -> bytes:
        """The record of that number."""
        try:
            (record,) = self._reader.read([number])
        except _DAMAGE as error:
            raise self._damaged(error) from error
        return record

    def read(self, number: int, count: int) -> bytes:
        """The picture in the record of that number; see `OpenShard`."""
        del count
        return read_example(self.record(number), f"{shown(self._path)}, record {number}").picture

    def _damaged(self, error: Exception) -> DataError:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        return DataError(f"{shown(self._path)} is damaged or no ArrayRecord file: {reason}. {GET_ANEW}")


_FORMATS = {
    "tfrecord": _Format(r".+\.tfrecord(-\d+-of-\d+)?$", entries, Bytes),
    "array_record": _Format(r".+\.array_record(-\d+-of-\d+)?$", _array_records, _ArrayRecords),
}
