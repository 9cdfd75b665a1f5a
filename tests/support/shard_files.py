"""Writes pictures as others keep them: TFRecords, WebDataset, Parquet, Arrow and TensorFlow Datasets."""

import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf
from array_record.python.array_record_module import ArrayRecordWriter
from PIL import Image
from pyarrow import parquet

CLASS_NAMES = ("cat", "dog")
Pictures = Sequence[tuple[bytes, int]]  # encoded, with labels


def png(seed: int, size: tuple[int, int] = (5, 4)) -> bytes:
    """A PNG of random pixels in RGB, of (H, W)."""
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)).save(file, "png")
    return file.getvalue()


def some(count: int, first: int = 0) -> list[tuple[bytes, int]]:
    """Different pictures of two classes in turn."""
    return [(png(first + number), number % 2) for number in range(count)]


def example(**features: Any) -> bytes:
    """A serialized tf.train.Example; the names are given with `__` for `/`."""

    def feature(value: Any) -> tf.train.Feature:
        values = value if isinstance(value, list) else [value]
        if values and isinstance(values[0], float):
            return tf.train.Feature(float_list=tf.train.FloatList(value=values))
        if values and isinstance(values[0], int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    named = {name.replace("__", "/"): feature(value) for name, value in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=named)).SerializeToString()


def imagenet_example(picture: bytes, label: int) -> bytes:
    """An Example as ImageNet's scripts write it, of a label from 0 on, with more features than are read."""
    return example(
        image__encoded=picture, image__class__label=label + 1, image__class__text=CLASS_NAMES[label].encode(),
        image__format=b"JPEG", image__height=5, image__object__bbox__xmin=[0.5, 0.25],
    )  # fmt: skip


def write_records(path: Path, records: Sequence[bytes]) -> None:
    """Writes a shard of TFRecords."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)


def write_tar(path: Path, members: Sequence[tuple[str, bytes]]) -> None:
    """Writes a tar of files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def table(pictures: Pictures, *, image: str = "image", label: str = "label") -> pa.Table:
    """A table as Hugging Face's library writes it, with the names of the classes in the metadata."""
    features = {image: {"_type": "Image"}, label: {"names": list(CLASS_NAMES), "_type": "ClassLabel"}}
    images = [{"bytes": picture, "path": f"{number}.png"} for number, (picture, _) in enumerate(pictures)]
    columns = {
        image: pa.array(images, pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        label: pa.array([label for _, label in pictures], pa.int64()),
    }
    return pa.table(columns).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def write_parquet(path: Path, rows: pa.Table, row_group_size: int = 3) -> None:
    """Writes a Parquet file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(rows, path, row_group_size=row_group_size)


def write_arrow(path: Path, rows: pa.Table, **options: Any) -> None:
    """Writes an Arrow file in the streaming format, two rows a batch."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, rows.schema, **options) as writer:
        writer.write_table(rows, max_chunksize=2)


def _halves(pictures: Pictures) -> list[Pictures]:
    middle = len(pictures) // 2
    return [pictures[:middle], pictures[middle:]]


def _tfrecord(folder: Path, split: str, pictures: Pictures) -> None:
    for number, part in enumerate(_halves(pictures)):
        write_records(folder / f"{split}-{number:05d}-of-00002", [imagenet_example(*pair) for pair in part])


def _webdataset(folder: Path, split: str, pictures: Pictures) -> None:
    for shard, part in enumerate(_halves(pictures)):
        members = []
        for number, (picture, label) in enumerate(part):
            members += [(f"{number:04d}.png", picture), (f"{number:04d}.cls", str(label).encode())]
        write_tar(folder / f"{split}-{shard:06d}.tar", members)
    (folder / "classes.txt").write_text("\n".join(CLASS_NAMES))


def _parquet(folder: Path, split: str, pictures: Pictures) -> None:
    for number, part in enumerate(_halves(pictures)):
        write_parquet(folder / "data" / f"{split}-{number:05d}-of-00002.parquet", table(part))


def _arrow(folder: Path, split: str, pictures: Pictures) -> None:
    for number, part in enumerate(_halves(pictures)):
        write_arrow(folder / split / f"data-{number:05d}-of-00002.arrow", table(part))


def _info(folder: Path, file_format: str) -> None:
    (folder / "dataset_info.json").write_text(json.dumps({"name": "pets", "fileFormat": file_format}))
    (folder / "label.labels.txt").write_text("\n".join(CLASS_NAMES) + "\n")


def _tfds(folder: Path, split: str, pictures: Pictures) -> None:
    for number, part in enumerate(_halves(pictures)):
        records = [example(image=picture, label=label) for picture, label in part]
        write_records(folder / f"pets-{split}.tfrecord-{number:05d}-of-00002", records)
    _info(folder, "tfrecord")


def _tfds_array_record(folder: Path, split: str, pictures: Pictures) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(_halves(pictures)):
        writer = ArrayRecordWriter(str(folder / f"pets-{split}.array_record-{number:05d}-of-00002"), "group_size:1")
        for picture, label in part:
            writer.write(example(image=picture, label=label))
        writer.close()
    _info(folder, "array_record")


_WRITERS: Mapping[str, Callable[[Path, str, Pictures], None]] = {
    "tfrecord": _tfrecord,
    "webdataset": _webdataset,
    "parquet": _parquet,
    "arrow": _arrow,
    "tfds": _tfds,
    "array_record": _tfds_array_record,
}
READERS = {name: "huggingface" if name in ("parquet", "arrow") else name for name in _WRITERS} | {
    "array_record": "tfds"
}


def write(form: str, folder: Path, splits: Mapping[str, Pictures]) -> None:
    """Writes a data set into a folder, two shards a split.

    Args:
        form: a key of READERS, which has the reader's name.
        folder: created if missing.
        splits: by name, as it is in the names of the shards.
    """
    for split, pictures in splits.items():
        _WRITERS[form](folder, split, pictures)
