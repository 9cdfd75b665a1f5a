"""Parses untrusted headers of NumPy's .npy format."""

import io
import math
import warnings
from typing import IO, Any, NamedTuple

import numpy as np

_MOST_BYTES = 10_000  # NumPy's limit; NumPy itself checks it only after reading a header of up to 4 GB
_VERSIONS = {  # number of bytes of the length field, and the reader of the header
    b"\1\0": (2, np.lib.format.read_array_header_1_0),
    b"\2\0": (4, np.lib.format.read_array_header_2_0),
}


class Header(NamedTuple):
    """The contents of a header."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]

    @property
    def array_bytes(self) -> int:
        """The number of bytes that should follow the header."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(stream: IO[bytes]) -> Header:
    """Reads the header at the start of a stream, leaving the stream at the first byte of the array.

    Only the header is read: compare `array_bytes` with the size of the file before reading the array.

    Raises:
        ValueError: the stream has no valid header.
    """
    start = stream.read(np.lib.format.MAGIC_LEN)
    if start[:-2] != np.lib.format.MAGIC_PREFIX or start[-2:] not in _VERSIONS:
        raise ValueError("it has no header of an array")
    length_bytes, parse = _VERSIONS[start[-2:]]
    packed = stream.read(length_bytes)
    length = int.from_bytes(packed, "little")
    if length > _MOST_BYTES:
        raise ValueError(f"its header claims {length} bytes, and may have {_MOST_BYTES}")
    text = stream.read(length)
    try:
        with warnings.catch_warnings(action="ignore"):  # about escapes in the literal and files of Python 2
            header = Header(*parse(io.BytesIO(packed + text)))
    except Exception as error:  # NumPy evaluates the header as a Python literal and raises whatever that raises
        raise ValueError(f"it has no header of an array ({type(error).__name__})") from error
    if min(header.shape, default=0) < 0:
        raise ValueError(f"its header claims the shape {list(header.shape)}")
    return header
