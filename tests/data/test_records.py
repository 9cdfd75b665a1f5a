"""Data sets in records: the same examples as before, from memory or by index; whatever is damaged is one line."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.record_sets import (
    DATA,
    NAMES,
    SHAPE,
    TRAIN,
    Json,
    adopt,
    change_manifest,
    flip,
    read,
    write_shard,
)

from tfcore.data import record_writer
from tfcore.data import records as records_file
from tfcore.data.batches import EvaluationBatches, Examples
from tfcore.data.fingerprint import fingerprint
from tfcore.data.record_manifest import MANIFEST, STATE, read_manifest
from tfcore.data.records import LoadedRecords, PixelRecords, verify
from tfcore.data.sources import records as source
from tfcore.errors import ConfigError, DataError

SHARD = "train-00001-of-00003.arrayrecord"  # examples 7 to 14
FIRST = 7


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """DATA in three shards a split."""
    record_writer.write(DATA, tmp_path / "made", shards=3)
    return tmp_path / "made"


@pytest.fixture
def lazily(monkeypatch: pytest.MonkeyPatch) -> None:
    """No data set is read into memory."""
    monkeypatch.setattr(source, "IN_MEMORY_BYTES", 0)


def test_pixels_that_fit_are_read_into_memory(folder: Path) -> None:
    data = read(folder)
    assert isinstance(data.train, LoadedRecords)
    assert isinstance(data.test, LoadedRecords)
    assert data.class_names == NAMES
    for split, same in ((data.train, DATA.train), (data.test, DATA.test)):
        np.testing.assert_array_equal(split.images, same.images)
        np.testing.assert_array_equal(split.labels, same.labels)
        assert split.images.ctypes.data % 64 == 0


@pytest.mark.usefixtures("lazily")
def test_pixels_that_do_not_fit_are_read_batch_by_batch(folder: Path) -> None:
    split = read(folder).train
    assert isinstance(split, PixelRecords)
    assert (len(split), split.image_shape, split.nbytes) == (TRAIN, SHAPE, DATA.train.nbytes)
    batches = [list(EvaluationBatches(Examples(part.batch_reader()), batch_size=6)) for part in (split, DATA.train)]
    for one, other in zip(*batches, strict=True):
        for part, same in zip(one, other, strict=True):
            np.testing.assert_array_equal(part, same)
    np.testing.assert_array_equal(split.first(9).read(np.array([8, 0])), DATA.train.images[[8, 0]])


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> PixelRecords:
    """The training pictures in eleven shards."""
    path = tmp_path_factory.mktemp("many") / "made"
    shards = record_writer.write(DATA, path, shards=11).splits["train"].shards
    assert [shard.records for shard in shards] == [2] * 10 + [3]
    return PixelRecords(records_file.RecordStore(path, shards), DATA.train.labels, SHAPE)


@given(st.lists(st.integers(0, TRAIN - 1)))
def test_rows_are_those_of_the_array(many: PixelRecords, rows: list[int]) -> None:
    np.testing.assert_array_equal(many.read(np.array(rows, np.int64)), DATA.train.images[rows])


def test_threads_share_a_few_open_shards(many: PixelRecords, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many._store._open, "_most", 2)
    many._store._open.clear()
    opened: list[Path] = []
    monkeypatch.setattr(
        records_file, "open_shard", lambda path, real=records_file.open_shard: opened.append(path) or real(path)
    )

    def read_all(seed: int) -> None:
        for row in np.random.default_rng(seed).permutation(TRAIN):
            np.testing.assert_array_equal(many.read(row[np.newaxis])[0], DATA.train.images[row])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(read_all, range(4)))
    assert len(opened) > 11
    assert len(many._store._open) <= 2
    assert threading.active_count() < 50


def test_the_fingerprint_is_of_the_manifest(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = read(folder).train
    monkeypatch.setattr(source, "IN_MEMORY_BYTES", 0)
    lazy = read(folder).train
    assert fingerprint(loaded) == fingerprint(lazy)
    assert fingerprint(loaded.first(9)) == fingerprint(lazy.first(9)) != fingerprint(lazy)
    write_shard(folder / SHARD, [bytes(24)] * 8)
    adopt(folder, lambda found: found["splits"]["train"]["shards"][1])
    assert fingerprint(read(folder).train) != fingerprint(lazy)


def shards(found: Json) -> list[Json]:
    return found["splits"]["train"]["shards"]


def labels(found: Json) -> Json:
    return found["splits"]["train"]["labels"]


CHANGES: dict[str, tuple[Callable[[Json], Any], str]] = {
    "format": (lambda found: found.pop("format"), 'it lacks "format": "tfcore records"'),
    "version": (lambda found: found.update(version=2), "its version is 2, and this tfcore reads 1"),
    "version of another type": (lambda found: found.update(version=True), "its version is True"),
    "missing key": (lambda found: shards(found)[1].pop("records"), 'train.shards lacks "records"'),
    "unknown key": (lambda found: found.update(colour=1), "it has an unknown 'colour'"),
    "missing split": (lambda found: found["splits"].pop("test"), 'splits lacks "test"'),
    "no list": (lambda found: found.update(class_names="cat"), "class_names must be a list, not 'cat'"),
    "no object": (lambda found: shards(found).append(3), "train.shards must be an object, not 3"),
    "class name": (lambda found: found["class_names"].append("a\n"), "must be text without control characters"),
    "no class": (lambda found: found.update(class_names=[]), "class_names is empty"),
    "number as text": (lambda found: shards(found)[0].update(records="7"), "train.shards.records must be a whole"),
    "number below": (lambda found: shards(found)[0].update(records=0), "from 1 to 281474976710656, not 0"),
    "number above": (lambda found: shards(found)[0].update(bytes=1 << 60), "train.shards.bytes must be a whole"),
    "checksum": (lambda found: labels(found).update(sha256="A" * 64), "must be 64 hexadecimal digits"),
    "file elsewhere": (lambda found: labels(found).update(file="../x.npy"), "must name the file train-labels.npy"),
    "fewer shards": (lambda found: shards(found).pop(), "must name the file train-00000-of-00002.arrayrecord"),
    "records": (lambda found: shards(found)[0].update(records=8), "have 24 records, and its labels make 23"),
    "counts": (lambda found: found["splits"]["train"].update(label_counts=[11, 11]), "its label_counts make 22"),
    "classes": (lambda found: found["class_names"].append("x"), "train.label_counts has 2 numbers for 3 classes"),
    "size": (lambda found: found["images"].update(size=None), "images.size must be height and width, not None"),
    "large size": (lambda found: found["images"].update(size=[40_000, 3]), "records do not fit into the"),
    "kind": (lambda found: found["images"].update(pixels=0), "images.pixels must be true or false, not 0"),
    "channels": (lambda found: found["images"].update(pixels=False), "images.channels must be 1 or 3, not 2"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_manifest_that_is_not_as_written_is_refused(folder: Path, name: str) -> None:
    change, message = CHANGES[name]
    change_manifest(folder, change)
    with pytest.raises(DataError) as caught:
        read(folder)
    assert str(caught.value).startswith(f"{folder / MANIFEST} is no manifest of a data set in records: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "Expecting value"),
        (b"[]", 'lacks "format"'),
        (b'{"a": 1, "a": 1}', "it has 'a' twice"),
        (b'{"a": NaN}', "it has the number NaN"),
        (b'{"a": "\xff"}', "can't decode byte"),
        (b"[" * 100_000, "recursion"),
        (b"1" * 10_000, "integer string conversion"),
    ],
    ids=["empty", "list", "duplicate", "NaN", "no UTF-8", "nested", "digits"],
)
def test_what_is_no_manifest_is_one_line(folder: Path, text: bytes, message: str) -> None:
    (folder / MANIFEST).write_bytes(text)
    with pytest.raises(DataError, match=message) as caught:
        read(folder)
    assert "\n" not in str(caught.value)


def test_folders_that_hold_no_records(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"manifest.json: No such file or directory. Name a folder that"):
        read(tmp_path)
    (tmp_path / STATE).touch()
    with pytest.raises(DataError, match=r"is an unfinished conversion. Give the same `tfcore convert` again"):
        read(tmp_path)


def test_sizes_of_files_are_compared_at_once(folder: Path) -> None:
    with (folder / SHARD).open("ab") as file:
        file.write(b"more")
    with pytest.raises(DataError, match=rf"{SHARD} must have 131072 bytes, by manifest.json. It has 131076. Copy"):
        read(folder)
    (folder / SHARD).unlink()
    with pytest.raises(DataError, match=rf"Cannot use .*{SHARD}: No such file"):
        read(folder)


def place_of(folder: Path, example: int) -> int:
    """Where the pixels of an example are in SHARD."""
    return (folder / SHARD).read_bytes().index(DATA.train.images[example].tobytes())


@pytest.mark.usefixtures("lazily")
def test_a_damaged_record_is_named_when_it_is_read(folder: Path) -> None:
    flip(folder / SHARD, place_of(folder, FIRST + 2))
    split = read(folder).train
    others = [row for row in range(TRAIN) if row != FIRST + 2]
    np.testing.assert_array_equal(split.read(np.array(others)), DATA.train.images[others])
    message = rf"{SHARD}, record 2, is damaged: its checksum is wrong \(.*\). Copy it anew, or convert"
    with pytest.raises(DataError, match=message):
        split.read(np.arange(TRAIN))
    with pytest.raises(DataError, match=rf"{SHARD} must have the SHA-256"):
        verify(folder, read_manifest(folder).splits["train"].shards)


def test_a_damaged_record_is_named_when_all_are_loaded(folder: Path) -> None:
    flip(folder / SHARD, place_of(folder, FIRST + 2))
    with pytest.raises(DataError, match=rf"{SHARD}, record 2, is damaged"):
        read(folder)


@pytest.mark.usefixtures("lazily")
def test_a_shard_that_changes_while_it_is_open(folder: Path) -> None:
    split = read(folder).train
    split.read(np.array([FIRST]))
    place = place_of(folder, FIRST + 3)
    with (folder / SHARD).open("r+b") as file:
        file.truncate(place)
    with pytest.raises(DataError, match=rf"{SHARD}, record 3, is damaged: the file ends before it"):
        split.read(np.arange(FIRST, FIRST + 5))


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ([bytes(24)] * 7, "SHARD is damaged: it must have 8 readable records, by the manifest, and has 7"),
        ([*[bytes(24)] * 7, bytes(23)], "SHARD, record 7, must have the 24 bytes of a picture of 4x3x2. It has 23"),
        ([b"", *[bytes(24)] * 7], "SHARD, record 0, is damaged: the file ends before it"),
    ],
    ids=["fewer", "shorter", "empty"],
)
def test_a_shard_of_other_records_is_refused(folder: Path, contents: list[bytes], message: str) -> None:
    write_shard(folder / SHARD, contents)
    adopt(folder, lambda found: shards(found)[1])
    with pytest.raises(DataError, match=message.replace("SHARD", SHARD)):
        read(folder)


def test_a_file_that_is_no_shard_is_refused(folder: Path) -> None:
    (folder / SHARD).write_bytes(bytes(131072))
    with pytest.raises(DataError, match=r"must have 8 readable records, by the manifest, and has 0"):
        read(folder)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.arange(TRAIN) % 2, r"must hold int32 of shape \[23\]. Received int64 of shape \[23\]"),
        (np.zeros((TRAIN, 1), np.int32), r"Received int32 of shape \[23, 1\]"),
        (np.full(TRAIN, 2**31 - 1, np.int32), "are not those that the manifest counts"),
        (np.full(TRAIN, -1, np.int32), "are not those that the manifest counts"),
        (np.zeros(TRAIN, np.int32), "are not those that the manifest counts"),
    ],
    ids=["dtype", "shape", "large", "negative", "counts"],
)
def test_other_labels_are_refused(folder: Path, array: np.ndarray, message: str) -> None:
    np.save(folder / "train-labels.npy", array)
    adopt(folder, labels)
    with pytest.raises(DataError, match=message):
        read(folder)


def test_labels_are_compared_with_their_checksum(folder: Path) -> None:
    flip(folder / "train-labels.npy", 130)
    with pytest.raises(DataError, match=r"train-labels.npy must have the SHA-256"):
        read(folder)


def test_pixels_take_no_setting_of_files(folder: Path) -> None:
    for setting in ({"image_size": (2, 2)}, {"image_fit": "crop"}, {"skip_bad_pictures": True}):
        given = {"image_size": None, "image_fit": "stretch", "skip_bad_pictures": False, **setting}
        with pytest.raises(ConfigError, match=rf"holds pixels of one size, and takes no --{next(iter(setting))}"):
            source.records(folder, **given)


def test_the_manifest_is_what_the_page_says(folder: Path) -> None:
    found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    assert found["images"] == {"pixels": True, "size": [4, 3], "channels": 2}
    assert found["splits"]["train"]["label_counts"] == [12, 11]
    assert [shard["records"] for shard in found["splits"]["test"]["shards"]] == [1, 2, 2]
