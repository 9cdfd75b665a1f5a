"""Signals: remembered while the loop runs, as ever before and after."""

import os
import signal

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
