"""Reads image data sets of Hugging Face: Parquet files as on its hub, and Arrow files as `save_to_disk` writes them."""

import importlib
import io
import json
import mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from tfcore.data.dataset import Dataset
from tfcore.data.parquet import ParquetStore, intact
from tfcore.data.pictures import shown
from tfcore.data.shard_cache import held
from tfcore.data.shard_index import ROW, Index, indexed
from tfcore.data.sources.encoded import PictureSettings, encoded_dataset
from tfcore.data.sources.shards import find, numbered, of_shards, stored
from tfcore.data.store import Stored
from tfcore.errors import DataError
from tfcore.files import open_file

if TYPE_CHECKING:
    import pyarrow as pa

LAYOUT = (
    "Expected data/train-00000-of-00002.parquet and data/test-…, or train/data-00000-of-00001.arrow and test/…, with a "
    "column of pictures and a column of labels."
)
_PATTERN = r"(?!cache-).+\.(parquet|arrow)$"  # the library keeps the results of its functions in cache-….arrow
_PICTURES = ("image", "img", "jpg", "png", "picture")
_LABELS = ("label", "labels", "fine_label", "cls", "class")
_IS_FILE = b"ARROW1"  # how Arrow's file format begins; `save_to_disk` writes the streaming format
_STREAM_ENDS = b"\xff\xff\xff\xff\0\0\0\0"


def huggingface(path: Path, **settings: Unpack[PictureSettings]) -> Dataset:
    """`huggingface:PATH`: Parquet or Arrow files with a column of encoded pictures and a column of whole numbers.

    The pictures are the column `image` (or `img`), a struct with `bytes` or plain bytes; the labels are `label` (or
    `labels`, `fine_label`, `cls`, `class`). The classes have the names that the files' own description of their
    features gives for that column, else the numbers. Of Arrow files the first start keeps an index (see
    `shard_index.indexed`); of Parquet files whole row groups are read (see `ParquetStore`).

    Args:
        path: a file, or the folder of the files; see `shards.find`.
        settings: see `PictureSettings`.

    Raises:
        DataError: pyarrow is not installed, there are no files, one is damaged, or a column is missing or of another
            type; and see `encoded_dataset`.
        ConfigError: an invalid size, or a share that leaves one of the splits empty.
    """
    _require_pyarrow()
    files = find(path, _PATTERN, LAYOUT)
    name = f"huggingface:{path}"
    suffixes = {file.suffix.lower() for part in files for file in part}
    if len(suffixes) > 1:
        raise DataError(f"{shown(path)} must hold .parquet or .arrow files, not both. Name the folder of one kind.")
    train, test = files.read(_arrow if suffixes == {".arrow"} else _parquet)
    names = _class_names(files.train[0]) or numbered(name, train, test)
    return encoded_dataset(name, train, test, names, **settings)


def _require_pyarrow() -> None:
    try:
        importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise DataError(
            f"huggingface:PATH needs pyarrow ({error}). Install it with `pip install tfcore[parquet]`."
        ) from error


def _parquet(paths: list[Path]) -> Stored:
    found = {}
    for path in paths:
        with intact(path):
            found[_columns(_schema(path), path)] = path
    if len(found) > 1:
        one, other = list(found.values())[:2]
        raise DataError(f"{shown(one)} and {shown(other)} must have the same columns of pictures and labels.")
    ((picture, label),) = found
    store = ParquetStore(paths, picture, label)
    return stored(store, store.labels)


def _arrow(paths: list[Path]) -> Stored:
    return of_shards(indexed(paths, "arrow", _entries))


def _schema(path: Path) -> "pa.Schema":
    """The columns of a file, with the description that Hugging Face's library adds."""
    from pyarrow import parquet

    with held(path), open_file(path) as file:  # a regular file: opening a pipe by its name would wait for a writer
        return parquet.read_schema(file) if path.suffix.lower() == ".parquet" else _reader(_mapped(file)).schema


def _mapped(file: io.BufferedReader) -> "pa.Buffer":
    """The contents of a file, which are in memory only where they are used."""
    import pyarrow as pa

    return pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _reader(contents: "pa.Buffer") -> Any:
    """A reader of the record batches, of either format."""
    import pyarrow as pa

    if contents.slice(0, len(_IS_FILE)).to_pybytes() == _IS_FILE:
        return pa.ipc.open_file(contents)
    ends = max(0, contents.size - len(_STREAM_ENDS))
    if contents.slice(ends).to_pybytes() != _STREAM_ENDS:  # pyarrow takes a stream that is cut off between two batches
        raise ValueError("it has no end of the stream")
    return pa.ipc.open_stream(contents)


def _columns(schema: "pa.Schema", path: Path) -> tuple[str, str]:
    """The names of the columns of pictures and labels.

    Raises:
        DataError: there is none, or one is of another type.
    """
    import pyarrow as pa

    picture = next((name for name in _PICTURES if name in schema.names), None)
    label = next((name for name in _LABELS if name in schema.names), None)
    if picture is None or label is None:
        raise DataError(
            f"{shown(path)} must have a column of pictures ({', '.join(_PICTURES)}) and one of labels "
            f"({', '.join(_LABELS)}). Its columns are {shown(', '.join(schema.names)) or 'none'}."
        )
    kind = schema.field(picture).type
    if pa.types.is_struct(kind):
        place = kind.get_field_index("bytes")
        kind = kind.field(place).type if place >= 0 else kind
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise DataError(
            f"The column {picture} of {shown(path)} must hold encoded pictures: bytes, or a struct with `bytes`. It "
            f"holds {schema.field(picture).type}."
        )
    if not pa.types.is_integer(schema.field(label).type):
        raise DataError(
            f"The column {label} of {shown(path)} must hold whole numbers. It holds {schema.field(label).type}."
        )
    return picture, label


def _class_names(path: Path) -> tuple[str, ...] | None:
    """The names of the classes in the description of the features; None where there are none."""
    with intact(path):
        schema = _schema(path)
        _, label = _columns(schema, path)
    try:
        described = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][label]
        names = described.get("names") or described["feature"]["names"]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return None
    return tuple(map(str, names)) if isinstance(names, list) and names else None


def _entries(path: Path, size_bytes: int) -> Index:
    """Reads the index of an Arrow file: where in the file the bytes of each picture are.

    Raises:
        DataError: it is damaged or compressed, or a picture or label is missing.
    """
    import pyarrow as pa

    with intact(path), open_file(path) as file:
        contents = _mapped(file)
        reader = _reader(contents)
        picture, label = _columns(reader.schema, path)
        batches = (
            (reader.get_batch(number) for number in range(reader.num_record_batches))
            if isinstance(reader, pa.RecordBatchFileReader)
            else reader
        )
        parts, count = [np.empty(0, ROW)], 0
        for batch in batches:
            pictures, labels = batch.column(picture), batch.column(label)
            for column in (pictures, labels):
                column.validate(full=True)
            if pa.types.is_struct(pictures.type):
                pictures = pictures.field("bytes")
            for column, what in ((pictures, "picture in the file itself"), (labels, "label")):
                if column.null_count:
                    bad = count + column.is_null().to_numpy(zero_copy_only=False).argmax()
                    raise DataError(f"{shown(path)}, record {bad}, has no {what}. Write the data set with all of them.")
            parts.append(_rows(pictures, labels, contents.address, size_bytes))
            count += len(batch)
    return Index(np.concatenate(parts))


def _rows(pictures: "pa.Array", labels: "pa.Array", start: int, size_bytes: int) -> np.ndarray:
    """The rows of a record batch's pictures, whose buffers are inside the file mapped at the address `start`."""
    import pyarrow as pa

    rows = np.empty(len(pictures), ROW)
    if not len(rows):
        return rows
    _, offsets, data = pictures.buffers()
    place = data.address - start if data is not None else 0
    if data is not None and data.size and not 0 <= place <= size_bytes - data.size:
        raise ValueError("it is compressed, and is not read by index. Save it without compression")
    width = np.int64 if pa.types.is_large_binary(pictures.type) else np.int32
    bounds = np.frombuffer(offsets, width)[pictures.offset : pictures.offset + len(rows) + 1].astype(np.int64)
    rows["offset"], rows["size"] = place + bounds[:-1], np.diff(bounds)
    rows["label"] = labels.cast(pa.int64()).to_numpy()
    return rows
