"""Weights as an .npz file, which `numpy.load` reads: one array per variable, and one of metadata.

The metadata are the array `__metadata__`: `json.loads(numpy.load(path)["__metadata__"].tobytes())`.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tfcore.errors import DataError
from tfcore.export import files
from tfcore.export.files import Metadata, Weights
from tfcore.files import appearing
from tfcore.npy_header import read_header


def write(path: Path, weights: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Writes the file completely or not at all. The same weights give the same bytes.

    `numpy.savez` takes the names as keywords, so that no variable could be called `file`.

    Raises:
        RunError: something is at `path` already, or it cannot be written.
    """
    files.check_numbers(weights)
    with appearing(path) as scratch, zipfile.ZipFile(scratch, "w") as archive:
        for name, array in files.with_metadata(weights, metadata).items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)


def read(path: Path) -> tuple[Weights, Metadata]:
    """Reads the weights and the metadata of a file of `write` or `numpy.savez`; verifies the zip's checksums.

    Raises:
        DataError: it is missing, damaged or compressed, holds anything but numbers, or claims more bytes than it has.
    """
    with files.opened(path, "npz") as file, zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise DataError(f"{path} is compressed, so its uncompressed size is unbounded. Save it with numpy.savez.")
        if sum(member.file_size for member in members) > path.stat().st_size:
            raise ValueError("its members claim more bytes than the file has")
        arrays = {member.filename.removesuffix(".npy"): _array(archive, member) for member in members}
        return files.without_metadata(arrays)


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    """Reads one array, after checking that its header claims as many bytes as the member has."""
    try:
        with archive.open(member) as stream:
            header = read_header(stream)
            if header.dtype.kind not in files.NUMBERS:
                raise ValueError(f"it holds no plain numbers but {header.dtype}")
            if stream.tell() + header.array_bytes != member.file_size:
                raise ValueError("its header claims another size")
            data = bytearray(stream.read())
    except ValueError as error:
        raise ValueError(f"'{member.filename}': {error}") from error
    order: Literal["F", "C"] = "F" if header.fortran_order else "C"
    return np.frombuffer(data, header.dtype).reshape(header.shape, order=order)
