"""The protocol of encoded pictures that are kept in files or records and read by index."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Store(Protocol):
    """Pictures as the bytes of picture files (JPEG, PNG and so on), wherever they are kept."""

    def __len__(self) -> int: ...

    def read(self, indices: NDArray[np.int64]) -> list[bytes]:
        """The encoded pictures at `indices` (int64 [n], each in 0 .. N-1), in that order; called from several threads.

        Raises:
            DataError: one cannot be read.
        """

    def name(self, index: int) -> str:
        """Names one picture in messages, such as `cats/17.jpg` or `train-00003.tfrecord, record 17`."""

    def identity(self, indices: NDArray[np.int64]) -> Iterator[bytes]:
        """Yields bytes that tell the pictures at `indices` from others, for a fingerprint; reads no picture."""


class Stored(NamedTuple):
    """The pictures of one split and their labels, int32 [N]."""

    store: Store
    labels: NDArray[np.int32]
