"""TensorBoard during a run: reachable at the printed address only, and ended with the process that started it."""

import contextlib
import ipaddress
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from tfcore.cli import flags
from tfcore.cli.train import _check_tensorboard
from tfcore.dashboard.process import Dashboard
from tfcore.errors import ConfigError

ROOT = pathlib.Path(__file__).parents[2]
LISTENING = "0A"  # the state in /proc/net/tcp
STARTER = """
import pathlib, sys, time
from tfcore.dashboard.process import Dashboard
with Dashboard(pathlib.Path(), host="127.0.0.1", port=0, say=lambda line: print(line, flush=True)) as board:
    board.start()
    time.sleep(60)
"""


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, "waited for half a minute"
        time.sleep(0.02)


def descendants(pid: int) -> list[int]:
    """Returns the descendants of the process `pid`, nearest first."""
    parents = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    found = [child for child, parent in parents.items() if parent == pid]
    return found + [below for child in found for below in descendants(child)]


def is_alive(pid: int) -> bool:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def listens_on(pid: int) -> Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Yields the addresses that a process listens on."""
    names = [os.readlink(path) for path in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENING and f"socket:[{fields[9]}]" in names:
                words = bytes.fromhex(fields[1].partition(":")[0])  # each of four bytes in the machine's order
                groups = [words[start : start + 4] for start in range(0, len(words), 4)]
                yield ipaddress.ip_address(b"".join(g[::-1] if sys.byteorder == "little" else g for g in groups))


def address_in(line: str) -> str:
    assert line.startswith("TensorBoard: http://")
    return line.removeprefix("TensorBoard: ").strip()


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=10) as page:
            return b"<title>TensorBoard" in page.read()
    except OSError:
        return False


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def started() -> Callable[[], list[int]]:
    """Returns the descendants of this process that the test has started."""
    before = descendants(os.getpid())
    return lambda: [pid for pid in descendants(os.getpid()) if pid not in before]


def test_it_answers_on_the_loopback_address_alone_until_the_block_ends(
    tmp_path: pathlib.Path, started: Callable[[], list[int]]
) -> None:
    said: list[str] = []
    with Dashboard(tmp_path, host="127.0.0.1", port=0, say=said.append) as board:
        assert started() == []
        board.start()
        (line,) = said
        address = address_in(line)
        assert answers(address)
        processes = started()
        listening = {str(where) for pid in processes for where in listens_on(pid)}
        assert listening == {"127.0.0.1"}
        assert all(os.getsid(pid) != os.getsid(0) for pid in processes)  # so that Ctrl-C does not reach them
    wait_until(lambda: not any(map(is_alive, processes)))
    assert not answers(address)
    assert len(said) == 1


def test_it_goes_with_the_process_that_started_it_when_that_is_killed(tmp_path: pathlib.Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", STARTER], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        address = address_in(starter.stdout.readline())
        processes = descendants(starter.pid)
        assert processes
        assert all(map(is_alive, processes))
        starter.kill()
    wait_until(lambda: not any(map(is_alive, processes)))
    assert not answers(address)


def test_another_address_is_warned_of_the_next_port_taken_and_its_end_told(
    tmp_path: pathlib.Path, started: Callable[[], list[int]]
) -> None:
    said: list[str] = []
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # a port already in use serves the test as well
            stack.enter_context(socket.create_server(("127.0.0.1", 6006)))
        stack.enter_context(Dashboard(tmp_path, host="0.0.0.0", port=-1, say=said.append)).start()
        address, warning = said
        assert 6006 < int(address.rpartition(":")[2].strip("/")) < 6106
        assert warning == "warning: TensorBoard listens on 0.0.0.0: anyone who can reach this machine reads the run."
        server = started()[0]
        assert "0.0.0.0" in {str(where) for where in listens_on(server)}
        os.kill(server, signal.SIGKILL)
        wait_until(lambda: len(said) == 3)
        assert said[2] == "warning: TensorBoard has ended by itself (status -9). Training continues without it."


@pytest.mark.parametrize(
    ("host", "port", "message"),
    [
        ("127.0.0.1", None, "TensorBoard could not bind to port {}, it was already in use. Leave --tensorboard out"),
        ("203.0.113.1", 0, "TensorBoard could not start: Cannot assign requested address. Leave --tensorboard out"),
    ],
)
def test_where_it_cannot_listen_is_an_error(
    tmp_path: pathlib.Path,
    busy_port: int,
    started: Callable[[], list[int]],
    host: str,
    port: int | None,
    message: str,
) -> None:
    said: list[str] = []
    with pytest.raises(ConfigError) as caught:
        with Dashboard(tmp_path, host=host, port=busy_port if port is None else port, say=said.append) as board:
            board.start()
    assert message.format(busy_port) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert said == []
    assert started() == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tensorboard_port=0"], "require --tensorboard"),
        (["--tensorboard_host=::1"], "require --tensorboard"),
        (["--tensorboard", "--tensorboard_port=65536"], "from -1 to 65535. Received 65536"),
        (["--tensorboard", "--tensorboard_port=-2"], "from -1 to 65535. Received -2"),
        (["--tensorboard", "--tensorboard_host="], "must be an address of this machine"),
    ],
)
def test_options_that_make_no_sense_are_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _check_tensorboard(flags.parse("train", arguments).options)


@pytest.mark.parametrize("arguments", [[], ["--tensorboard"], ["--tensorboard", "--tensorboard_host=::1"]])
def test_options_that_make_sense_are_taken(arguments: list[str]) -> None:
    _check_tensorboard(flags.parse("train", arguments).options)
