"""`launch`: what each worker gets, and one end with one line for all."""

import os
import signal
import sys
import threading
from typing import Any

import pytest

from tfcore.cli import launch as command
from tfcore.cli.main import main
from tfcore.distribution import launch
from tfcore.distribution.cluster import LOST_STATUS
from tfcore.distribution.launch import Launch

WORKER = """
import json, os, sys, time
index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
{}
"""


def ran(program: str, count: int = 3) -> tuple[int, list[str]]:
    """Runs a program as several workers, each of which knows its `index`."""
    with Launch([sys.executable, "-c", WORKER.format(program)], count) as workers:
        return workers.wait()


def test_the_chief_prints_as_it_is_and_the_others_with_their_number(capfd: pytest.CaptureFixture[str]) -> None:
    assert ran("print('line', index)") == (0, [])
    captured = capfd.readouterr()
    assert captured.out == "line 0\n"
    assert sorted(captured.err.splitlines()) == ["worker 1: line 1", "worker 2: line 2"]


def test_addresses_are_of_this_machine_and_differ() -> None:
    found = launch.addresses(5)
    assert len(set(found)) == 5
    assert all(address.startswith("127.0.0.1:") for address in found)


@pytest.mark.parametrize(
    ("program", "status", "told"),
    [
        ("sys.exit(7 if index == 1 else 75)", 1, "worker 1 ended with status 7."),
        ("os.kill(os.getpid(), 9) if index == 2 else sys.exit(75)", 1, "worker 2 was ended by SIGKILL"),
        ("sys.exit(75)", 1, "the workers lost their connection."),
        ("sys.exit(2)", 2, ""),
        ("sys.exit(143)", 143, ""),
    ],
)
def test_a_failure_is_told_once(program: str, status: int, told: str) -> None:
    found, lines = ran(program)
    assert found == status
    assert (lines[0].startswith(f"error: {told}") and len(lines) == 1) if told else lines == []


def test_the_error_of_a_worker_is_told_where_the_chief_has_none() -> None:
    program = "print('error: worker 1: no disk.', file=sys.stderr) if index == 1 else None; sys.exit(index or 75)"
    _, lines = ran(program, 2)
    assert lines[0] == "error: worker 1: no disk."
    assert lines[1].startswith("error: worker 1 ended with status 1.")


def test_workers_that_go_on_after_a_failure_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "_GRACE_SECS", 0.3)
    status, (line,) = ran(f"time.sleep(100) if index == 2 else sys.exit({LOST_STATUS})")
    assert status == 1
    assert line.startswith("error: worker 2 did not answer.")


def test_a_signal_goes_to_the_chief_and_a_second_one_to_all(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []

    class Process:
        def __init__(self, number: int) -> None:
            self._number = number

        def poll(self) -> None:
            return None

        def send_signal(self, number: int) -> None:
            sent.append((self._number, number))

    workers = Launch(["true"], 2)
    monkeypatch.setattr(workers, "_processes", [Process(0), Process(1)])
    workers._pass_on(signal.SIGINT, None)
    assert sent == [(0, signal.SIGINT)]
    workers._pass_on(signal.SIGTERM, None)
    assert sent[1:] == [(0, signal.SIGTERM), (1, signal.SIGTERM)]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--workers=2", "eval", "--run_dir=x"], "Expected `tfcore launch --workers=N train …`"),
        (["--workers=2"], "Received no command."),
        (["--workers=0", "train"], "`workers`"),
        (["--workers=2", "--threads=-1", "train"], "`threads`"),
        (["--wrokers=2", "train"], "Did you mean 'workers'?"),
        (["--workers=2", "train", "--batchsize=3"], "Did you mean 'batch_size'?"),
    ],
)
def test_a_wrong_command_is_refused_once(arguments: list[str], told: str, capsys: Any) -> None:
    assert main(["launch", *arguments]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("name", ["train", "doctor"])
def test_flags_after_the_command_are_those_of_the_command(name: str) -> None:
    assert command.split(["--workers=2", name, "--json"]) == (["--workers=2"], [name, "--json"])


def test_help_is_that_of_the_command(capsys: Any) -> None:
    assert main(["launch", "--help"]) == 0
    assert "--workers" in capsys.readouterr().out
    assert main(["launch", "--workers=2", "train", "--help"]) == 0
    assert "--learning_rate" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["train", "--model=mlp"], ["doctor"]])
def test_a_start_that_could_not_go_on_is_refused(arguments: list[str], capsys: Any) -> None:
    assert main(["launch", "--workers=2", "--restarts=1", *arguments]) == 2
    assert "--restarts needs `train --run_dir=FOLDER`" in capsys.readouterr().err


def test_a_failure_is_repeated_so_often(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Until the run ends, or no restart is left; wrong flags and signals are final."""
    for statuses, restarts, started in [([1, 1, 0], 3, 3), ([1, 1], 1, 2), ([2], 5, 1), ([143], 5, 1), ([1], 0, 1)]:
        left = iter(statuses)

        class Fake:
            def __init__(self, *_: Any) -> None:
                pass

            def __enter__(self) -> "Fake":
                return self

            def __exit__(self, *_: Any) -> None:
                pass

            def wait(self, left: Any = left) -> tuple[int, list[str]]:
                return next(left), ["told"]

        monkeypatch.setattr(command, "Launch", Fake)
        assert main(["launch", "--workers=2", f"--restarts={restarts}", "train", "--run_dir=x"]) == statuses[-1]
        printed = capsys.readouterr().err
        assert printed.count("told") == started == len(statuses)
        assert printed.count("Starting all workers again") == started - 1


def test_a_signal_before_there_is_anything_to_save_is_final() -> None:
    """The chief dies of it, and the others of the chief; no restart follows."""
    program = "time.sleep(60) if index == 0 else (time.sleep(1), sys.exit(75))"
    with Launch([sys.executable, "-c", WORKER.format(program)], 2) as workers:
        threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGTERM]).start()
        assert workers.wait() == (143, [])


def test_a_signal_before_the_chief_starts_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    started = Launch._started

    def later(self: Launch, number: int) -> Any:
        if number == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return started(self, number)

    monkeypatch.setattr(Launch, "_started", later)
    with Launch([sys.executable, "-c", WORKER.format("time.sleep(30) if index == 0 else None")], 2) as workers:
        assert workers.wait() == (143, [])
