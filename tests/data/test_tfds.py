"""Folders of TensorFlow Datasets: which format, names of classes. The shards themselves: see test_shards.py."""

from pathlib import Path
from typing import Any

import pytest
from support import shard_files

from tfcore.data.dataset import Dataset
from tfcore.data.sources.tfds import tfds
from tfcore.errors import DataError


def read(path: Path, **settings: Any) -> Dataset:
    defaults = {"image_size": None, "image_fit": "stretch", "test_share": 0.5, "seed": 0, "skip_bad_pictures": False}
    return tfds(path, **{**defaults, **settings})


@pytest.fixture(params=["tfds", "array_record"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    shard_files.write(request.param, tmp_path, {"train": shard_files.some(6), "validation": shard_files.some(4)})
    return tmp_path


def test_validation_is_the_test_split_where_there_is_no_other(folder: Path) -> None:
    data = read(folder)
    assert (len(data.train), len(data.test)) == (6, 4)


def test_classes_are_numbered_without_their_names(folder: Path) -> None:
    (folder / "label.labels.txt").unlink()
    assert read(folder).class_names == ("0", "1")


def test_an_old_description_without_a_format_means_tfrecords(tmp_path: Path) -> None:
    shard_files.write("tfds", tmp_path, {"train": shard_files.some(6)})
    (tmp_path / "dataset_info.json").write_text('{"name": "pets"}')
    assert len(read(tmp_path).train) == 3


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ('{"fileFormat": "riegeli"}', "`fileFormat` in .* must be tfrecord or array_record. Received 'riegeli'"),
        ('{"fileFormat": ["tfrecord"]}', "must be tfrecord or array_record. Received"),
        ("[]", "must be tfrecord or array_record. Received None"),
        ("{", "dataset_info.json is no JSON text"),
    ],
)
def test_another_description_is_refused(folder: Path, info: str, message: str) -> None:
    (folder / "dataset_info.json").write_text(info)
    with pytest.raises(DataError, match=message):
        read(folder)


def test_another_folder_is_refused(folder: Path) -> None:
    with pytest.raises(
        DataError, match=r"nothing/dataset_info\.json: No such file .* Expected the folder of a version"
    ):
        read(folder / "nothing")


def test_array_records_without_features_are_named(tmp_path: Path) -> None:
    shard_files.write("array_record", tmp_path, {"train": shard_files.some(4)})
    writer = shard_files.ArrayRecordWriter(str(tmp_path / "pets-train.array_record-00000-of-00002"), "group_size:1")
    writer.write(shard_files.example(image=b"x"))
    writer.close()
    with pytest.raises(DataError, match=r"00000-of-00002, record 0 must have one label"):
        read(tmp_path)
