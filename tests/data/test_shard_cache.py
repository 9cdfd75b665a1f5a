"""The cache of remote shards: its limit, several processes, processes that are killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from support.web_server import WebServer, serving

from tfcore.data import fetching, shard_cache
from tfcore.data.cache_room import UNFINISHED, make_room
from tfcore.data.fetching import ask
from tfcore.data.layout import Layout
from tfcore.data.open_shards import OpenShards
from tfcore.data.read_ahead import ReadAhead
from tfcore.data.remote_files import Waits
from tfcore.data.shard_cache import RemoteFile
from tfcore.errors import DataError

SIZE, COUNT = 1000, 6
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True, scope="module")
def workers() -> Iterator[None]:
    """The workers are those of this file."""
    fetching.end()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetching, "WAITS", Waits(0.01, 5.0))
        yield
        fetching.end()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    """Serves COUNT files of SIZE bytes, each of one letter."""
    folder = tmp_path / "served"
    folder.mkdir()
    for number in range(COUNT):
        (folder / f"{number}.tar").write_bytes(content(number))
    with serving(folder) as found:
        yield found


def content(number: int) -> bytes:
    return bytes([65 + number]) * SIZE


def links(server: WebServer, folder: Path, limit: int) -> list[Path]:
    """Makes a cache with links to all files of the server."""
    shard_cache.set_limit(folder, limit)
    paths = [folder / "data" / f"{number}.tar" for number in range(COUNT)]
    for path in paths:
        shard_cache.put_link(folder, path, RemoteFile(f"{server.url}/{path.name}", SIZE, ""))
    return paths


def read(path: Path) -> bytes:
    with shard_cache.held(path):
        return path.read_bytes()


def there(paths: list[Path]) -> list[int]:
    return [number for number, path in enumerate(paths) if path.exists()]


def test_the_shards_used_longest_ago_are_deleted(server: WebServer, tmp_path: Path) -> None:
    paths = links(server, tmp_path / "cache", 3 * SIZE)
    for number in (0, 1, 2, 0, 3):
        assert read(paths[number]) == content(number)
    assert there(paths) == [0, 2, 3]
    shard_cache.touch(paths[0])
    read(paths[4])
    assert there(paths) == [0, 3, 4]
    assert server.downloads.total() == 5


def test_size_and_time_of_a_shard_do_not_depend_on_the_download(server: WebServer, tmp_path: Path) -> None:
    paths = links(server, tmp_path / "cache", SIZE)
    before = shard_cache.status(paths[0])
    read(paths[0])
    assert shard_cache.status(paths[0]) == before == (SIZE, paths[0].stat().st_mtime_ns)
    assert shard_cache.is_remote(paths[0])
    assert not shard_cache.is_remote(server.folder / "0.tar")
    assert not shard_cache.is_missing(server.folder / "0.tar")
    (tmp_path / "link").symlink_to(".shards/a.tar")
    assert not shard_cache.is_remote(tmp_path / "link")


def test_a_shard_that_is_held_is_not_deleted(server: WebServer, tmp_path: Path) -> None:
    paths = links(server, tmp_path / "cache", SIZE)
    with shard_cache.held(paths[0]):
        assert read(paths[1]) == content(1)
        assert there(paths) == [0, 1]
    read(paths[2])
    assert there(paths) == [2]


def test_an_open_shard_stays_readable_until_another_is_opened(server: WebServer, tmp_path: Path) -> None:
    paths = links(server, tmp_path / "cache", 2 * SIZE)

    def open_one(number: int) -> "os.PathLike[str] | object":
        with shard_cache.held(paths[number]):
            return paths[number].open("rb")

    shards = OpenShards(paths, open_one, most=COUNT)
    found = dict(shards.readers(range(COUNT)))
    assert [file.read() for file in found.values()] == [content(number) for number in range(COUNT)]
    assert len(shards) == len(there(paths)) == 2
    for file in found.values():
        file.close()


def test_a_changed_size_is_noticed(server: WebServer, tmp_path: Path) -> None:
    paths = links(server, tmp_path / "cache", 3 * SIZE)
    read(paths[0])
    os.truncate(paths[0], 10)
    assert shard_cache.is_missing(paths[0])
    assert read(paths[0]) == content(0)


def test_many_threads_download_a_shard_once(server: WebServer, tmp_path: Path) -> None:
    paths = links(server, tmp_path / "cache", 10 * SIZE)
    server.faults["0.tar"] = ["slow"]
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(read(paths[0]))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [content(0)] * 4
    assert server.downloads["0.tar"] == 1


READER = """
import sys
from pathlib import Path
from tfcore.data import shard_cache
shard_cache.set_limit(Path(sys.argv[1]), int(sys.argv[2]))
for path in sys.argv[3:]:
    with shard_cache.held(Path(path)):
        print(Path(path).read_text()[:1], end="")
"""


def reader(folder: Path, limit: int, paths: list[Path]) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", READER, str(folder), str(limit), *map(str, paths)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize("limit", [10 * SIZE, 2 * SIZE])
def test_processes_share_a_cache(server: WebServer, tmp_path: Path, limit: int) -> None:
    paths = links(server, tmp_path / "cache", limit)
    processes = [reader(tmp_path / "cache", limit, order) for order in (paths, paths[::-1])]
    assert [process.communicate(timeout=60)[0] for process in processes] == ["ABCDEF", "FEDCBA"]
    assert [process.returncode for process in processes] == [0, 0]
    if limit == 10 * SIZE:
        assert set(server.downloads.values()) == {1}
    assert len(there(paths)) <= limit // SIZE
    assert not list((tmp_path / "cache").rglob(f"*{UNFINISHED}"))


def test_a_killed_process_leaves_no_shard_and_no_lock(server: WebServer, tmp_path: Path) -> None:
    paths = links(server, tmp_path / "cache", 10 * SIZE)
    server.faults["0.tar"] = ["slow"] * 50
    server.pause_secs = 0.5
    process = reader(tmp_path / "cache", 10 * SIZE, paths[:1])
    while not list((tmp_path / "cache").rglob(f"*{UNFINISHED}")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    server.pause_secs = 0.0
    assert not paths[0].exists()
    assert read(paths[0]) == content(0)
    read(paths[1])
    assert not list((tmp_path / "cache").rglob(f"*{UNFINISHED}"))


def test_what_a_killed_download_left_is_no_part_of_the_cache(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    (tmp_path / f"abc.500{UNFINISHED}").write_bytes(b"half")
    (tmp_path / "def.300").write_bytes(b"x" * 300)
    make_room(tmp_path, 600, 1000)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["def.300", "locks"]
    make_room(tmp_path, 800, 1000)
    assert [path.name for path in tmp_path.iterdir()] == ["locks"]


def test_shards_are_fetched_ahead(server: WebServer, tmp_path: Path) -> None:
    paths = links(server, tmp_path / "cache", 10 * SIZE)
    shard_cache.fetch_ahead(paths[:3])
    deadline = time.monotonic() + 20
    while there(paths) != [0, 1, 2] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert there(paths) == [0, 1, 2]
    server.stop()
    shard_cache.fetch_ahead(paths[3:])  # a failure is told when the shard is needed
    assert read(paths[0]) == content(0)


def test_shards_of_later_rows_are_fetched_ahead(server: WebServer, tmp_path: Path) -> None:
    paths = links(server, tmp_path / "cache", 10 * SIZE)
    ahead = ReadAhead(Layout(paths, np.arange(1, COUNT + 1) * 10))
    compute = tf.function(lambda rows: rows + ahead(rows), autograph=False)
    for _ in range(3):
        assert compute(tf.constant([5, 39, 30, 31], tf.int64)).numpy().tolist() == [5, 39, 30, 31]
    deadline = time.monotonic() + 20
    while there(paths) != [0, 3] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert there(paths) == [0, 3]
    assert server.downloads.total() == 2


def test_a_cache_that_cannot_be_written(server: WebServer, tmp_path: Path) -> None:
    paths = links(server, tmp_path / "cache", 10 * SIZE)
    (tmp_path / "cache" / ".shards" / ".room.lock").mkdir()
    with pytest.raises(DataError, match=r"\.shards cannot keep http.*0\.tar: Is a directory\. Make room, give a small"):
        read(paths[0])


def test_a_worker_that_ends_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    fetching.end()
    monkeypatch.setattr(fetching, "_ROOT", "/nowhere")
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setattr(sys, "executable", "/bin/false")  # whether it ends before the request or after it
    with pytest.raises(DataError, match="The process that fetches remote files has ended"):
        ask("describe", urls=[])


def test_an_interrupted_request_leaves_no_answer_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    fetching.end()
    with monkeypatch.context() as patch:
        patch.setattr(fetching.json, "loads", interrupt)
        with pytest.raises(KeyboardInterrupt):
            ask("describe", urls=[])
    assert ask("describe", urls=[]) == []


def interrupt(_: str) -> None:
    raise KeyboardInterrupt


def test_what_no_one_expected_is_an_answer() -> None:
    with pytest.raises(DataError, match=r"^Cannot fetch a file: .*Give the same command again\.$"):
        ask("describe", urls=[5])


def test_several_processes_may_write_one_file(tmp_path: Path) -> None:
    """As the workers of one run that start at the same time; each reads a whole text."""
    path, texts = tmp_path / "manifest.json", {letter * 10_000 for letter in "ab"}

    def write(text: str) -> None:
        for _ in range(200):
            shard_cache.write_text(path, text)
            assert path.read_text() in texts

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, [*texts, *texts]))
    assert [one.name for one in tmp_path.iterdir()] == ["manifest.json"]


def test_several_processes_may_link_one_shard(tmp_path: Path) -> None:
    files = [RemoteFile("http://h/0.tar", size, "") for size in (10, 20)]

    def link(file: RemoteFile) -> None:
        for _ in range(200):
            shard_cache.put_link(tmp_path, tmp_path / "data" / "0.tar", file)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(link, [*files, *files]))
    assert [one.name for one in (tmp_path / "data").iterdir()] == ["0.tar"]
    assert shard_cache.status(tmp_path / "data" / "0.tar")[0] in (10, 20)


def test_the_time_of_a_shard_is_one_that_every_file_system_knows(tmp_path: Path) -> None:
    for size in range(1, 200):
        shard_cache.put_link(tmp_path, tmp_path / "a", RemoteFile("http://h/a", size, ""))
        assert 0 <= shard_cache.status(tmp_path / "a")[1] < 2**30 * 10**9


def test_the_limit_holds_however_the_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    cache = Path("..") / "cache"
    shard_cache.set_limit(cache, 5 * SIZE)
    shard_cache.put_link(cache, cache / "data" / "a", RemoteFile("http://h/a", SIZE, ""))
    cached = shard_cache._cached(cache / "data" / "a")
    assert cached is not None
    assert cached.request()["limit"] == 5 * SIZE


def test_a_batch_of_many_shards_opens_few_at_a_time(tmp_path: Path) -> None:
    alive = most = 0

    class Shard:
        def __init__(self) -> None:
            nonlocal alive, most
            alive += 1
            most = max(most, alive)

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    shards = OpenShards([tmp_path / str(number) for number in range(500)], lambda _: Shard(), most=4)
    assert [number for number, _ in shards.readers(range(500))] == list(range(500))
    assert most <= 6
    first = shards.reader(496)
    for number in (497, 498, 499, 496, 1):
        shards.reader(number)
    assert shards.reader(496) is first  # used a moment ago, so 497 was closed


def test_an_idle_worker_that_died_is_replaced() -> None:
    ask("describe", urls=[])
    (worker,) = fetching._idle[os.getpid()]
    worker._process.kill()
    worker._process.wait()
    assert ask("describe", urls=[]) == []
