"""Weights as an HDF5 file: one dataset a variable, under its path, and one of metadata.

That one is called `__metadata__`: `json.loads(file["__metadata__"][()].tobytes())`. It is no attribute: those hold at
most 64 kB, or lie in a heap that HDF5 walks round for ever where it is damaged.
"""

import io
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from tfcore.export import files
from tfcore.export.files import Metadata, Weights
from tfcore.files import appearing

_MOST_ITEMS = 10_000  # datasets and groups; far more than a model has
_LONGEST_NAME = 1000  # characters of a path


def write(path: Path, weights: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Writes the file whole or not at all.

    Raises:
        RunError: something is at `path` already, or it cannot be written.
    """
    files.check_numbers(weights)
    buffer = io.BytesIO()  # HDF5 leaves files open, and errors to the end of the process, on a disk that is full
    with h5py.File(buffer, "w") as file:
        for name, array in files.with_metadata(weights, metadata).items():
            file.create_dataset(name, data=array)
    with appearing(path) as scratch:
        scratch.write_bytes(buffer.getbuffer())


def read(path: Path) -> tuple[Weights, Metadata]:
    """The weights and the metadata of a file of `write` or of h5py.

    Raises:
        DataError: it is missing or damaged, or a dataset is not plain numbers inside of this file: links to other
            files are not followed, and what is compressed or only claimed is refused.
    """
    with files.opened(path, "HDF5"), h5py.File(path, "r") as file:
        datasets = _datasets(file)
        for name, dataset in datasets.items():
            if not _is_plain(dataset):
                raise ValueError(f"'{name}' is not plain, uncompressed numbers that lie in the file")
        if sum(dataset.nbytes for dataset in datasets.values()) > path.stat().st_size:
            raise ValueError("its datasets claim more bytes than it has")
        return files.without_metadata({name: np.asarray(dataset) for name, dataset in datasets.items()})


def _datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    """All datasets by path. Links, soft or to other files, are no items: they are not followed."""
    datasets: dict[str, h5py.Dataset] = {}
    seen = itertools.count(1)

    def visit(name: str, item: Any) -> bool | None:
        """Ends the tour by anything but None: its time grows with the square of the depth."""
        if isinstance(item, h5py.Dataset):
            datasets[name] = item
        return True if next(seen) > _MOST_ITEMS or len(name) > _LONGEST_NAME else None

    if file.visititems(visit):
        raise ValueError(f"it holds more than {_MOST_ITEMS} things, or names of more than {_LONGEST_NAME} characters")
    return datasets


def _is_plain(dataset: h5py.Dataset) -> bool:
    """Whether as many bytes as the dataset claims are in the file itself."""
    own = dataset.external is None and dataset.id.get_storage_size() == dataset.nbytes
    return own and dataset.id.get_create_plist().get_nfilters() == 0 and dataset.dtype.kind in files.NUMBERS
