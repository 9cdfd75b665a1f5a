"""Pictures that stay in their files until a batch wants them: the memory of labels and paths, not of pixels."""

import itertools
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from tfcore.errors import DataError

THREADS = min(8, os.cpu_count() or 1)  # decoders let go of Python's lock


class LazyPictures:
    """Stands where a uint8 array [N, H, W, C] would, as far as its rows are asked for in slices or by number.

    Args:
        paths: N files.
        image_shape: (H, W, C) of what `read` returns.
        read: the pixels of one file, uint8 [H, W, C]; called from several threads.

    Attributes:
        number: what `read_rows` finds them by.
    """

    ndim = 4
    dtype = np.dtype(np.uint8)

    def __init__(
        self, paths: Sequence[str], image_shape: tuple[int, int, int], read: Callable[[str], NDArray[np.uint8]]
    ) -> None:
        self.paths, self._read = paths, read
        self.shape = (len(paths), *image_shape)
        self.nbytes = math.prod(self.shape)  # of the pixels, were they in memory
        # What a read ended with. TensorFlow reports it as an error of its own, with the text of a traceback.
        self.error: DataError | None = None
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="pictures")
        self.number = next(_numbers)
        _alive[self.number] = self

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, rows: NDArray[np.int64] | slice) -> NDArray[np.uint8]:
        """The pictures of these rows, uint8 [n, H, W, C]; one that is named twice is read once.

        Raises:
            DataError: a file that cannot be read, or no memory for its pixels; `error` then holds it.
        """
        numbers = np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else rows
        wanted, places = np.unique(numbers, return_inverse=True)
        pictures = np.empty((len(wanted), *self.shape[1:]), np.uint8)

        def read(place: int) -> None:
            pictures[place] = self._read(self.paths[wanted[place]])

        try:
            for _ in self._pool.map(read, range(len(wanted))):
                pass
        except DataError as error:
            self.error = error
            raise
        except MemoryError as error:
            self.error = DataError("There is not enough memory to decode a batch of pictures. Take a smaller one.")
            raise self.error from error
        return pictures[places]

    def first(self, count: int) -> "LazyPictures":
        """The first `count` pictures, unread as well."""
        return LazyPictures(self.paths[:count], self.shape[1:], self._read)


_numbers = itertools.count()
_alive: WeakValueDictionary[int, LazyPictures] = WeakValueDictionary()


def read_rows(number: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Rows of the pictures of that number: what a graph calls, which must not keep the pictures alive."""
    return _alive[int(number)][rows]


Pictures = NDArray[np.uint8] | LazyPictures
