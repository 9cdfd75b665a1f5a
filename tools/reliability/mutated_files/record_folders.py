"""Mutates data sets in records: the manifest as JSON, shards and labels as bytes, with and without their checksums."""

import functools
import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np

from tests.support import shard_files
from tfcore.data import record_writer
from tfcore.data.dataset import Dataset, Split
from tfcore.data.record_manifest import MANIFEST
from tfcore.data.sources import records, webdataset
from tools.reliability.mutated_files import mutate
from tools.reliability.mutated_files.reader import MIB, Files, Reader, check_dataset, mutated, watched


@functools.cache
def _written(shards: int, kind: str) -> dict[str, bytes]:
    """The files of a small data set of picture files, of pixels, or of pixels with weights."""
    with tempfile.TemporaryDirectory() as place:
        data = _picture_files(Path(place, "source")) if kind == "files" else _pixels(shards, kind == "weighted")
        record_writer.write(data, Path(place, "made"), shards=shards)
        return {path.name: path.read_bytes() for path in Path(place, "made").iterdir()}


def _pixels(seed: int, weighted: bool) -> Dataset:
    draw = np.random.default_rng(seed)
    parts = [Split(draw.integers(0, 256, (6, 2, 2, 1), np.uint8), np.arange(6, dtype=np.int32) % 2) for _ in range(2)]
    return Dataset("made", *parts, ("cat", "dög"), np.ones(6, np.float32) if weighted else None)


def _picture_files(source: Path) -> Dataset:
    splits = {"train": shard_files.some(6), "test": shard_files.some(4, 50)}
    shard_files.write("webdataset", source, splits)
    settings = {"image_size": None, "image_fit": "stretch", "test_share": 0.5, "seed": 0, "skip_bad_pictures": False}
    return webdataset.webdataset(source, **settings)


def _files(draw: Random, bad: bool) -> Files:
    files = dict(_written(draw.choice((1, 3)), draw.choice(("files", "pixels", "weighted"))))
    if not bad:
        return {**files}
    if draw.random() < 0.4:
        return {**files, MANIFEST: mutate.json_text(draw, json.loads(files[MANIFEST]))}
    name = draw.choice([name for name in files if name != MANIFEST])
    changed = mutated(draw, {name: files[name]}, lambda _, content: _odd(draw, content))[name]
    assert isinstance(changed, bytes)
    adopted = draw.random() < 0.7  # the manifest agrees with the file again
    return {**files, name: changed, **({MANIFEST: _adopted(files[MANIFEST], name, changed)} if adopted else {})}


def _odd(draw: Random, content: bytes) -> bytes:
    """Mutates a file, mostly in its first bytes: a shard ends with zeros."""
    end = draw.choice((200, 2000, len(content)))
    return (mutate.flip(draw, content[:end]) if draw.random() < 0.7 else mutate.damage(draw, content[:end])) + content[
        end:
    ]


def _adopted(manifest: bytes, name: str, content: bytes) -> bytes:
    """The manifest with the size and the checksum of a changed file."""
    found = json.loads(manifest)
    for split in found["splits"].values():
        for piece in (*split["shards"], split["labels"], split["weights"]):
            if piece and piece["file"] == name:
                piece.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    return json.dumps(found).encode()


def _read(folder: Path, draw: Random, past: Callable[[], None]) -> None:  # noqa: ARG001 (all readers are called alike)
    with watched(records, "RecordStore", past):
        check_dataset(records.records(folder, image_size=None, image_fit="stretch", skip_bad_pictures=False))


RECORDS = Reader(_files, _read, memory_bytes=1280 * MIB)  # as of folders of picture files
