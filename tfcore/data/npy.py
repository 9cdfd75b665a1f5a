"""Reads arrays from .npy and .npz files; compares each header with the size of the file before allocating.

Pickled objects are never loaded: unpickling runs code from the file.
"""

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from numpy.typing import NDArray

from tfcore.data.download import usable
from tfcore.data.reading import DEFLATE_RATIO, GET_ANEW, read_bytes
from tfcore.errors import DataError
from tfcore.files import open_file
from tfcore.npy_header import read_header

_ENCRYPTED = 1  # bit of a zip member's flags
KINDS, NUMBERS = "uiUS", "uif"  # whole numbers and text; numbers
_NAMES = {KINDS: "whole numbers or text", NUMBERS: "numbers"}
_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, RuntimeError)


class Npz:
    """The arrays of an open .npz file, by `names`; each is checked before it is read."""

    def __init__(self, archive: zipfile.ZipFile, path: Path, size_bytes: int) -> None:
        self._archive, self._path, self._size_bytes = archive, path, size_bytes
        self.names = tuple(name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy"))

    def read(self, name: str, kinds: str = KINDS) -> NDArray[Any]:
        """Reads one array of these kinds into new memory that starts on a 64-byte boundary.

        Raises:
            DataError: it is damaged, contains objects, or claims more than the file can contain.
        """
        member, where = self._archive.getinfo(f"{name}.npy"), f"`{name}` in {self._path}"
        deflated = member.compress_type == zipfile.ZIP_DEFLATED
        if member.flag_bits & _ENCRYPTED or not (deflated or member.compress_type == zipfile.ZIP_STORED):
            raise DataError(f"{where} is encrypted or packed in an unusual way. Write it with np.savez_compressed.")
        packed_bytes = min(member.compress_size, self._size_bytes)
        if member.file_size > packed_bytes * (DEFLATE_RATIO if deflated else 1):
            raise DataError(
                f"{where} claims {member.file_size} bytes, more than {packed_bytes} can unpack to. {GET_ANEW}"
            )
        with _intact(where), self._archive.open(member) as stream:
            return read_array(stream, member.file_size, where, kinds)


@contextmanager
def open_npz(path: Path) -> Iterator[Npz]:
    """Opens an .npz file.

    Raises:
        DataError: it is missing, unreadable or not an .npz file.
    """
    with usable(path, "Name an .npz file as np.savez writes it."), open_file(path) as file:
        with _intact(str(path)):
            archive = zipfile.ZipFile(file)
        yield Npz(archive, path, os.fstat(file.fileno()).st_size)


@contextmanager
def _intact(where: str) -> Iterator[None]:
    """Turns errors of zipfile inside the block into a DataError."""
    try:
        yield
    except _DAMAGE as error:
        raise DataError(f"{where} is damaged or no .npz file ({type(error).__name__}). {GET_ANEW}") from error


def read_npy(path: Path, kinds: str) -> NDArray[Any]:
    """Reads the array of an .npy file.

    Raises:
        DataError: the file is missing or unreadable, or see `read_array`.
    """
    with usable(path, "Name an .npy file as np.save writes it."), open_file(path) as file:
        return read_array(file, os.fstat(file.fileno()).st_size, str(path), kinds)


def read_array(stream: IO[bytes], size_bytes: int, where: str, kinds: str = KINDS) -> NDArray[Any]:
    """Reads the array of a stream in the .npy format that is `size_bytes` long.

    Args:
        stream: at its start.
        size_bytes: its length.
        where: for the message.
        kinds: those of dtypes that are taken, as in `np.dtype.kind`: KINDS or NUMBERS.

    Raises:
        DataError: it contains another kind of values, is not in C order, or differs in size from its header.
    """
    try:
        header = read_header(stream)
    except ValueError as error:
        raise DataError(f"{where} cannot be used: {error}. {GET_ANEW}") from error
    shape, fortran_order, dtype = header
    if dtype.kind not in kinds or not dtype.itemsize:
        raise DataError(f"{where} must hold {_NAMES[kinds]}. Received {dtype} of shape {list(shape)}.")
    if fortran_order:
        raise DataError(f"{where} is in Fortran's order. Save np.ascontiguousarray of it.")
    claimed = stream.tell() + header.array_bytes
    if claimed != size_bytes:
        raise DataError(f"The header of {where} claims {claimed} bytes. It has {size_bytes}. {GET_ANEW}")
    return read_bytes(stream, (header.array_bytes,), where).view(dtype).reshape(shape)
