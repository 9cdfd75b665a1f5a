"""Data sets in shards, whatever their format: order, labels, names, damage, and indexes that are kept."""

import importlib
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import shard_files

from tfcore.data import shard_index, shard_store
from tfcore.data.dataset import Dataset
from tfcore.data.encoded import EncodedSplit
from tfcore.data.fingerprint import fingerprint
from tfcore.data.sources.shards import find
from tfcore.errors import DataError

ROOT = Path(__file__).parents[2]
FORMS = list(shard_files.READERS)
INDEXED = [form for form in FORMS if form != "parquet"]
TRAIN, TEST = shard_files.some(9), shard_files.some(4, first=100)


def read(form: str, path: Path, **settings: Any) -> Dataset:
    name = shard_files.READERS[form]
    reader = getattr(importlib.import_module(f"tfcore.data.sources.{name}"), name)
    defaults = {"image_size": None, "image_fit": "stretch", "test_share": 0.3, "seed": 0, "skip_bad_pictures": False}
    return reader(path, **{**defaults, **settings})


def encoded(split: Any, indices: Any) -> list[tuple[bytes, int]]:
    """The encoded pictures at `indices` of a split, with their labels."""
    assert isinstance(split, EncodedSplit)
    rows = np.asarray(indices)
    return list(zip(split.store.read(split.in_store(rows)), split.labels[rows].tolist(), strict=True))


def shards_of(folder: Path) -> list[Path]:
    """The files of pictures, in order."""
    return sorted(path for path in folder.rglob("*-0000*") if path.is_file() and ".tfcore-index" not in path.parts)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder, where indexes go that cannot be beside their shards."""
    monkeypatch.setenv("TFCORE_DATA_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def folder(form: str, tmp_path: Path) -> Path:
    shard_files.write(form, tmp_path / "set", {"train": TRAIN, "test": TEST})
    return tmp_path / "set"


def test_pictures_and_labels_are_those_written_in_any_order(form: str, folder: Path) -> None:
    for _ in range(2):  # the second time from the index
        data = read(form, folder)
        assert data.name == f"{shard_files.READERS[form]}:{folder}"
        assert data.class_names == shard_files.CLASS_NAMES
        assert data.image_shape == (5, 4, 3)
        for split, written in ((data.train, TRAIN), (data.test, TEST)):
            assert len(split) == len(written)
            for order in (range(len(written)), [3, 0, 3, 1], []):
                assert encoded(split, np.array(order, np.int64)) == [written[index] for index in order]
    with shard_files.Image.open(shard_files.io.BytesIO(TRAIN[8][0])) as picture:
        np.testing.assert_array_equal(data.train.read(np.array([8]))[0], np.asarray(picture))


def test_a_share_is_held_out_without_a_test_split(form: str, tmp_path: Path) -> None:
    shard_files.write(form, tmp_path / "set", {"train": TRAIN})
    data = read(form, tmp_path / "set")
    assert (len(data.train), len(data.test)) == (6, 3)
    both = [*encoded(data.train, range(6)), *encoded(data.test, range(3))]
    assert sorted(both) == sorted(TRAIN)


def test_many_threads_read_the_same(form: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_store, "OPEN_FILES", 1)  # so that shards are closed while others read them
    train, wrong = read(form, folder).train, []

    def work(seed: int) -> None:
        for order in np.random.default_rng(seed).integers(0, len(TRAIN), (30, 8)):
            if encoded(train, order) != [TRAIN[index] for index in order]:
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_fingerprint_tells_data_sets_apart(form: str, folder: Path, tmp_path: Path) -> None:
    train = read(form, folder).train
    other = tmp_path / "other"
    shard_files.write(form, other, {"train": [(shard_files.png(99, (5, 6)), 0), *TRAIN[1:]], "test": TEST})
    folder.rename(tmp_path / "moved")
    assert fingerprint(read(form, tmp_path / "moved").train) == fingerprint(train)
    assert fingerprint(train.first(5)) != fingerprint(train)
    prints = {fingerprint(read(form, place, image_size=(5, 4)).train) for place in (tmp_path / "moved", other)}
    assert len(prints) == 2


@pytest.mark.parametrize("at", [0.0, 0.3, 0.5])
def test_a_shard_that_is_cut_short_is_named(form: str, folder: Path, at: float) -> None:
    shard = shards_of(folder)[-1]
    data = shard.read_bytes()
    shard.write_bytes(data[: int(at * len(data))])
    if form in ("tfrecord", "tfds") and not at:  # TFRecords without a record are an empty file
        assert len(read(form, folder).train) == 4
        return
    with pytest.raises(DataError) as caught:
        len(read(form, folder).train)
    assert str(shard) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", ["tfrecord", "tfds", "array_record"], indirect=True)
def test_a_changed_bit_is_found_by_the_checksums(form: str, folder: Path) -> None:
    shard = shards_of(folder)[-1]
    data = bytearray(shard.read_bytes())
    data[data.index(b"IDAT") + 20 if b"IDAT" in data else len(data) // 3] ^= 1
    shard.write_bytes(data)
    with pytest.raises(DataError, match=rf"{shard.name}.* damaged"):
        read(form, folder)


@pytest.mark.parametrize("form", INDEXED, indirect=True)
class TestIndex:
    """Indexes that are kept."""

    @pytest.fixture
    def made(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
        """The names of the shards whose index is made."""
        names: list[str] = []
        real = shard_index.indexed

        def counted(paths: Any, kind: str, make: Any) -> Any:
            def noted(path: Path, size_bytes: int) -> Any:
                names.append(path.name)
                return make(path, size_bytes)

            return real(paths, kind, noted)

        for reader in set(shard_files.READERS.values()):
            monkeypatch.setattr(importlib.import_module(f"tfcore.data.sources.{reader}"), "indexed", counted)
        return names

    def test_a_shard_is_indexed_once_and_again_when_it_is_replaced(
        self, form: str, folder: Path, made: list[str]
    ) -> None:
        read(form, folder)
        assert len(made) == 4
        assert all(path.parent.name == ".tfcore-index" for path in folder.rglob(f"*.{made[0]}.*"))
        made.clear()
        read(form, folder)
        assert made == []
        new = folder.parent / "new"
        pictures = shard_files.some(9, first=50)
        shard_files.write(form, new, {"train": pictures})
        os.replace(shards_of(new)[0], (shard := shards_of(folder)[-2]))
        data = read(form, folder)
        assert made == [shard.name]
        assert encoded(data.train, range(4)) == pictures[:4]
        assert encoded(data.train, range(4, 9)) == TRAIN[4:]

    @pytest.mark.parametrize("damage", ["flipped", "empty", "cut", "of another"])
    def test_a_bad_index_is_made_again(self, form: str, folder: Path, made: list[str], damage: str) -> None:
        read(form, folder)
        first, *others = sorted(folder.rglob(".tfcore-index/*"))
        data = bytearray(first.read_bytes())
        data[-8] ^= 1
        other = others[0].read_bytes()
        first.write_bytes({"flipped": data, "empty": b"", "cut": data[:-24], "of another": other}[damage])
        made.clear()
        assert encoded(read(form, folder).train, range(9)) == TRAIN
        assert len(made) == 1
        assert first.read_bytes() != data

    def test_a_lying_index_cannot_reach_beyond_the_shard(
        self, form: str, folder: Path, made: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = shard_index._keep

        def lies(path: Path, kind: str, stamp: Any, index: Any) -> bool:
            rows = index.rows.copy()
            rows["size"] = 1 << 40
            return real(path, kind, stamp, index._replace(rows=rows))

        with monkeypatch.context() as patched:
            patched.setattr(shard_index, "_keep", lies)
            read(form, folder)
        made.clear()
        assert encoded(read(form, folder).train, range(9)) == TRAIN
        assert len(made) == 4

    def test_indexes_go_into_the_cache_where_the_folder_cannot_be_written(
        self, form: str, folder: Path, cache: Path, made: list[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        for shard in shards_of(folder):
            (shard.parent / ".tfcore-index").touch()  # root may write to read-only folders too
        read(form, folder)
        assert len(list(cache.rglob("indexes/*/*.*"))) == 4
        assert len(made) == 4
        read(form, folder)
        assert len(made) == 4
        assert "can be written" not in caplog.text

    def test_it_goes_without_any_place_for_indexes(
        self, form: str, folder: Path, cache: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        for shard in shards_of(folder):
            (shard.parent / ".tfcore-index").touch()
        cache.touch()
        assert encoded(read(form, folder).train, range(9)) == TRAIN
        assert "can be written neither there nor in" in caplog.text

    def test_a_shard_that_changes_during_a_run_is_told(self, form: str, folder: Path) -> None:
        train = read(form, folder).train
        shard = shards_of(folder)[-1]
        os.utime(shard, ns=(0, 0))
        fresh = read(form, folder).train
        assert encoded(fresh, [8]) == [TRAIN[8]]
        again = train.first(9)
        again.store._open.clear()
        with pytest.raises(DataError, match=rf"{shard.name} has changed since it was indexed. Start again"):
            encoded(again, [8])


INDEXING = """
import sys
from pathlib import Path
from tfcore.data.shard_index import indexed
from tfcore.data.sources import webdataset

folder = Path(sys.argv[1])
for _ in range(40):
    for file in folder.glob(".tfcore-index/*.webdataset"):
        file.unlink(missing_ok=True)
    shards = indexed(sorted(folder.glob("*.tar")), "webdataset", webdataset._entries)
    print([shard.rows.tolist() for shard in shards])
"""


def test_two_processes_index_at_once(tmp_path: Path) -> None:
    """Each deletes what the other has written, again and again; forking is no way, as threads are running."""
    shard_files.write("webdataset", tmp_path, {"train": TRAIN, "test": TEST})
    command = [sys.executable, "-c", INDEXING, str(tmp_path)]
    processes = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    lines = [line for process in processes for line in process.communicate(timeout=60)[0].splitlines()]
    assert [process.returncode for process in processes] == [0, 0]
    assert (len(lines), len(set(lines))) == (80, 1)
    assert {path.name for path in (tmp_path / ".tfcore-index").iterdir()} == {
        f"{path.name}.webdataset" for path in shards_of(tmp_path)
    }


def test_few_files_stay_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_store, "OPEN_FILES", 3)
    for number in range(20):
        name = tmp_path / f"train-{number:06d}.tar"
        shard_files.write_tar(name, [("a.png", TRAIN[number % 2][0]), ("a.cls", b"%d" % (number % 2))])
    before = len(os.listdir("/proc/self/fd"))
    data = read("webdataset", tmp_path)
    for split in (data.train, data.test):
        split.read(np.arange(len(split)))
    assert len(os.listdir("/proc/self/fd")) <= before + 2 * 3
    del data, split
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.parametrize(
    ("names", "train", "test"),
    [
        (["train-0.tar", "test-0.tar"], ["train-0.tar"], ["test-0.tar"]),
        (["b.tar", "a.tar"], ["a.tar", "b.tar"], []),
        (["train-1.tar", "train-0.tar", "val-0.tar"], ["train-0.tar", "train-1.tar"], ["val-0.tar"]),
        (["training/0.tar", "dev/0.tar", ".git/test.tar"], ["training/0.tar"], ["dev/0.tar"]),
        (["test_set-train.tar", "test_set-validation.tar"], ["test_set-train.tar"], ["test_set-validation.tar"]),
        (["train.tar", "test.tar", "val.tar", "extra.tar"], ["train.tar"], ["test.tar"]),
    ],
)  # fmt: skip
def test_splits_are_told_by_names(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, names: list[str], train: list[str], test: list[str]
) -> None:
    for name in [*names, "readme.md"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find(tmp_path, r".+\.tar$", "LAYOUT")
    assert [[str(path.relative_to(tmp_path)) for path in part] for part in found] == [train, test]
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}: 2 shards are of neither the training nor the test split and are not used, such as "
        f"{tmp_path}/extra.tar."
    ] * ("extra.tar" in names)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "holds no shard. LAYOUT"),
        (["test.tar"], "holds no shard to train on"),
        (["a/train.tar", "b/train.tar"], "must be in one folder. Found some in .*/a and in .*/b: name the folder"),
    ],
)
def test_folders_without_a_data_set_are_refused(tmp_path: Path, names: list[str], message: str) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=message):
        find(tmp_path, r".+\.tar$", "LAYOUT")
    with pytest.raises(DataError, match=r"nothing: No such file or directory. LAYOUT"):
        find(tmp_path / "nothing", "", "LAYOUT")


def test_missing_shards_of_a_numbered_set_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("train-00000-of-00003", "train-00002-of-00003", "test-00000-of-00001"):
        (tmp_path / name).touch()
    find(tmp_path, ".", "")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "only 2 of 3 shards are there, such as train-00000-of-00003" in record.getMessage()
