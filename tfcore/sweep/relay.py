"""A process that is run to its end, and the signals that it is sent on the way."""

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Relay:
    """Runs one process after the other; Ctrl-C and SIGTERM are passed on to the one that runs.

    It is in a process group of its own, so a terminal's Ctrl-C reaches it once, through here: the first makes it save,
    a second ends it.
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
        """Runs it to its end, adds to `output` what it prints, and gives back its status, -N for signal N."""
        with output.open("ab") as file:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, process_group=0
            )
        self._process = process
        try:
            self._deliver()  # what came while it was being started, or before
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
