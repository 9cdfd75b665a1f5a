"""Running a child process to its end: its output, its status, and the signals passed on to it."""

import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tfcore.sweep.relay import Relay

STUBBORN = """
import os, signal, sys, time
count = 0
def handle(number, frame):
    global count
    count += 1
    os.write(1, b"signal %d\\n" % number)  # print() must not be interrupted by itself
    if count == 2:
        sys.exit(7)
signal.signal(signal.SIGINT, handle)
signal.signal(signal.SIGTERM, handle)
signal.alarm(20)
print("ready", flush=True)
while True:
    time.sleep(0.05)
"""


def after(path: Path, text: str, number: signal.Signals, *others: Path) -> threading.Thread:
    """Sends a signal to this process once the files hold the text."""

    paths = (path, *others)

    def send() -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not all(one.exists() and text in one.read_text() for one in paths):
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def test_what_it_prints_is_added_to_a_file(tmp_path: Path) -> None:
    output = tmp_path / "log"
    output.write_text("before\n")
    with Relay() as relay:
        status = relay.run([sys.executable, "-c", "import sys; print('out'); sys.exit('err')"], output)
    assert (status, relay.received) == (1, None)
    assert sorted(output.read_text().split()) == ["before", "err", "out"]


def test_each_signal_reaches_it_once_and_the_first_handlers_come_back(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    output = tmp_path / "log"
    with Relay() as relay:
        threads = [after(output, "ready", signal.SIGINT), after(output, "signal 2", signal.SIGTERM)]
        status = relay.run([sys.executable, "-c", STUBBORN], output)
    for thread in threads:
        thread.join()
    assert (status, relay.received) == (7, signal.SIGTERM)
    assert output.read_text() == "ready\nsignal 2\nsignal 15\n"
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_all_that_run_get_each_signal_once(tmp_path: Path) -> None:
    outputs = [tmp_path / name for name in "ab"]
    with Relay() as relay, ThreadPoolExecutor(2) as pool:
        found = [pool.submit(relay.run, [sys.executable, "-c", STUBBORN], output) for output in outputs]
        after(outputs[0], "ready", signal.SIGINT, outputs[1]).join()
        after(outputs[0], "signal 2", signal.SIGTERM, outputs[1])
        assert [future.result() for future in found] == [7, 7]
    assert [output.read_text() for output in outputs] == ["ready\nsignal 2\nsignal 15\n"] * 2


def test_a_signal_that_came_before_ends_the_next_one(tmp_path: Path) -> None:
    with Relay() as relay:
        os.kill(os.getpid(), signal.SIGTERM)
        assert relay.run([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log") == -signal.SIGTERM


def test_an_error_here_ends_it_too(tmp_path: Path) -> None:
    def interrupt(*_: object) -> None:
        raise RuntimeError("here")

    output = tmp_path / "log"
    with Relay() as relay:
        signal.signal(signal.SIGTERM, interrupt)
        thread = after(output, "ready", signal.SIGTERM)
        script = "import os, time; print('ready', os.getpid(), flush=True); time.sleep(60)"
        with pytest.raises(RuntimeError, match="here"):
            relay.run([sys.executable, "-c", script], output)
        thread.join()
    with pytest.raises(ProcessLookupError):
        os.kill(int(output.read_text().split()[1]), 0)


def test_a_trial_of_a_scheduled_sweep_trains_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables by which the tasks of Slurm, mpirun and TF_CONFIG are workers of one run are not passed on."""
    given = {"TF_CONFIG": "{}", "TFCORE_WORKERS": "a:1,b:2", "SLURM_STEP_NUM_TASKS": "4", "KEPT": "yes"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    script = f"import os; print(sorted(os.environ.keys() & {set(given)}))"
    with Relay() as relay:
        relay.run([sys.executable, "-c", script], tmp_path / "log")
    assert (tmp_path / "log").read_text() == "['KEPT']\n"
