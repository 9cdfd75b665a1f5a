"""Handles Ctrl-C and SIGTERM: the first asks the loop to stop after its current call, a second ends the process."""

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
# Some programs, such as GNU timeout, send one signal twice in quick succession.
_ONE_SIGNAL_SECS = 0.5
_SHOW_CURSOR = "\x1b[?25h"  # a progress bar hides it


class StopSignals:
    """Inside the block, a first signal is recorded instead of ending the process. For the main thread only.

    A second one ends the process at once, without saving, also during a compiled call: Python runs its own handlers
    only after the call, so a thread listens for the signals.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[int, Any] = {}
        self._previous_descriptor = -1

    def __enter__(self) -> Self:
        self._listening, self._arriving = socket.socketpair()
        self._arriving.setblocking(False)
        self._previous_descriptor = signal.set_wakeup_fd(self._arriving.fileno(), warn_on_full_buffer=False)
        self._previous = {number: signal.signal(number, self._remember) for number in _SIGNALS}
        self._listener = threading.Thread(target=_listen, args=(self._listening,), name="signals", daemon=True)
        self._listener.start()
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._previous_descriptor)
        self._arriving.close()  # ends the listener
        self._listener.join()
        self._listening.close()

    def __call__(self) -> bool:
        """Whether a signal was received."""
        return self.received is not None

    def _remember(self, number: int, _: FrameType | None) -> None:
        self.received = number


def _listen(arriving: socket.socket) -> None:
    """Prints a message at the first signal and ends the process at the second; returns when the socket closes."""
    first: float | None = None
    while numbers := arriving.recv(1):
        if numbers[0] not in _SIGNALS:
            continue
        if first is None:
            first = time.monotonic()
            _say("Stopping: the run is saved first. A second signal ends it at once, without saving.")
        elif time.monotonic() - first > _ONE_SIGNAL_SECS:
            _say("Ended at once. The run resumes from its newest checkpoint." + _SHOW_CURSOR * sys.stderr.isatty())
            os._exit(128 + numbers[0])


def _say(text: str) -> None:
    """Writes a line to standard error from any thread; a closed one is ignored."""
    with contextlib.suppress(OSError):
        os.write(2, f"{text}\n".encode())
