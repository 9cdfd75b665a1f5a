"""The header of an array in NumPy's .npy format, which nobody vouches for."""

import io
import math
import warnings
from typing import IO, Any, NamedTuple

import numpy as np

_MOST_BYTES = 10_000  # NumPy's own limit, which it looks at when it has read the header: up to 4 GB
_VERSIONS = {  # how many bytes tell the length, and what reads a header with its length
    b"\1\0": (2, np.lib.format.read_array_header_1_0),
    b"\2\0": (4, np.lib.format.read_array_header_2_0),
}


class Header(NamedTuple):
    """The shape, dtype and order that a header claims for its array."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]

    @property
    def array_bytes(self) -> int:
        """How many bytes should follow."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(stream: IO[bytes]) -> Header:
    """The header at the start of a stream, which is then at the first byte of the array.

    Nothing but the header is in memory then: compare `array_bytes` with what there is.

    Raises:
        ValueError: there is none.
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
        with warnings.catch_warnings(action="ignore"):  # about escapes in the literal, and about files of Python 2
            header = Header(*parse(io.BytesIO(packed + text)))
    except Exception as error:  # NumPy takes it for a literal of Python's, and lets out whatever that ends with
        raise ValueError(f"it has no header of an array ({type(error).__name__})") from error
    if min(header.shape, default=0) < 0:
        raise ValueError(f"its header claims the shape {list(header.shape)}")
    return header
