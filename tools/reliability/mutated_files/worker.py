"""A child process of the campaign: runs the cases of one reader in order and reports each on standard output.

    python -m tools.reliability.mutated_files.worker '{"name": …}'

The argument holds the fields of supervisor.Shift, a folder, and whether to keep files. Each line of output is a JSON
list: ["ready", base_bytes], then for each case ["done", number, outcome, past, what], and at intervals ["peak", bytes].
Cases run in the order of their numbers, so the parent knows at which one a child stopped reporting.
"""

import faulthandler
import importlib
import json
import logging
import os
import resource
import shutil
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from tfcore import checks, seeds
from tfcore.errors import ConfigError, DataError, RunError
from tfcore.machine import peak_bytes
from tools.reliability.mutated_files.reader import OUTSIDE, Reader, lay_out

GOOD_EVERY = 50  # one case in this many is not mutated, and has to be accepted
WARM_UP = 6  # good cases before the memory is measured, so that all modules are imported
STACK_BYTES = 1 << 20  # of a thread, since the address space is limited
PEAK_EVERY = 256  # cases
MEMORY_WORDS = ("unable to allocate", "memory allocation failed", "resource exhausted", "out of memory")

Outcome = tuple[str, bool, str]  # accepted, refused or crash; whether it got past the header; the failure


class Cases:
    """The cases of a reader, each a function of the seed and its number."""

    def __init__(self, name: str, reader: Reader, seed: int) -> None:
        self._name, self._reader, self._seed = name, reader, seed
        self._warnings: list[str] = []
        warnings.showwarning = self._note

    def _note(self, message: Any, category: Any, filename: str, lineno: int, *_: Any) -> None:
        self._warnings.append(f"{category.__name__} in {filename}:{lineno}: {message}")

    def write(self, number: int, folder: Path, *, good: bool) -> Random:
        """Writes the files of a case; returns the generator, for the draws of the reading."""
        draw = Random(seeds.integer(self._seed, self._name, number))
        lay_out(folder, self._reader.files(draw, not good))
        return draw

    def run(self, number: int, folder: Path, *, good: bool) -> Outcome:
        """Runs one case in a new folder."""
        draw, passed = self.write(number, folder, good=good), threading.Event()
        self._warnings.clear()
        outcome, what = self._read(folder, draw, passed.set)
        if self._warnings:
            outcome, what = "crash", f"a warning: {self._warnings[0]}"
        if good and outcome == "refused":
            outcome, what = "crash", f"good files were refused: {what}"
        if os.path.lexists(OUTSIDE):
            outcome, what = "crash", f"it wrote {OUTSIDE}"
        return outcome, passed.is_set(), what

    def _read(self, folder: Path, draw: Random, past: Callable[[], None]) -> tuple[str, str]:
        try:
            self._reader.read(folder, draw, past)
        except (DataError, RunError, ConfigError) as error:
            fault = _fault(error, folder)
            return ("crash", f"{fault}: {error!r}") if fault else ("refused", str(error))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a panic in Rust is not an Exception
            return "crash", _where(error)
        return "accepted", ""


def _fault(error: Exception, folder: Path) -> str:
    """The defect of an error for the user; "" for none."""
    text = checks.one_line(str(error))  # as the commands print it
    if len(text.splitlines()) != 1:
        return f"a message of {len(text.splitlines())} lines"
    if str(folder) not in text and not (isinstance(error, ConfigError) and "`" in text):
        return "a message that names no file"
    cause: BaseException | None = error
    while cause is not None:
        if _is_out_of_memory(cause):
            return f"memory ({_where(cause)})"
        cause = cause.__cause__ or cause.__context__
    return ""


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether the memory limit was exceeded; Python's parser also raises MemoryError for deeply nested literals."""
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, MemoryError):
        return not (frames and frames[-1].filename.endswith("ast.py"))
    return any(words in str(error).lower() for words in MEMORY_WORDS)


def _where(error: BaseException) -> str:
    """Describes an exception, with the lines of tfcore and of a library that it comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/tfcore/" in frame.filename][-1:]
    places = {f"{Path(frame.filename).name}:{frame.lineno}": None for frame in [*own, *frames[-1:]]}
    return f"{type(error).__name__}: {str(error)[:300]} at {', '.join(places)}"


def load(where: str) -> Reader:
    """Imports the reader at `package.module:NAME`."""
    module, _, name = where.partition(":")
    reader: Reader = getattr(importlib.import_module(module), name)
    return reader


def _address_space_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _limit_memory(more_bytes: int) -> None:
    limit_bytes = _address_space_bytes() + more_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))


def main() -> None:
    """Runs the cases of the command line."""
    order = json.loads(sys.argv[1])
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # the output of libraries is not part of the report

    def say(*message: Any) -> None:
        out.write(json.dumps(message) + "\n")

    faulthandler.enable()
    logging.disable()  # the messages of readers about pictures that they skip
    threading.stack_size(STACK_BYTES)
    warnings.simplefilter("always")
    warnings.filterwarnings("ignore", module=r"PIL\.")  # as the commands do
    reader, folder = load(order["where"]), Path(order["folder"])
    cases = Cases(order["name"], reader, order["seed"])
    for number in range(WARM_UP):
        outcome = cases.run(number, folder / "warm-up", good=True)
        shutil.rmtree(folder / "warm-up")
        if outcome[:2] != ("accepted", True):
            sys.exit(f"Good files of {order['name']}: {outcome}")
    _limit_memory(reader.memory_bytes)
    say("ready", peak_bytes())
    for number in range(order["first"], order["end"]):
        place = folder / f"{order['name']}-{number}"
        say("done", number, *cases.run(number, place, good=number % GOOD_EVERY == 0))
        if not order["keep"]:
            shutil.rmtree(place)
        if number % PEAK_EVERY == 0:
            say("peak", peak_bytes())
    say("peak", peak_bytes())


if __name__ == "__main__":
    main()
