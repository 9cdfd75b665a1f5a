"""Reads TFRecord shards of `tf.train.Example`, as ImageNet's scripts and TensorFlow Datasets write them."""

import logging
import os
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Unpack

import numpy as np

from tfcore.data.dataset import Dataset
from tfcore.data.pictures import shown
from tfcore.data.shard_index import GET_ANEW, LARGEST_BYTES, ROW, Index, Shard, indexed
from tfcore.data.sources.encoded import PictureSettings, encoded_dataset
from tfcore.data.sources.shards import find, numbered, of_shards
from tfcore.errors import DataError
from tfcore.files import open_file

LAYOUT = (
    "Expected train-00000-of-01024 and validation-…, or NAME-train.tfrecord-00000-of-00004 and NAME-test.…, files of "
    "uncompressed TFRecords."
)
PATTERN = r".+\.(tfrecords?|tfrec)(-\d+-of-\d+)?$|[^.]*-\d+-of-\d+$"
_PICTURE, _LABEL = ("image/encoded", "image"), ("image/class/label", "label")
_NAME = ("image/class/text", "image/class/synset")
_HEAD, _TAIL_BYTES = struct.Struct("<Q4x"), 4  # length and its checksum; the checksum of the data
_PREFIX_BYTES = 64  # of a picture, by which it is found quickly
_LOG = logging.getLogger(__name__)


def tfrecord(path: Path, **settings: Unpack[PictureSettings]) -> Dataset:
    """`tfrecord:PATH`: TFRecords of Examples, with `image/encoded` and `image/class/label`, or `image` and `label`.

    Where the smallest label of the data set is 1, as in ImageNet's files, 1 is subtracted from all of them. The classes
    have the names in `image/class/text`, else those in `image/class/synset`, if each label has one and only one.
    The first start reads all records, checks their checksums and keeps an index (see `shard_index.indexed`).

    Args:
        path: a shard, or the folder of the shards; see `shards.find`.
        settings: see `PictureSettings`.

    Raises:
        DataError: there are no shards, one is damaged, or an Example lacks a feature; and see `encoded_dataset`.
        ConfigError: an invalid size, or a share that leaves one of the splits empty.
    """
    files = find(path, PATTERN, LAYOUT)
    name = f"tfrecord:{path}"
    train, test = (indexed(part, "tfrecord", entries) if part else [] for part in files)
    first = 1 if _smallest_label([*train, *test]) == 1 else 0
    if first:
        _LOG.warning("%s: the smallest label is 1. 1 is subtracted from all labels.", shown(name))
    parts = of_shards(train, first_label=first), of_shards(test, first_label=first) if test else None
    numbers, names = numbered(name, *parts), _class_names([*train, *test], first)
    if len(names) != len(numbers):
        names = numbers
    return encoded_dataset(name, *parts, names, **settings)


def _smallest_label(shards: Iterable[Shard]) -> int:
    return min((int(shard.rows["label"].min()) for shard in shards if len(shard.rows)), default=0)


def _class_names(shards: Iterable[Shard], first: int) -> tuple[str, ...]:
    """The names of the labels from `first` on; none where a label has several or a label in between has none."""
    found = sorted({pair for shard in shards for pair in shard.names})
    labels = [label - first for label, _ in found]
    return tuple(" ".join(name.split()) for _, name in found) if labels == [*range(len(labels))] else ()


def entries(path: Path, size_bytes: int) -> Index:
    """Reads the index of a shard of TFRecords.

    Each record is the length of its data (8 bytes), a checksum of that (4), the data, and a checksum of the data (4).

    Raises:
        DataError: it is damaged, compressed, or not of Examples.
    """
    from tensorflow.errors import OpError
    from tensorflow.python.lib.io.tf_record import tf_record_random_reader  # checks both checksums

    examples, offset = Examples(path), 0
    starts: list[int] = []
    with open_file(path) as file:
        reader = tf_record_random_reader(os.fspath(path))
        while offset < size_bytes:
            head = os.pread(file.fileno(), _HEAD.size, offset)
            try:
                if len(head) < _HEAD.size:
                    raise ValueError("its length is cut off")
                (length,) = _HEAD.unpack(head)
                after = offset + _HEAD.size + length + _TAIL_BYTES
                if length > LARGEST_BYTES or after > size_bytes:  # the reader would allocate whatever it claims
                    raise ValueError(f"it claims to end at byte {after}")
                record, _ = reader.read(offset)
            except (OpError, ValueError, IndexError) as error:
                raise DataError(
                    f"{shown(path)} of {size_bytes} bytes is damaged, cut off or compressed at record {len(starts)}, "
                    f"byte {offset}: {_reason(error)}. {GET_ANEW}"
                ) from error
            examples.add(record)
            starts.append(offset + _HEAD.size)
            offset = after
    index = examples.index()
    index.rows["offset"] += np.array(starts, np.int64)
    return index


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__


class Examples:
    """Collects the index of a shard from its Examples; offsets are those inside of each record."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[tuple[int, int, int]] = []
        self._names: dict[int, set[str]] = {}

    def add(self, record: bytes) -> None:
        """Adds the next record.

        Raises:
            DataError: it is no Example, or lacks a picture or a label.
        """
        example = read_example(record, f"{shown(self._path)}, record {len(self._rows)}")
        self._rows.append((_position(record, example.picture), len(example.picture), example.label))
        if example.name and len(names := self._names.setdefault(example.label, set())) < 2:
            names.add(example.name)

    def index(self) -> Index:
        """The index of the records that were added."""
        pairs = sorted((label, name) for label, names in self._names.items() for name in names)
        return Index(np.array(self._rows, ROW), tuple(pairs))


class Example(NamedTuple):
    """What is used of a `tf.train.Example`."""

    picture: bytes  # encoded
    label: int
    name: str  # of the class; "" for none


def read_example(record: bytes, where: str) -> Example:
    """Reads a serialized `tf.train.Example`; `where` names it in messages.

    Raises:
        DataError: it is none, or has no feature with one encoded picture, or none with one label.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.train import Example as Message

    try:
        features = Message.FromString(record).features.feature
    except DecodeError as error:
        raise DataError(f"{where} is no tf.train.Example: {error}. {LAYOUT}") from error
    pictures, labels = _values(features, _PICTURE, "bytes_list"), _values(features, _LABEL, "int64_list")
    for values, keys, kind in ((pictures, _PICTURE, "encoded picture (bytes)"), (labels, _LABEL, "label (int64)")):
        if len(values) != 1:
            raise DataError(
                f"{where} must have one {kind} in the feature {' or '.join(keys)}. Received {len(values)}; its "
                f"features are {shown(', '.join(sorted(features)[:10])) or 'none'}."
            )
    names = _values(features, _NAME, "bytes_list")
    return Example(pictures[0], labels[0], names[0].decode(errors="replace") if names else "")


def _values(features: Any, names: Sequence[str], kind: str) -> Sequence[Any]:
    """The values of the first of these features that has any of that kind."""
    found = (getattr(features[name], kind).value for name in names if name in features)
    return next((values for values in found if values), ())


def _position(record: bytes, picture: bytes) -> int:
    """The place of a picture in its record. Searching all of it takes longer, and is needed if its beginning recurs."""
    start = record.find(picture[:_PREFIX_BYTES])
    return start if record.startswith(picture, start) else record.find(picture)
