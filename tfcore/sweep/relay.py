"""Runs child processes and passes signals on to them."""

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Relay:
    """Runs processes in sequence; passes Ctrl-C and SIGTERM on to the running one.

    The child has its own process group, so a terminal's Ctrl-C reaches it only through this class: the first makes it
    save, a second one ends it.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._waiting: int | None = None  # received, and not yet passed on
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._previous = {number: signal.signal(number, self._pass_on) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def run(self, command: Sequence[str], output: Path) -> int:
        """Runs a command to its end, appends its output to `output`, and returns its status, -N for signal N."""
        with output.open("ab") as file:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, process_group=0
            )
        self._process = process
        try:
            self._deliver()  # a signal received before or during the start
            return process.wait()
        finally:
            self._process = None
            if process.poll() is None:
                process.terminate()
                process.wait()

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        self.received = self._waiting = number
        self._deliver()

    def _deliver(self) -> None:
        if self._process is not None and self._waiting is not None:
            number, self._waiting = self._waiting, None
            self._process.send_signal(number)
