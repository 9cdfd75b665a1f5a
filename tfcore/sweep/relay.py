"""Runs child processes and passes signals on to them."""

import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Self

from tfcore.distribution.cluster import without_cluster

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Relay:
    """Runs processes, also from several threads; passes Ctrl-C and SIGTERM on to all that run.

    Each child has its own process group, so a terminal's Ctrl-C reaches it only through this class: the first makes it
    save, a second one ends it.
    """

    def __init__(self) -> None:
        self.received: int | None = None  # the last signal
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.RLock()  # a second signal may interrupt the handler of the first
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
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                process_group=0,
                env=without_cluster(),  # a sweep may itself be a task of a job scheduler
            )
        try:
            with self._lock:
                before = self.received
                self._running.add(process)
                if before is not None:  # before or during the start
                    process.send_signal(before)
            return process.wait()
        finally:
            with self._lock:
                self._running.discard(process)
            if process.poll() is None:
                process.terminate()
                process.wait()

    def stop(self) -> None:
        """Ends all processes as SIGTERM does."""
        self._pass_on(signal.SIGTERM, None)

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        with self._lock:
            self.received = number
            for process in self._running:
                process.send_signal(number)
