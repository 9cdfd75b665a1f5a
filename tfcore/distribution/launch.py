"""Runs a command as several workers on this machine: ports, output, and one end for all."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from types import FrameType
from typing import IO, Any, Self

from tfcore.distribution.cluster import LAUNCHED, LOST_STATUS, TF_CONFIG, Cluster

_HOST = "127.0.0.1"
_GRACE_SECS = 10.0  # for the others, once a worker has failed: TensorFlow tells most of them within two seconds
_POLL_SECS = 0.05
_AFTERWARDS = "All workers have ended; the same command goes on from the newest checkpoint."
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def addresses(count: int) -> list[str]:
    """Returns addresses of this machine alone, each with a port that is free now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((_HOST, 0))
        return [f"{_HOST}:{each.getsockname()[1]}" for each in sockets]


class Launch:
    """Starts the workers of a command; the chief has this process's terminal, the others' lines get their number.

    The first Ctrl-C or SIGTERM goes to the chief, which stops all of them with a checkpoint, a second one to all.

    Args:
        command: of every worker.
        count: of the workers.
    """

    def __init__(self, command: Sequence[str], count: int) -> None:
        self._command, self._addresses = list(command), addresses(count)
        self._signals: list[int] = []
        self._errors: list[str] = []  # of others than the chief
        self._processes: list[subprocess.Popen[bytes]] = []
        self._readers: list[threading.Thread] = []
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._previous = {number: signal.signal(number, self._pass_on) for number in _SIGNALS}
        for number in range(len(self._addresses)):
            self._processes.append(self._started(number))
            if not number and self._signals:  # before it could be passed on
                self._processes[0].send_signal(self._signals[-1])
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        for reader in self._readers:
            reader.join()
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _started(self, number: int) -> "subprocess.Popen[bytes]":
        config = Cluster(tuple(self._addresses), number).tf_config
        environment = {**os.environ, TF_CONFIG: config, LAUNCHED: "1"}
        streams: dict[str, Any] = {}
        if number:  # a process group each: a terminal's Ctrl-C reaches them only through this process
            streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        process = subprocess.Popen(self._command, env=environment, stdin=subprocess.DEVNULL, process_group=0, **streams)
        if process.stdout is not None:
            reader = threading.Thread(target=_relay, args=(process.stdout, number, self._errors), daemon=True)
            reader.start()
            self._readers.append(reader)
        return process

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        self._signals.append(number)
        for process in self._processes[: 1 if len(self._signals) == 1 else None]:
            if process.poll() is None:
                process.send_signal(number)

    def wait(self) -> tuple[int, list[str]]:
        """Waits until all workers have ended; where one fails, ends those that go on after a moment.

        Returns:
            The exit status, and lines about the workers that failed; none where the chief has told its own error, which
            may be that of all.
        """
        ended: dict[int, int] = {}  # statuses by number, in the order of ends
        deadline = None
        while len(ended) < len(self._processes):
            for number, process in enumerate(self._processes):
                if number not in ended and process.poll() is not None:
                    ended[number] = process.returncode
            if deadline is None and any(ended.values()):
                deadline = time.monotonic() + _GRACE_SECS
            if deadline is not None and time.monotonic() > deadline:
                break
            time.sleep(_POLL_SECS)
        for reader in self._readers:
            reader.join(timeout=1)  # that of a worker that hangs goes on
        return self._outcome(ended)

    def _outcome(self, ended: dict[int, int]) -> tuple[int, list[str]]:
        hung = [number for number in range(len(self._processes)) if number not in ended]
        failed = {number: status for number, status in ended.items() if status not in (0, LOST_STATUS)}
        if not hung and set(ended.values()) <= {0, 128 + signal.SIGINT, 128 + signal.SIGTERM}:
            return ended[0], []
        if self._signals and failed.get(0) == -self._signals[-1]:  # before it had anything to save
            return 128 + self._signals[-1], []
        if failed.get(0, -1) > 0:
            return failed[0], []
        if failed:
            number, status = next(iter(failed.items()))
            return 1, [*self._errors, f"error: worker {number} {_how(status)}. {_AFTERWARDS}"]
        told = f"worker {', '.join(map(str, hung))} did not answer" if hung else "the workers lost their connection"
        return 1, [f"error: {told}. {_AFTERWARDS}"]


def _how(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    hint = " (was there too little memory?)" if -status == signal.SIGKILL else ""
    return f"was ended by {signal.Signals(-status).name}{hint}"


def _relay(output: IO[bytes], number: int, errors: list[str]) -> None:
    """Prints the lines of a worker to standard error, each with its number; collects its error."""
    prefix = f"worker {number}: "
    with output:
        for line in output:
            text = line.decode(errors="replace").rstrip("\n")
            if text.startswith(f"error: {prefix}"):
                errors.append(text)
            else:
                print(prefix + text, file=sys.stderr, flush=True)
