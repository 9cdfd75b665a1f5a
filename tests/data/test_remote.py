"""Remote data against a web server on loopback: the same data as local, faults, changes at the server."""

import importlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import shard_files
from support.record_sets import DATA, OPTIONS, change_manifest
from support.web_server import WebServer, serving

from tfcore.data import fetching, record_writer
from tfcore.data.dataset import Dataset
from tfcore.data.fingerprint import fingerprint
from tfcore.data.remote import local_folder
from tfcore.data.remote_files import ATTEMPTS, Waits
from tfcore.data.sources import records
from tfcore.errors import ConfigError, DataError

SHARD = "train-00001-of-00003.arrayrecord"
GIGABYTE = 2**30
FAST = Waits(0.01, 1.0)
SETTINGS: dict[str, Any] = {**OPTIONS, "test_share": 0.3, "seed": 0}


@pytest.fixture(autouse=True, scope="module")
def fast() -> Iterator[None]:
    """Attempts follow each other quickly; the workers are those of this file."""
    fetching.end()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetching, "WAITS", FAST)
        yield
        fetching.end()


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is in memory, and no warning was given before."""
    monkeypatch.setattr(fetching, "_told", set())
    monkeypatch.setattr(records, "IN_MEMORY_BYTES", 0)
    monkeypatch.setenv("TFCORE_DATA_DIR", str(tmp_path / "other"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    """Serves `made`, DATA in three shards a split."""
    record_writer.write(DATA, tmp_path / "served" / "made", shards=3)
    with serving(tmp_path / "served") as found:
        yield found


def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def opened(tmp_path: Path, url: str, kind: str = "records", cache_bytes: int = GIGABYTE) -> Dataset:
    """Reads a remote data set."""
    folder = local_folder(kind, url, cache(tmp_path), cache_bytes)
    if kind == "records":
        return records.records(folder, **OPTIONS)
    return getattr(importlib.import_module(f"tfcore.data.sources.{kind}"), kind)(folder, **SETTINGS)


def pixels(data: Dataset) -> np.ndarray:
    return data.train.read(np.arange(len(data.train)))


def kept(tmp_path: Path) -> list[str]:
    """The files of the cache that are no descriptions and no locks."""
    names = (path.name for path in (cache(tmp_path) / ".shards").iterdir() if path.is_file())
    return sorted(name for name in names if not name.endswith((".json", ".lock")))


def test_records_are_those_at_the_server(server: WebServer, tmp_path: Path) -> None:
    data = opened(tmp_path, f"{server.url}/made/")
    np.testing.assert_array_equal(pixels(data), DATA.train.images)
    np.testing.assert_array_equal(data.train.labels, DATA.train.labels)
    assert fingerprint(data.train) == fingerprint(records.records(server.folder / "made", **OPTIONS).train)
    assert set(server.downloads.values()) == {1}


def test_later_starts_download_the_manifest_alone(server: WebServer, tmp_path: Path) -> None:
    pixels(opened(tmp_path, f"{server.url}/made"))
    server.downloads.clear()
    pixels(opened(tmp_path, f"{server.url}/made"))
    assert dict(server.downloads) == {"made/manifest.json": 1}


FAULTS: list[list[Any]] = [["cut"], [500, 503], ["wrong"], ["silent"], ["slow"], [429, "cut", "wrong"]]
PASSING = [(SHARD, faults) for faults in FAULTS] + [("manifest.json", [500, "cut"]), ("train-labels.npy", ["wrong"])]


@pytest.mark.parametrize(("name", "faults"), PASSING)
def test_a_fault_that_passes_is_told_once(
    server: WebServer, tmp_path: Path, faults: list[Any], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    server.faults[name] = list(faults)
    np.testing.assert_array_equal(pixels(opened(tmp_path, f"{server.url}/made")), DATA.train.images)
    assert server.faults[name] == []
    expected = 0 if faults == ["slow"] else 1
    assert len(caplog.messages) == expected
    for message in caplog.messages:
        assert message.startswith(f"Cannot read {server.url}/made/{name}: ")
        assert message.endswith(". Trying again.")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (404, "there is no such file|the server answered 404"),
        (403, "the server answered 403"),
        (500, f"the server answered 500 Internal Server Error, {ATTEMPTS} times in turn. Check the network and"),
        ("cut", "the transfer broke off .*times in turn"),
        ("wrong", "its SHA256 must be [0-9a-f]{64}, and what came has [0-9a-f]{64}, .*times in turn"),
    ],
)
def test_a_fault_that_stays_is_one_line_with_the_address(
    server: WebServer, tmp_path: Path, fault: Any, message: str
) -> None:
    data = opened(tmp_path, f"{server.url}/made")
    server.faults[SHARD], server.lasting = [fault], True
    with pytest.raises(DataError, match=rf"^Cannot read {server.url}/made/{SHARD}: ({message})") as error:
        pixels(data)
    assert "\n" not in str(error.value)
    assert len(kept(tmp_path)) in (3, 4)  # the labels and other shards, whole
    server.faults.clear()
    np.testing.assert_array_equal(pixels(data), DATA.train.images)


def test_a_server_that_is_gone(server: WebServer, tmp_path: Path) -> None:
    data = opened(tmp_path, f"{server.url}/made")
    server.stop()
    with pytest.raises(DataError, match=r"no connection \(Connection refused\), 6 times in turn"):
        pixels(data)
    server.start()
    np.testing.assert_array_equal(pixels(data), DATA.train.images)


def test_a_data_set_that_is_written_anew_is_another(server: WebServer, tmp_path: Path) -> None:
    pixels(opened(tmp_path, f"{server.url}/made"))
    os.rename(server.folder / "made", server.folder / "old")
    changed = Dataset("new", DATA.test, DATA.test, DATA.class_names)
    record_writer.write(changed, server.folder / "made", shards=3)
    np.testing.assert_array_equal(pixels(opened(tmp_path, f"{server.url}/made")), DATA.test.images)


def test_data_that_another_process_found_anew_are_not_mixed_with_the_old(server: WebServer, tmp_path: Path) -> None:
    data = opened(tmp_path, f"{server.url}/made")
    pixels(data)
    os.rename(server.folder / "made", server.folder / "old")
    changed = Dataset("new", replace(DATA.train, images=255 - DATA.train.images), DATA.test, DATA.class_names)
    record_writer.write(changed, server.folder / "made", shards=3)
    again = opened(tmp_path, f"{server.url}/made")
    data.train._store._open.clear()  # type: ignore[union-attr]
    with pytest.raises(DataError, match=r"has changed since the run began: another process found new data"):
        pixels(data)
    np.testing.assert_array_equal(pixels(again), 255 - DATA.train.images)


def test_a_shard_that_is_damaged_in_the_cache_is_downloaded_anew(server: WebServer, tmp_path: Path) -> None:
    pixels(opened(tmp_path, f"{server.url}/made"))
    for name in kept(tmp_path):
        path = cache(tmp_path) / ".shards" / name
        before = path.stat()
        path.write_bytes(b"\xff" * before.st_size)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    for _ in range(8):  # labels of two splits and three shards, one at a time
        try:
            np.testing.assert_array_equal(pixels(opened(tmp_path, f"{server.url}/made")), DATA.train.images)
            break
        except DataError as error:
            told = str(error)
    else:
        raise AssertionError(told)
    assert "damaged" in told
    assert told.endswith("Start again, which downloads it anew.")


def test_a_shard_that_is_not_the_manifests_is_refused(server: WebServer, tmp_path: Path) -> None:
    (server.folder / "made" / SHARD).write_bytes(b"something else")
    with pytest.raises(DataError, match=rf"made/{SHARD}: it must have [0-9]+ bytes, and 14 came"):
        pixels(opened(tmp_path, f"{server.url}/made"))


@pytest.mark.parametrize("form", list(shard_files.READERS))
def test_shards_of_other_formats(tmp_path: Path, form: str) -> None:
    splits = {"train": shard_files.some(9), "test": shard_files.some(4, first=100)}
    shard_files.write(form, tmp_path / "served" / "my pets", splits)
    kind = shard_files.READERS[form]
    reader = getattr(importlib.import_module(f"tfcore.data.sources.{kind}"), kind)
    local = reader(tmp_path / "served" / "my pets", **SETTINGS)
    with serving(tmp_path / "served") as server:
        data = opened(tmp_path, f"{server.url}/my%20pets", kind)
        np.testing.assert_array_equal(pixels(data), pixels(local))
        assert (fingerprint(data.train), data.class_names) == (fingerprint(local.train), local.class_names)
        server.downloads.clear()
        pixels(opened(tmp_path, f"{server.url}/my%20pets", kind))
        assert not [path for path in server.downloads if not path.endswith((".txt", ".json"))]


def test_shards_of_one_name_are_refused(server: WebServer, tmp_path: Path) -> None:
    for number in range(2):
        (server.folder / f"part-{number}").mkdir()
        (server.folder / f"part-{number}" / "train.tar").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"must name shards that differ in the last part of the address\.$"):
        opened(tmp_path, f"{server.url}/part-{{0..1}}/train.tar", "webdataset")


@pytest.mark.parametrize("query", ["", "?token=abc"])
def test_folders_below_are_listed_and_asked_for_again(tmp_path: Path, query: str) -> None:
    """One whose listing fails is not left out; what follows a question mark goes with every request."""
    for name in ("train", "val"):
        tars(tmp_path / "served" / "set" / name)
    with serving(tmp_path / "served") as server:
        server.faults["val/"] = [500, 500]
        found = fetching.ask("list", url=f"{server.url}/set{query}", pattern=r".*\.tar")
        assert [one["name"] for one in found] == [
            f"{name}/train-0{n}.tar" for name in ("train", "val") for n in range(3)
        ]
        assert all(one["url"] == f"{server.url}/set/{one['name']}{query}" for one in found)
        server.faults["val/"], server.lasting = [500], True
        with pytest.raises(DataError, match=rf"^Cannot read {server.url}/set: the server answered 500"):
            fetching.ask("list", url=f"{server.url}/set{query}", pattern=r".*\.tar")


def tars(folder: Path) -> None:
    """Three shards of WebDataset, and the names of the classes."""
    for number in range(3):
        members = [
            member
            for n, (data, label) in enumerate(shard_files.some(4, first=10 * number))
            for member in ((f"{n}.png", data), (f"{n}.cls", b"%d" % label))
        ]
        shard_files.write_tar(folder / f"train-{number:02d}.tar", members)
    (folder / "class_names.txt").write_text("cat\ndog\n")


def test_braces_name_shards_that_no_server_lists(tmp_path: Path) -> None:
    tars(tmp_path / "served")
    with serving(tmp_path / "served") as server:
        two = opened(tmp_path, server.url + "/train-{00..01}.tar?token=secret", "webdataset")
        assert len(two.train) + len(two.test) == 8
        one = opened(tmp_path, f"{server.url}/train-02.tar", "webdataset")
        assert len(one.train) + len(one.test) == 4
        assert one.class_names == two.class_names == ("cat", "dog")
        with pytest.raises(DataError, match=f"^Cannot read {server.url}/train-03.tar: ") as error:
            opened(tmp_path, server.url + "/train-{00..03}.tar?token=secret", "webdataset")
    assert "secret" not in str(error.value)


def test_a_shard_that_changes_at_the_server(tmp_path: Path) -> None:
    tars(tmp_path / "served")
    shard = tmp_path / "served" / "train-01.tar"
    with serving(tmp_path / "served") as server:
        old = opened(tmp_path, server.url, "webdataset")
        os.utime(shard, (10**9, 10**9))
        for path in (cache(tmp_path) / ".shards").glob("*.[0-9]*"):
            path.unlink()
        old.train.store._open.clear()
        with pytest.raises(DataError, match=r"train-01\.tar has changed since it was listed. Start again"):
            pixels(old)
        server.downloads.clear()
        pixels(opened(tmp_path, server.url, "webdataset"))
        assert server.downloads["train-01.tar"] == 1
        assert server.downloads["train-00.tar"] <= 1


def test_a_damaged_shard_is_downloaded_anew(tmp_path: Path) -> None:
    tars(tmp_path / "served")
    with serving(tmp_path / "served") as server:
        server.faults["train-01.tar"] = ["wrong"]
        with pytest.raises(DataError, match=r"train-01\.tar is damaged"):
            opened(tmp_path, server.url, "webdataset")
        assert len(opened(tmp_path, server.url, "webdataset").train)


@pytest.mark.parametrize(
    ("kind", "url", "error", "message"),
    [
        ("folder", "https://h/a", ConfigError, "reads local files. Received https://h/a. Convert the data set"),
        ("npz", "s3://h/a.npz", ConfigError, "reads local files"),
        ("records", "https://", ConfigError, "takes a path, or an address such as https://HOST/FOLDER"),
        ("records", "hppt://h/a", DataError, "Name one that starts with https://, s3:// or gs://"),
        ("records", "gs://h/a", DataError, r"gs:// needs a package \(.*\). Install it with `pip install tfcore\[rem"),
        ("webdataset", "https://h/{5..2}.tar", ConfigError, "must name 1 to 1000000 shards. It names 0"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, kind: str, url: str, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        local_folder(kind, url, cache(tmp_path), GIGABYTE)


def test_folders_without_data(server: WebServer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"Cannot read {server.url}/none/manifest.json: "):
        opened(tmp_path, f"{server.url}/none")
    with pytest.raises(DataError, match=f"Cannot read {server.url}/none: "):
        opened(tmp_path, f"{server.url}/none", "webdataset")
    (server.folder / "empty").mkdir()
    with pytest.raises(DataError, match=f"{server.url}/empty lists no shard. Name a folder that the server lists"):
        opened(tmp_path, f"{server.url}/empty", "webdataset")


@pytest.mark.parametrize("name", ["../x.tar", "/x.tar", "a/../../x.tar", ".hidden/x.tar", "a\0.tar", "a\nb.tar"])
def test_names_outside_of_the_folder_are_left_out(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        {"name": one, "url": f"https://h/{number}.tar", "size": 5, "tag": "", "md5": ""}
        for number, one in enumerate((name, "b.tar"))
    ]
    monkeypatch.setattr(fetching, "ask", lambda *_, **__: found)
    folder = local_folder("webdataset", "https://h/d", cache(tmp_path), GIGABYTE)
    assert [path.name for path in folder.iterdir()] == ["b.tar"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache"]


def test_an_unknown_host_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no connection \(the name of the host is not known\), 6 times in turn"):
        local_folder("records", "https://no.such.host.invalid/a", cache(tmp_path), GIGABYTE)


def test_a_manifest_with_names_outside_is_refused(server: WebServer, tmp_path: Path) -> None:
    change_manifest(server.folder / "made", lambda found: found["splits"]["train"]["shards"][0].update(file="../x"))
    with pytest.raises(DataError, match="train must name the file train-00000"):
        opened(tmp_path, f"{server.url}/made")


def test_the_cache_must_hold_the_largest_file(server: WebServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--cache_bytes must hold the largest file of .*, which is t.* Received 9"):
        opened(tmp_path, f"{server.url}/made", cache_bytes=9)
