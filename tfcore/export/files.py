"""Helpers shared by all formats: array types that every reader supports, and untrusted files."""

import io
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcore.errors import DataError, RunError, TfcoreError
from tfcore.files import MEMORY_BYTES, open_file

Weights = dict[str, NDArray[Any]]  # by variable path, such as conv_1.weights
Metadata = dict[str, str]
METADATA = "__metadata__"
NUMBERS = "fiub"  # NumPy kinds: floating, integer, unsigned, bool


def check_numbers(weights: Mapping[str, NDArray[Any]]) -> None:
    """Raises RunError unless every array has a dtype that all formats and readers support."""
    for name, array in weights.items():
        if array.dtype.kind not in NUMBERS:
            raise RunError(f"'{name}' is {array.dtype}, which a file of weights cannot hold. Export a saved_model.")


def with_metadata(weights: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> Weights:
    """Adds one array to the weights: the metadata, as the bytes of a JSON object."""
    return {METADATA: np.frombuffer(json.dumps(dict(metadata)).encode(), np.uint8), **weights}


def without_metadata(arrays: Weights) -> tuple[Weights, Metadata]:
    """Splits the result of `with_metadata`; metadata may be missing. Raises ValueError unless they are text."""
    weights = {name: array for name, array in arrays.items() if name != METADATA}
    found = json.loads(arrays[METADATA].tobytes()) if METADATA in arrays else {}
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ValueError("its metadata are not a JSON object of strings")
    return weights, found


@contextmanager
def intact(path: Path, kind: str) -> Iterator[None]:
    """Turns every error of reading `path` inside the context into a DataError."""
    try:
        yield
    except TfcoreError:
        raise
    except Exception as error:  # the parsers do not document what they raise for damaged files
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"{path} is no {kind} file, or it is damaged: {reason}") from error


@contextmanager
def opened(path: Path, kind: str) -> Iterator[io.BufferedReader]:
    """Opens an exported file for readers that load all of it into memory; turns every error into a DataError."""
    with intact(path, kind), open_file(path) as file:
        found_bytes = os.fstat(file.fileno()).st_size
        if found_bytes > MEMORY_BYTES:
            raise DataError(f"{path} has {found_bytes} bytes, and this machine's memory {MEMORY_BYTES}.")
        yield file


def size_bytes(path: Path) -> int:
    """The size of a file, or of all files in a folder."""
    return sum(part.stat().st_size for part in (path, *path.rglob("*")) if part.is_file())
