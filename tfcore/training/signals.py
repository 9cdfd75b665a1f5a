"""Ctrl-C and SIGTERM: the first asks the loop to stop after its call, a second ends the process at once."""

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Some programs, GNU timeout among them, send what they mean as one signal twice within a moment.
_ONE_SIGNAL_SECS = 0.5
_SHOW_CURSOR = "\x1b[?25h"  # which a progress bar hides


class StopSignals:
    """While it lasts, a signal is remembered instead of ending the process.

    Only the main thread may install handlers, and only it gets signals: in any other thread nothing is installed, and
    signals end the process as they did before.

    A second signal ends the process at once and saves nothing, also while a compiled call runs: Python's own handlers
    wait for its return, so a thread listens to what arrives.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[int, Any] = {}
        self._previous_descriptor = -1

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self
        self._listening, self._arriving = socket.socketpair()
        self._arriving.setblocking(False)
        self._previous_descriptor = signal.set_wakeup_fd(self._arriving.fileno(), warn_on_full_buffer=False)
        self._previous = {number: signal.signal(number, self._remember) for number in _SIGNALS}
        self._listener = threading.Thread(target=_listen, args=(self._listening,), name="signals", daemon=True)
        self._listener.start()
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if not self._previous:
            return
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._previous_descriptor)
        self._arriving.close()  # which ends the listener
        self._listener.join()
        self._listening.close()

    def __call__(self) -> bool:
        """Whether a signal was received."""
        return self.received is not None

    def _remember(self, number: int, _: FrameType | None) -> None:
        self.received = number


def _listen(arriving: socket.socket) -> None:
    """Says so when a first signal comes, and ends the process at the second; returns when the other end closes."""
    first: float | None = None
    while numbers := arriving.recv(1):
        if numbers[0] not in _SIGNALS:
            continue
        if first is None:
            first = time.monotonic()
            _say("Saving. Press Ctrl-C again to quit without saving.")
        elif time.monotonic() - first > _ONE_SIGNAL_SECS:
            _say(
                "Quit without saving. The run goes on from its newest checkpoint." + _SHOW_CURSOR * sys.stderr.isatty()
            )
            os._exit(128 + numbers[0])


def _say(text: str) -> None:
    """On standard error, from whatever thread; one that is closed is no reason to go on."""
    with contextlib.suppress(OSError):
        os.write(2, f"{text}\n".encode())
