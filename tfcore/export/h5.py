"""Weights as an HDF5 file: one dataset a variable, under its path, and one of metadata.

That one is called `__metadata__`: `json.loads(file["__metadata__"][()].tobytes())`. It is no attribute: those hold at
most 64 kB, or lie in a heap of their own.
"""

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
from numpy.typing import NDArray

from tfcore.export import files, plain_hdf5
from tfcore.export.files import Metadata, Weights
from tfcore.files import appearing


def write(path: Path, weights: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Writes the file whole or not at all.

    Raises:
        RunError: something is at `path` already, or it cannot be written.
    """
    files.check_numbers(weights)
    buffer = io.BytesIO()  # HDF5 leaves files open, and errors to the end of the process, on a disk that is full
    with h5py.File(buffer, "w", libver="earliest") as file:  # which plain_hdf5 reads
        for name, array in files.with_metadata(weights, metadata).items():
            file.create_dataset(name, data=array)
    with appearing(path) as scratch:
        scratch.write_bytes(buffer.getbuffer())


def read(path: Path) -> tuple[Weights, Metadata]:
    """The weights and the metadata of a file of `write` or of h5py.

    Raises:
        DataError: it is missing or damaged, or holds anything but groups and plain numbers: links to other files are
            not followed, and what is compressed or only claimed is refused.
    """
    with files.opened(path, "HDF5") as file:
        return files.without_metadata(plain_hdf5.read(file, os.fstat(file.fileno()).st_size))
