"""Reads untrusted logs in bounded memory: lines and records larger than any tfcore writes are refused."""

import itertools
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

from tfcore.errors import RunError
from tfcore.files import open_file

_LARGEST_BYTES = 1 << 24  # larger than any line or event that tfcore writes
_RECORD_HEADER = struct.Struct("<QI")  # length and its checksum; data and their checksum follow
_CHECKSUM_BYTES = 4


def lines(path: Path) -> Iterator[str]:
    """Yields the lines of a text file, without line ends.

    Raises:
        RunError: it cannot be read, is no regular file, or has a line of 16 MB or more.
    """
    with _readable(path) as file:
        for number in itertools.count(1):
            line = file.readline(_LARGEST_BYTES)
            if not line:
                return
            if len(line) == _LARGEST_BYTES:
                raise RunError(f"Line {number} of {path} has {_LARGEST_BYTES} bytes or more. Delete the file.")
            yield line.decode(errors="replace").rstrip("\r\n")


def check_records(path: Path) -> None:
    """Raises RunError if a record of an event file claims a length that would crash TensorFlow's reader."""
    with _readable(path) as file:
        while len(header := file.read(_RECORD_HEADER.size)) == _RECORD_HEADER.size:
            length, checksum = _RECORD_HEADER.unpack(header)
            if checksum != masked_crc32c(header[:8]):
                return  # TensorFlow's reader stops here as well
            if length > _LARGEST_BYTES:
                place = file.tell() - len(header)
                raise RunError(f"{path} is damaged: at byte {place} it claims {length} bytes. Delete the file.")
            file.seek(length + _CHECKSUM_BYTES, os.SEEK_CUR)


def record_bytes(record: bytes) -> int:
    """The bytes that a record takes in an event file, with its length and both checksums."""
    return _RECORD_HEADER.size + len(record) + _CHECKSUM_BYTES


@contextmanager
def _readable(path: Path) -> Iterator[BinaryIO]:
    """Opens a file for reading; turns OSError into RunError."""
    try:
        with open_file(path) as file:
            yield file
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}.") from error
