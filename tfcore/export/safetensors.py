"""Weights as a .safetensors file: a JSON header with the metadata, then the numbers; it holds no code."""

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
    """Writes the file completely or not at all.

    Raises:
        RunError: something is at `path` already, or it cannot be written.
    """
    files.check_numbers(weights)
    # The library writes an array's memory as it is and ignores strides.
    contiguous = {name: np.asarray(array, order="C") for name, array in weights.items()}
    with appearing(path) as scratch:
        scratch.write_bytes(save(contiguous, dict(metadata)))


def read(path: Path) -> tuple[Weights, Metadata]:
    """Reads the weights and the metadata; the library checks all sizes before it allocates memory.

    Raises:
        DataError: it is missing or damaged, or its header does not match the data.
    """
    # Opened first: the library would wait for the writer of a pipe, and panics when memory runs out.
    with files.opened(path, "safetensors"), safe_open(path, framework="np") as file:
        names = file.keys()  # the file object itself is not iterable
        weights = {name: file.get_tensor(name) for name in names}
        for name, array in weights.items():
            if array.dtype.kind not in files.NUMBERS:
                raise ValueError(f"'{name}' is {array.dtype}, which is not a NumPy type")
        return weights, dict(file.metadata() or {})
