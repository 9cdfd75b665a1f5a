"""Weights as a .safetensors file: a JSON header with the metadata, then the numbers; nothing in it can run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from tfcore.export import files
from tfcore.export.files import Metadata, Weights
from tfcore.files import appearing


def write(path: Path, weights: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Writes the file whole or not at all.

    Raises:
        RunError: something is at `path` already, or it cannot be written.
    """
    files.check_numbers(weights)
    # The library writes the memory behind an array as it lies, whatever its strides.
    contiguous = {name: np.asarray(array, order="C") for name, array in weights.items()}
    with appearing(path) as scratch:
        scratch.write_bytes(save(contiguous, dict(metadata)))


def read(path: Path) -> tuple[Weights, Metadata]:
    """The weights and the metadata; the library itself compares all sizes before it takes memory.

    Raises:
        DataError: it is missing or damaged, or its header claims other than what follows.
    """
    # Opened first, as the library would wait for a pipe's writer, and ends in a panic where memory does.
    with files.opened(path, "safetensors"), safe_open(path, framework="np") as file:
        names = file.keys()  # which the file object itself cannot be looped over for
        weights = {name: file.get_tensor(name) for name in names}
        for name, array in weights.items():
            if array.dtype.kind not in files.NUMBERS:
                raise ValueError(f"'{name}' is {array.dtype}, which is no type of NumPy's own")
        return weights, dict(file.metadata() or {})
