"""Readers that misbehave on mutated files, each in a way that the fuzzing campaign must find."""

import dataclasses
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np

from tfcore.errors import DataError
from tools.reliability.mutated_files.reader import MIB, Files, Reader, Wrong


def _files(draw: Random, bad: bool) -> Files:  # noqa: ARG001 (all readers are called alike)
    return {"a": b"bad" if bad else b"good"}


def _reader(misbehave: Callable[[Path], object], *, past_header: bool = True) -> Reader:
    def read(folder: Path, draw: Random, past: Callable[[], None]) -> None:  # noqa: ARG001
        good = (folder / "a").read_bytes() == b"good"
        if good or past_header:
            past()
        if not good:
            misbehave(folder)

    return Reader(_files, read, memory_bytes=64 * MIB)


def _raise(error: BaseException) -> None:
    raise error


def _run_out_of_memory(folder: Path) -> None:
    try:
        np.ones(1 << 30, np.uint8)
    except MemoryError as error:
        raise DataError(f"{folder / 'a'} is damaged.") from error


RAISES = _reader(lambda _: _raise(KeyError("label")))
EXITS = _reader(lambda _: _raise(SystemExit(0)))
SLEEPS = _reader(lambda _: time.sleep(600))
ABORTS = _reader(lambda _: os.abort())
QUITS = _reader(lambda _: os._exit(0))
ALLOCATES = _reader(lambda _: np.ones(1 << 30, np.uint8))
HIDES_MEMORY = _reader(_run_out_of_memory)
WARNS = _reader(lambda _: warnings.warn("odd", UserWarning, stacklevel=1))
IS_WRONG = _reader(lambda _: _raise(Wrong("labels are 3 to 9 for 2 classes")))
IS_NAMELESS = _reader(lambda _: _raise(DataError("It is damaged.")))
ACCEPTS = _reader(lambda _: None)
REFUSES = _reader(lambda folder: _raise(DataError(f"{folder / 'a'} is damaged.")))
REFUSES_EARLY = _reader(lambda folder: _raise(DataError(f"{folder / 'a'} is damaged.")), past_header=False)
SPOILED = dataclasses.replace(REFUSES, files=lambda draw, bad: _files(draw, True))  # noqa: ARG005
