"""A program that lists and downloads remote files: takes requests as JSON lines and answers with JSON lines.

`fetching` runs it. An answer is any number of `{"warning": text}`, and then `{"result": …}` or `{"error": text}`. The
program ends when its standard input does.
"""

import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import IO, Any

from tfcore.data import remote_files
from tfcore.data.cache_room import fetch
from tfcore.data.remote_files import Json, Waits, Warn, described, listed, read, shortened
from tfcore.errors import DataError

_FETCHED_AHEAD = 2  # at a time


def main() -> None:
    """Answers requests until the standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the run, which still saves
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(requests,), daemon=True).start()
    while True:
        request = json.loads(requests.get())
        try:
            found = {"result": DO[request.pop("do")](warn=lambda text: _send(answers, {"warning": text}), **request)}
        except DataError as error:
            found = {"error": str(error)}
        except Exception as error:  # the one who asked would wait for ever
            found = {"error": f"Cannot fetch a file: {shortened(error)}. Give the same command again."}
        _send(answers, found)


def _receive(requests: "queue.SimpleQueue[str]") -> None:
    """Passes on the requests; ends the process, also within a download, when the one who asks has ended."""
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)


def _send(answers: IO[str], answer: Json) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def fetch_ahead(files: list[Json], warn: Warn) -> None:
    """Begins downloads in threads of this process, and returns. Failures are not told."""
    del warn

    def get(file: Json) -> None:
        with suppress(DataError):
            fetch(**file, warn=lambda _: None)

    for file in files:
        _ahead.submit(get, file)


_ahead = ThreadPoolExecutor(_FETCHED_AHEAD)


DO: dict[str, Callable[..., Any]] = {
    "list": listed,
    "describe": described,
    "read": read,
    "fetch": fetch,
    "fetch_ahead": fetch_ahead,
}

if __name__ == "__main__":
    remote_files.waits = Waits(*map(float, sys.argv[1:]))
    main()
