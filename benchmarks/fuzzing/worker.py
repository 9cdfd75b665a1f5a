"""A child of the campaign: runs the cases of one reader in turn and says on standard output what came of each.

    python -m benchmarks.fuzzing.worker '{"name": …}'     the fields of children.Shift, a folder, whether to keep files

Each line is a JSON list: ["ready", base_bytes], then for each case in turn ["done", number, outcome, past, what], and
now and then ["peak", bytes]. The cases are begun in the order of their numbers, so the parent knows which one a child
was at when it fell silent.
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

from benchmarks.fuzzing.reader import OUTSIDE, Reader, lay_out
from tfcore import checks, seeds
from tfcore.errors import ConfigError, DataError, RunError
from tfcore.machine import peak_bytes

GOOD_EVERY = 50  # cases of which one is not mutated, and has to be accepted
WARM_UP = 6  # good cases before the memory is looked at, so that all is imported
STACK_BYTES = 1 << 20  # of a thread, as the address space is limited
PEAK_EVERY = 256  # cases
MEMORY_WORDS = ("unable to allocate", "memory allocation failed", "resource exhausted", "out of memory")

Outcome = tuple[str, bool, str]  # accepted, refused or crash; whether it got past the header; what went wrong


class Cases:
    """The cases of a reader, each a function of the seed and its number."""

    def __init__(self, name: str, reader: Reader, seed: int) -> None:
        self._name, self._reader, self._seed = name, reader, seed
        self._warnings: list[str] = []
        warnings.showwarning = self._note

    def _note(self, message: Any, category: Any, filename: str, lineno: int, *_: Any) -> None:
        self._warnings.append(f"{category.__name__} in {filename}:{lineno}: {message}")

    def write(self, number: int, folder: Path, *, good: bool) -> Random:
        """Writes the files of a case; what is drawn next is for the reading."""
        draw = Random(seeds.integer(self._seed, self._name, number))
        lay_out(folder, self._reader.files(draw, not good))
        return draw

    def run(self, number: int, folder: Path, *, good: bool) -> Outcome:
        """Runs one case in a folder that is not there yet."""
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
        except BaseException as error:  # a panic of Rust is no Exception
            return "crash", _where(error)
        return "accepted", ""


def _fault(error: Exception, folder: Path) -> str:
    """What is wrong with an error that a user is to read; nothing, as a rule."""
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
    """Whether more was asked for than a case may have; the parser of Python's literals says so of deep ones too."""
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, MemoryError):
        return not (frames and frames[-1].filename.endswith("ast.py"))
    return any(words in str(error).lower() for words in MEMORY_WORDS)


def _where(error: BaseException) -> str:
    """An exception, and the lines of the program and of a library that it comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/tfcore/" in frame.filename][-1:]
    places = {f"{Path(frame.filename).name}:{frame.lineno}": None for frame in [*own, *frames[-1:]]}
    return f"{type(error).__name__}: {str(error)[:300]} at {', '.join(places)}"


def load(where: str) -> Reader:
    """The reader that `package.module:NAME` means."""
    module, _, name = where.partition(":")
    reader: Reader = getattr(importlib.import_module(module), name)
    return reader


def _address_space_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _limit_memory(more_bytes: int) -> None:
    limit_bytes = _address_space_bytes() + more_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))


def main() -> None:
    """Runs the cases that the command line asks for."""
    order = json.loads(sys.argv[1])
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints is no answer

    def say(*message: Any) -> None:
        out.write(json.dumps(message) + "\n")

    faulthandler.enable()
    logging.disable()  # what the readers say of pictures that they leave out
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
