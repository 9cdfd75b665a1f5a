"""Reads arrays from streams of known length, in bounded memory."""

import io
import math
from typing import IO

import numpy as np
from numpy.typing import NDArray

from tfcore.data.dataset import aligned_empty
from tfcore.errors import DataError

PIECE_BYTES = 1 << 20  # decompressed at a time
DEFLATE_RATIO = 1032  # deflate packs at most 258 bytes into two bits
GET_ANEW = "Delete it and get it anew."


def read_bytes(stream: IO[bytes] | io.BufferedIOBase, shape: tuple[int, ...], where: str) -> NDArray[np.uint8]:
    """Reads the rest of a stream into an aligned array.

    Args:
        stream: positioned at the first byte of the array.
        shape: of the array; the caller has compared it with the size of the file.
        where: name of the stream in error messages.

    Raises:
        DataError: the stream has fewer bytes, or more.
    """
    size_bytes = math.prod(shape)
    array = aligned_empty((size_bytes,))
    filled = 0
    # In pieces, since a decompressing stream otherwise keeps a second copy of everything.
    while filled < size_bytes:
        piece = stream.read(min(PIECE_BYTES, size_bytes - filled))
        if not piece:
            raise DataError(
                f"{where} must hold {size_bytes} bytes after its header. It ends after {filled}. {GET_ANEW}"
            )
        array[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
        filled += len(piece)
    # Reading past the end also makes gzip and zip verify their checksum.
    if stream.read(1):
        raise DataError(f"{where} must end after {size_bytes} bytes of array. More follows. {GET_ANEW}")
    return array.reshape(shape)
