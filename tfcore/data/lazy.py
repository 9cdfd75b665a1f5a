"""Labelled pictures that stay in their files until a batch needs them; only labels and paths are in memory."""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from tfcore.data.source import BatchReader, check_labels
from tfcore.errors import DataError

THREADS = min(8, os.cpu_count() or 1)  # decoders release Python's lock


class LazySplit:
    """One part of a data set, a file for each picture.

    Args:
        paths: N files.
        labels: int32 [N].
        image_shape: (H, W, C) of what `read_file` returns.
        read_file: returns the pixels of one file, uint8 [H, W, C]; called from several threads.

    Attributes:
        nbytes: the size of the decoded pixels.

    Raises:
        DataError: on labels of another dtype, rank or length, or without any example.
    """

    def __init__(
        self,
        paths: Sequence[str],
        labels: NDArray[np.int32],
        image_shape: tuple[int, int, int],
        read_file: Callable[[str], NDArray[np.uint8]],
    ) -> None:
        check_labels(labels, len(paths))
        self.paths, self.labels, self.image_shape, self._read_file = paths, labels, image_shape, read_file
        self.nbytes = len(paths) * math.prod(image_shape)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="pictures")

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The pictures at `indices`, uint8 [n, H, W, C]; one that is named twice is read once.

        Raises:
            DataError: a file that cannot be read, or no memory for its pixels.
        """
        wanted, places = np.unique(indices, return_inverse=True)
        pictures = np.empty((len(wanted), *self.image_shape), np.uint8)

        def read(place: int) -> None:
            pictures[place] = self._read_file(self.paths[wanted[place]])

        try:
            for _ in self._pool.map(read, range(len(wanted))):
                pass
        except MemoryError as error:
            raise DataError("There is not enough memory to decode a batch of pictures. Take a smaller one.") from error
        return pictures[places]

    def first(self, count: int) -> "LazySplit":
        """The first `count` examples; reads no file."""
        return LazySplit(self.paths[:count], self.labels[:count], self.image_shape, self._read_file)

    def identity(self) -> Iterator[bytes]:
        """The last two parts of each path and the size of each file: reading all pixels would take an epoch.

        Raises:
            OSError: a file is missing.
        """
        for path in self.paths:
            name = os.sep.join(os.fspath(path).split(os.sep)[-2:])
            yield f"{name}\0{os.stat(path).st_size}\0".encode(errors="surrogateescape")

    def batch_reader(self) -> BatchReader:
        """A reader that decodes one batch a call."""
        from tfcore.data.batch_reader import PythonReader  # loads TensorFlow

        return PythonReader(self)
