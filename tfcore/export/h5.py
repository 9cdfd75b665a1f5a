"""Weights as an HDF5 file: one dataset per variable, under its path, and one of metadata.

The metadata are the dataset `__metadata__`: `json.loads(file["__metadata__"][()].tobytes())`. An HDF5 attribute would
hold at most 64 kB, or need a heap.
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
    """Writes the file completely or not at all.

    Raises:
        RunError: something is at `path` already, or it cannot be written.
    """
    files.check_numbers(weights)
    buffer = io.BytesIO()  # on a full disk, HDF5 leaves files open and reports errors when the process ends
    with h5py.File(buffer, "w", libver="earliest") as file:  # the version that plain_hdf5 reads
        for name, array in files.with_metadata(weights, metadata).items():
            file.create_dataset(name, data=array)
    with appearing(path) as scratch:
        scratch.write_bytes(buffer.getbuffer())


def read(path: Path) -> tuple[Weights, Metadata]:
    """Reads the weights and the metadata of a file written by `write` or h5py.

    Raises:
        DataError: it is missing or damaged, or holds anything but groups and uncompressed numbers: links to other files
            are not followed, and compressed or unallocated datasets are refused.
    """
    with files.opened(path, "HDF5") as file:
        return files.without_metadata(plain_hdf5.read(file, os.fstat(file.fileno()).st_size))
