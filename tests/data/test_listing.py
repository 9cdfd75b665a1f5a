"""The list of a large folder is kept until a folder changes, and tells files that are not those that were listed."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tfcore.data import index_files
from tfcore.data.file_list import ListedFiles
from tfcore.data.fingerprint import fingerprint
from tfcore.data.sources import listing
from tfcore.data.sources.folder import folder
from tfcore.data.store import FileStore
from tfcore.errors import DataError

NAMES = ["a.png", "é.png", "\udcff.PNG", "b" * 200 + ".png", "c.jpeg"]


@pytest.fixture(autouse=True)
def _every_list_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(listing, "KEPT_FROM", 0)
    monkeypatch.setattr(listing, "_SETTLED_SECS", -3600.0)  # as if the folders were old
    monkeypatch.setenv("TFCORE_DATA_DIR", str(tmp_path / "cache"))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A class of five pictures and one of two, to train and to test on, and three files that are no pictures."""
    for part in ("train", "test"):
        for label, (name, count) in enumerate({"cat": 5, "dög": 2}.items()):
            (tmp_path / "data" / part / name).mkdir(parents=True)
            for number, file in enumerate(NAMES[:count]):
                path = tmp_path / "data" / part / name / file
                Image.new("L", (4, 3 + number), 10 * label + number).save(path, "PNG")
    for name in ("x.txt", "train/y.txt", "test/cat/z.txt"):
        (tmp_path / "data" / name).write_bytes(b"")
    return tmp_path / "data"


def read(path: Path) -> Any:
    return folder(path, image_size=(4,), image_fit="stretch", test_share=0.5, seed=0, skip_bad_pictures=False)


def paths(path: Path) -> list[str]:
    return list(listing.listed(path).parts["train"].stored(path / "train").store.paths)


@pytest.fixture
def scans(place: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that were listed since the beginning of the test."""
    found: list[str] = []
    real = os.scandir

    def counted(path: str | int) -> Any:
        if str(path).startswith(str(place)):
            found.append(str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", counted)
    return found


def test_a_kept_list_is_the_list(place: Path, scans: list[str], caplog: pytest.LogCaptureFixture) -> None:
    first = read(place)
    listed = len(scans)
    again = read(place)
    assert len(scans) == listed > 0
    expected = [str(place / "train" / name / NAMES[0]) for name in ("cat", "dög")]
    assert first.train.store.paths[:2] == again.train.store.paths[:2] == expected
    files = sorted(str(path) for path in (place / "train").glob("*/*"))
    assert sorted(first.train.store.paths) == sorted(again.train.store.paths) == files
    np.testing.assert_array_equal(first.train.labels, again.train.labels)
    np.testing.assert_array_equal(again.train.labels, [0, 1, 0, 1, 0, 0, 0])
    np.testing.assert_array_equal(first.train.read(np.arange(7)), again.train.read(np.arange(7)))
    assert fingerprint(first.train) == fingerprint(again.train)
    warnings = {record.message for record in caplog.records}
    assert len(warnings) == 1
    assert "2 entries are no picture files and are ignored: " in warnings.pop()


def test_the_fingerprint_is_the_one_of_the_files_themselves(place: Path) -> None:
    store = read(place).train.store
    assert isinstance(store, ListedFiles)
    rows = np.array([3, 0, 5])
    assert b"".join(store.identity(rows)) == b"".join(FileStore(list(store.paths)).identity(rows))


def test_the_kept_file_is_beside_the_folder_or_in_the_cache_folder(
    place: Path, monkeypatch: pytest.MonkeyPatch, scans: list[str], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    read(place)
    assert [path.name for path in (tmp_path / ".tfcore-index").iterdir()] == ["data.folder"]
    shutil.rmtree(tmp_path / ".tfcore-index")
    (tmp_path / ".tfcore-index").write_bytes(b"")  # so that no folder of that name can be made
    read(place)
    listed = len(scans)
    read(place)
    assert len(scans) == listed
    assert len(list((tmp_path / "cache" / "indexes").glob("*/data.folder"))) == 1
    shutil.rmtree(tmp_path / "cache")
    monkeypatch.setenv("TFCORE_DATA_DIR", str(tmp_path / ".tfcore-index"))
    caplog.clear()
    read(place)
    assert len(scans) > listed
    assert caplog.records[0].message.startswith(f"The index of {place} can be written neither there nor in ")


def add(place: Path) -> None:
    shutil.copy(place / "train" / "cat" / "a.png", place / "train" / "cat" / "new.png")


def remove(place: Path) -> None:
    (place / "train" / "cat" / "a.png").unlink()


def rename(place: Path) -> None:
    (place / "train" / "cat" / "a.png").rename(place / "train" / "cat" / "new.png")


def move(place: Path) -> None:
    (place / "train" / "cat" / "c.jpeg").rename(place / "train" / "dög" / "c.jpeg")


def add_class(place: Path) -> None:
    for part in ("train", "test"):
        shutil.copytree(place / part / "cat", place / part / "cow")


def swap_classes(place: Path) -> None:
    for old, new in (("cat", "x"), ("dög", "cat"), ("x", "dög")):
        (place / "train" / old).rename(place / "train" / new)


def put_another(place: Path) -> None:
    """Puts another folder in place of one, with its times."""
    folder = place / "train" / "cat"
    times = folder.stat()
    folder.rename(place.parent / "old")
    shutil.copytree(place.parent / "old", folder)
    (folder / "a.png").rename(folder / "new.png")
    os.utime(folder, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("change", [add, remove, rename, move, add_class, swap_classes, put_another])
def test_a_change_of_any_folder_is_seen(place: Path, change: Any) -> None:
    def found() -> list[tuple[str, tuple[str, ...], list[str]]]:
        parts = listing.listed(place).parts.items()
        return [(part, files.class_names, list(files.stored(place).store.paths)) for part, files in parts]

    before = found()
    assert found() == before
    change(place)
    after = found()
    assert after != before
    shutil.rmtree(place.parent / ".tfcore-index")
    assert found() == after


def test_a_folder_that_changed_just_now_is_listed_again(
    place: Path, monkeypatch: pytest.MonkeyPatch, scans: list[str]
) -> None:
    monkeypatch.setattr(listing, "_SETTLED_SECS", 2.0)
    read(place)
    listed = len(scans)
    read(place)
    assert len(scans) == 2 * listed
    later = time.time() + 3
    monkeypatch.setattr(time, "time", lambda: later)
    read(place)
    read(place)
    assert len(scans) == 3 * listed


def test_a_part_that_is_gone_is_seen(place: Path) -> None:
    assert list(listing.listed(place).parts) == ["train", "test"]
    shutil.rmtree(place / "test")
    with pytest.raises(DataError, match="train is an empty class"):
        listing.listed(place)


def test_a_small_folder_is_listed_every_time(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "KEPT_FROM", 15)
    read(place)
    assert not (place.parent / ".tfcore-index").exists()


def test_a_file_of_another_size_is_told(place: Path) -> None:
    read(place)
    split = read(place).train
    place_of = split.store.paths.index(str(place / "train" / "cat" / "a.png"))
    Image.new("L", (40, 30), 3).save(place / "train" / "cat" / "a.png")  # which does not change the folder
    with pytest.raises(DataError, match=r"cat/a\.png has \d+ bytes, and had \d+ when .* listed.*: touch .*/train/cat$"):
        split.read(np.array([place_of]))
    with pytest.raises(DataError, match="when its folder was listed"):
        read(place).train.read(np.array([place_of]))
    os.utime(place / "train" / "cat")
    assert read(place).train.read(np.array([place_of]))[0, 0, 0, 0] == 3


def damaged(place: Path) -> Iterator[None]:
    """Damages the kept list in many ways, with the right checksum of its own where that is possible."""
    file = place.parent / ".tfcore-index" / "data.folder"
    good = file.read_bytes()
    for at in (0, 5, 16, len(good) // 2, len(good) - 1):
        file.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        yield
        file.write_bytes(good[:at])
        yield
    ((head, body),) = index_files.kept(place, "folder")
    version, extensions, stamps, parts, ignored, examples = head
    odd = [
        None, [], {}, "x", [*head, 1], [2, *head[1:]], [version, [], *head[2:]],
        *([version, extensions, stamps, other, ignored, examples] for other in (
            {}, [], None, {"train": parts["train"]}, {**parts, "": parts["train"]},
            {part: [names, [10**18, -(10**18)]] for part, (names, _) in parts.items()},
            {part: [names, [-1, 8]] for part, (names, _) in parts.items()},
            {part: [names, [7]] for part, (names, _) in parts.items()},
            {part: [names, ["a"]] for part, (names, _) in parts.items()},
            {part: [names, [[5, 2]]] for part, (names, _) in parts.items()},
            {part: [[*names, "/etc"], [5, 2, 0]] for part, (names, _) in parts.items()},
            {part: names for part, (names, _) in parts.items()},
        )),
        [version, extensions, stamps, parts, "many", examples], [version, extensions, stamps, parts, ignored, 3],
        [version, extensions, [], parts, ignored, examples], [version, extensions, None, parts, ignored, examples],
    ]  # fmt: skip
    for other in odd:
        index_files.keep(place, "folder", other, bytes(body))
        yield
    for other_body in (b"", bytes(body)[:-1], bytes(body) + b"x", bytes(len(body)), b"\xff" * len(body)):
        index_files.keep(place, "folder", head, other_body)
        yield


def test_a_damaged_list_is_not_used(place: Path, scans: list[str]) -> None:
    good = paths(place)
    for number, _ in enumerate(damaged(place)):
        before = len(scans)
        assert paths(place) == good, number
        assert len(scans) > before, number
    assert number > 20


def test_a_list_of_names_outside_of_the_folder_is_not_used(place: Path) -> None:
    good = paths(place)
    ((head, body),) = index_files.kept(place, "folder")
    index_files.keep(place, "folder", head, bytes(body).replace(b"a.png", b"../.g"))
    assert paths(place) == good
    index_files.keep(place, "folder", json.loads(json.dumps(head).replace('"cat"', '"../train/cat"')), bytes(body))
    assert paths(place) == good
