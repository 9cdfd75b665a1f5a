"""Logs read back, whoever wrote them: no line and no record may take more memory than any of ours does."""

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

_LARGEST_BYTES = 1 << 24  # more than any line or event has
_RECORD_HEADER = struct.Struct("<QI")  # the length of a record, and its checksum; the record follows, and its own
_CHECKSUM_BYTES = 4


def lines(path: Path) -> Iterator[str]:
    """The lines of a text file, without their ends.

    Raises:
        RunError: it cannot be read, is no file, or holds a line that no log has.
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
    """Raises RunError where a record of an event file claims a length that would end the process that reads it."""
    with _readable(path) as file:
        while len(header := file.read(_RECORD_HEADER.size)) == _RECORD_HEADER.size:
            length, checksum = _RECORD_HEADER.unpack(header)
            if checksum != masked_crc32c(header[:8]):
                return  # TensorFlow's reader stops here, too
            if length > _LARGEST_BYTES:
                place = file.tell() - len(header)
                raise RunError(f"{path} is damaged: at byte {place} it claims {length} bytes. Delete the file.")
            file.seek(length + _CHECKSUM_BYTES, os.SEEK_CUR)


def record_bytes(record: bytes) -> int:
    """The bytes that a record takes in an event file, with its length and both checksums."""
    return _RECORD_HEADER.size + len(record) + _CHECKSUM_BYTES


@contextmanager
def _readable(path: Path) -> Iterator[BinaryIO]:
    """A file to read; raises RunError where that cannot be done."""
    try:
        with open_file(path) as file:
            yield file
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}.") from error
