"""Small data sets to write as records, and changes to what was written."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from array_record.python import array_record_module

from tfcore.data.dataset import Dataset, Split
from tfcore.data.record_manifest import MANIFEST
from tfcore.data.sources.records import records

SHAPE = (4, 3, 2)
TRAIN, TEST = 23, 5
NAMES = ("cat", "größer")
OPTIONS: dict[str, Any] = {"image_size": None, "image_fit": "stretch", "skip_bad_pictures": False}
Json = dict[str, Any]


def dataset() -> Dataset:
    """A data set of random pixels in memory."""
    rng = np.random.default_rng(0)
    parts = [
        Split(rng.integers(0, 256, (count, *SHAPE), np.uint8), (np.arange(count) % 2).astype(np.int32))
        for count in (TRAIN, TEST)
    ]
    return Dataset("made", *parts, NAMES)


DATA = dataset()


def read(path: Path) -> Dataset:
    """Reads records with the default settings."""
    return records(path, **OPTIONS)


def change_manifest(path: Path, change: Callable[[Json], Any]) -> None:
    """Changes the parsed manifest of a folder."""
    found = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    change(found)
    (path / MANIFEST).write_text(json.dumps(found), encoding="utf-8")


def adopt(path: Path, find: Callable[[Json], Json]) -> None:
    """Makes the manifest's entry of a file agree with the file as it is now."""

    def change(found: Json) -> None:
        piece = find(found)
        data = (path / piece["file"]).read_bytes()
        piece.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())

    change_manifest(path, change)


def write_shard(path: Path, contents: list[bytes]) -> None:
    """Writes a shard of other records."""
    writer = array_record_module.ArrayRecordWriter(str(path), "group_size:1,uncompressed")
    for record in contents:
        writer.write(record)
    writer.close()


def flip(path: Path, place: int) -> None:
    """Flips a bit of a file."""
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def contents(path: Path) -> dict[str, bytes]:
    """The files of a folder, hidden ones too."""
    return {file.name: file.read_bytes() for file in path.iterdir()}
