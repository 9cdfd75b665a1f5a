"""TFRecords of Examples: features, labels from 1 on, names of classes, hostile lengths. Shards: see test_shards.py."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from support.shard_files import example, imagenet_example, png, some, write_records

from tfcore.data.dataset import Dataset
from tfcore.data.sources.tfrecord import tfrecord
from tfcore.errors import DataError

PAIRS = some(6)


def read(path: Path, **settings: Any) -> Dataset:
    defaults = {"image_size": None, "image_fit": "stretch", "test_share": 0.5, "seed": 0, "skip_bad_pictures": False}
    return tfrecord(path, **{**defaults, **settings})


def labels(data: Dataset) -> list[int]:
    return sorted([*data.train.labels, *data.test.labels])


@pytest.mark.parametrize("first", [0, 1, 2])
def test_labels_from_one_on_are_renumbered(tmp_path: Path, caplog: pytest.LogCaptureFixture, first: int) -> None:
    file = tmp_path / "a.tfrecords"
    write_records(file, [example(image=picture, label=label + first) for picture, label in PAIRS])
    if first > 1:
        with pytest.raises(DataError, match=r"class 0 \('0'\) of 4 is an empty class"):
            read(file)
        return
    assert labels(read(file)) == [0, 0, 0, 1, 1, 1]
    texts = [record.getMessage() for record in caplog.records]
    assert texts == [f"tfrecord:{file}: the smallest label is 1. 1 is subtracted from all labels."] * first


def test_a_test_split_from_zero_on_keeps_the_labels(tmp_path: Path) -> None:
    for split, first in (("train", 1), ("test", 0)):
        write_records(tmp_path / f"{split}.tfrec", [example(image=png(n), label=first + n % 2) for n in range(4)])
    with pytest.raises(DataError, match=r"class 0 \('0'\) of 3 is an empty class"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("features", "names"),
    [
        ([{"image__class__text": b"a  cat"}, {"image__class__text": b"x", "image__class__synset": b"n"}], "a cat,x"),
        ([{"image__class__synset": b"n1"}, {"image__class__synset": b"n2"}], "n1,n2"),
        ([{"image__class__synset": b"n1"}, {}], "0,1"),
        ([{}, {}], "0,1"),
    ],
)  # fmt: skip
def test_classes_are_named_by_their_examples(tmp_path: Path, features: list[dict[str, bytes]], names: str) -> None:
    records = [example(image=picture, label=label, **features[label]) for picture, label in PAIRS]
    write_records(tmp_path / "a.tfrecord", records)
    assert read(tmp_path).class_names == tuple(names.split(","))


def test_two_names_for_a_label_name_nothing(tmp_path: Path) -> None:
    records = [imagenet_example(*pair) for pair in PAIRS]
    records.append(example(image=png(9), label=1, image__class__text=b"cow"))
    write_records(tmp_path / "a.tfrecord", records)
    assert read(tmp_path).class_names == ("0", "1")


def test_a_picture_is_found_in_its_record(tmp_path: Path) -> None:
    """Where its beginning is in other features too, before or after it."""
    picture = png(3)
    records = [
        example(a=picture[:100], image=picture, label=0),
        example(image=picture, label=1, a=picture[:100], z=picture + b"x"),
    ] * 2
    write_records(tmp_path / "a.tfrecord", records)
    data = read(tmp_path)
    assert data.train.store.read(np.arange(4)) == [picture] * 4


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"label": 0}, "one encoded picture .* in the feature image/encoded or image. Received 0; its f"),
        ({"image": b"x"}, "one label .* in the feature image/class/label or label. Received 0; .* are image"),
        ({"image": [b"x", b"y"], "label": 0}, "one encoded picture .* Received 2"),
        ({"image": b"x", "label": [0, 1]}, "one label .* Received 2"),
        ({"image": 3, "label": 0}, "one encoded picture .* Received 0"),
        ({"image": b"x", "label": b"cat"}, "one label .* Received 0"),
        ({"image": b"x", "label": 0.5}, "one label .* Received 0"),
        ({}, "its features are none"),
    ],
)  # fmt: skip
def test_examples_without_picture_or_label_are_named(tmp_path: Path, features: dict[str, Any], message: str) -> None:
    write_records(tmp_path / "a.tfrecord", [example(image=png(0), label=0), example(**features)])
    with pytest.raises(DataError, match=rf"a\.tfrecord, record 1 must .*{message}"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (-1, "Labels must be whole numbers from 0 to 2147483647. .*record 1 has -1. One cannot test on"),
        (2**31, "record 1 has 2147483648"),
        (1000, "has a label 1000 and only 2 training examples"),
    ],
)
def test_impossible_labels_are_refused(tmp_path: Path, label: int, message: str) -> None:
    write_records(tmp_path / "a.tfrecord", [example(image=png(0), label=0), example(image=png(1), label=label)])
    with pytest.raises(DataError, match=message):
        read(tmp_path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (struct.pack("<QI", 1 << 62, 0), "at record 1, byte {end}: it claims to end at byte 46116860184273"),
        (struct.pack("<QI", 4, 0) + bytes(8), "at record 1, byte {end}: corrupted record"),
        (b"abc", "at record 1, byte {end}: its length is cut off"),
    ],
)
def test_hostile_lengths_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    file = tmp_path / "a.tfrecord"
    write_records(file, [example(image=png(0), label=0)])
    end = file.stat().st_size
    file.write_bytes(file.read_bytes() + data)
    with pytest.raises(DataError, match=rf"a\.tfrecord of {end + len(data)} bytes .*" + message.format(end=end)):
        read(tmp_path)


def test_other_files_are_told(tmp_path: Path) -> None:
    write_records(tmp_path / "a.tfrecord", [b"\xff\xff\xff\xff"])
    with pytest.raises(DataError, match=r"a\.tfrecord, record 0 is no tf\.train\.Example"):
        read(tmp_path)
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecord"), options) as writer:
        writer.write(example(image=png(0), label=0))
    with pytest.raises(DataError, match="damaged, cut off or compressed at record 0"):
        read(tmp_path)
