"""Signals: recorded while the loop runs, handled as before outside of it."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tfcore.training.signals import StopSignals

SIGNALS = [signal.SIGINT, signal.SIGTERM]


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in SIGNALS]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_remembered_instead_of_ending_the_process(number: signal.Signals) -> None:
    with StopSignals() as stop:
        assert not stop()
        assert stop.received is None
        os.kill(os.getpid(), number)
        assert stop()
        assert stop.received == number


def test_the_last_signal_counts() -> None:
    with StopSignals() as stop:
        for number in SIGNALS:
            os.kill(os.getpid(), number)
        assert stop.received == signal.SIGTERM


def test_the_handlers_are_as_before() -> None:
    before = handlers()
    with StopSignals():
        assert handlers() != before
    assert handlers() == before


def test_the_handlers_are_as_before_an_error() -> None:
    before = handlers()
    with pytest.raises(ValueError, match="within"), StopSignals():
        raise ValueError("within")
    assert handlers() == before


def test_afterwards_ctrl_c_interrupts_again() -> None:
    with StopSignals():
        pass
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


CHILD = """
import sys, time
from tfcore.training.signals import StopSignals

if sys.argv[1] == "call":
    import tensorflow as tf

    @tf.function(autograph=False)
    def call():  # half a minute, during which Python runs no handler
        return tf.while_loop(lambda i, _: i < 30_000, lambda i, x: (i + 1, tf.linalg.matmul(x, x) * 1e-3),
                             (0, tf.ones([512, 512])), parallel_iterations=1)

with StopSignals() as stop:
    print("ready", flush=True)
    if sys.argv[1] == "call":
        call()
    while not stop():
        time.sleep(0.01)
    time.sleep(1.0)
    print("saved", stop.received, flush=True)
"""


def child(kind: str) -> subprocess.Popen[str]:
    """Starts a process that waits for a signal, in a compiled call or in Python, then saves for a second."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, kind], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(
    ("kind", "numbers"),
    [
        pytest.param("call", (signal.SIGTERM, signal.SIGTERM), marks=pytest.mark.thorough),
        ("python", (signal.SIGINT, signal.SIGTERM)),
    ],
)
def test_a_second_signal_ends_at_once(kind: str, numbers: tuple[signal.Signals, ...]) -> None:
    process = child(kind)
    if kind == "call":
        time.sleep(1.0)  # so that the call has begun
    process.send_signal(numbers[0])
    time.sleep(0.7)
    process.send_signal(numbers[1])
    output, errors = process.communicate(timeout=10)
    assert process.returncode == 128 + numbers[1]
    assert output == ""
    assert [line.split(".")[0] for line in errors.splitlines()][-2:] == [
        "Saving", "Quit without saving"
    ]  # fmt: skip


def test_the_same_signal_twice_in_a_moment_is_one() -> None:
    """GNU timeout sends the signal to the process and then to its group."""
    process = child("python")
    for _ in range(2):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
    output, errors = process.communicate(timeout=10)
    assert process.returncode == 0
    assert output == "saved 15\n"
    assert errors.count("\n") == 1
