"""Asks other processes for remote files: lists and downloads, without a lock or an event loop in this process.

A thread that trains may not wait for a lock of Python, since the one who holds it may be waiting for the end of an
iterator of tf.data, which waits for that thread. So each thread asks a process of its own, over a pipe, and the locks
between downloads are those of files.
"""

import atexit
import json
import logging
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from tfcore.data.remote_files import Waits
from tfcore.errors import DataError

WAITS = Waits()
_ROOT = str(Path(__file__).parents[2])  # which tfcore is in
_END_SECS = 5.0
_LOG = logging.getLogger(__name__)
_idle: dict[int, list["_Worker"]] = {}  # by the process that started them: a fork must not use those of another
_told: set[str] = set()  # hosts of which a warning was given


class _Worker:
    """A process that answers one request at a time."""

    def __init__(self) -> None:
        path = os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH")]))
        # -P: otherwise Python would search for modules in the current folder first.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tfcore.data.fetch_worker", *map(str, WAITS)],
            env={**os.environ, "PYTHONPATH": path}, start_new_session=True, text=True, encoding="utf-8",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._answers = self._process.stdin, self._process.stdout

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def send(self, request: dict[str, Any]) -> None:
        """Sends a request, whose answer may stay unread."""
        self._requests.write(json.dumps(request) + "\n")
        self._requests.flush()

    def answer(self) -> dict[str, Any]:
        """Waits for the answer; logs one warning for each host."""
        for line in self._answers:
            found: dict[str, Any] = json.loads(line)
            if "warning" not in found:
                return found
            host = found["warning"].partition("://")[2].partition("/")[0]
            if host not in _told:
                _told.add(host)
                _LOG.warning("%s", found["warning"])
        raise BrokenPipeError

    def end(self) -> None:
        """Ends the process."""
        with suppress(BrokenPipeError):  # it has ended, and a request is unsent
            self._requests.close()
        try:
            self._process.wait(_END_SECS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._answers.close()


def ask(do: str, **request: Any) -> Any:
    """Has something done by a worker process; see `fetch_worker`.

    Args:
        do: the name of a function in `fetch_worker.DO`.
        request: its arguments, without `warn`.

    Raises:
        DataError: it failed, after all attempts.
    """
    idle = _idle.setdefault(os.getpid(), [])
    worker = _taken(idle) or _Worker()
    try:
        worker.send({"do": do, **request})
        found = worker.answer()
    except BaseException as error:  # also Ctrl-C, after which its answer would be read as that of the next request
        worker.end()
        if isinstance(error, BrokenPipeError):
            message = "The process that fetches remote files has ended. Give the same command again."
            raise DataError(message) from None
        raise
    idle.append(worker)
    if "error" in found:
        raise DataError(found["error"])
    return found["result"]


def _taken(idle: list[_Worker]) -> _Worker | None:
    """Takes an idle worker; ends those that died meanwhile, as where there was too little memory."""
    while True:
        try:
            worker = idle.pop()
        except IndexError:
            return None
        if worker.is_alive:
            return worker
        worker.end()


@atexit.register
def end() -> None:
    """Ends the workers that are idle; others end with this process."""
    idle = _idle.get(os.getpid(), [])
    while idle:
        idle.pop().end()
