"""Batches of examples as tensors: gathered inside the graph, or read by one Python call a batch."""

import functools
import itertools
import math
from collections.abc import Callable
from weakref import WeakValueDictionary

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfcore.data.source import Source, check_pictures
from tfcore.errors import DataError

_ALIGNMENT = 64  # bytes; TensorFlow aborts the process on a borrowed buffer that is not aligned so
_BLOCK_STEPS, _BLOCK_BYTES = 20, 2**23  # at most


def as_tensor(array: np.ndarray) -> tf.Tensor:
    """`array` as a tensor. Where its buffer is aligned it is borrowed, not copied: do not write to it afterwards."""
    if array.ctypes.data % _ALIGNMENT == 0 and array.flags.c_contiguous and array.flags.writeable:
        return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
    return tf.identity(tf.constant(array))  # identity: tf.constant alone holds the pictures twice


class TensorReader:
    """Gathers from one tensor, inside the graph.

    Args:
        source: labelled pictures.
        images: uint8 `[N, H, W, C]`, all of its pictures.
    """

    def __init__(self, source: Source, images: NDArray[np.uint8]) -> None:
        self.labels, self._images = as_tensor(source.labels), as_tensor(images)
        self.error: DataError | None = None  # what is in memory cannot fail

    def pictures(self, rows: tf.Tensor) -> tf.Tensor:
        """See `BatchReader`."""
        return tf.gather(self._images, rows)

    def block_steps(self, batch_size: int) -> int:
        """At most 20 batches, and at most 8 MB unless one batch is larger."""
        batch_bytes = batch_size * math.prod(self._images.shape[1:])
        return max(1, min(_BLOCK_STEPS, _BLOCK_BYTES // batch_bytes))


class PythonReader:
    """Calls `source.read` once a batch."""

    def __init__(self, source: Source) -> None:
        self._source, self.labels = source, as_tensor(source.labels)
        self.error: DataError | None = None
        self._number = next(_numbers)
        _alive[self._number] = self

    def pictures(self, rows: tf.Tensor) -> tf.Tensor:
        """See `BatchReader`."""
        pictures = _graph()(tf.constant(self._number, tf.int64), rows)
        return tf.ensure_shape(pictures, [*rows.shape, *self._source.image_shape])

    def block_steps(self, batch_size: int) -> int:
        """One batch: where reading takes longer than handing over, larger elements gain nothing."""
        del batch_size
        return 1

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The pictures of the rows; keeps the error of a read that fails."""
        try:
            pictures = self._source.read(rows)
            check_pictures(type(self._source).__name__, pictures, len(rows), self._source.image_shape)
            return pictures
        except DataError as error:
            self.error = error
            raise


_numbers = itertools.count()
_alive: WeakValueDictionary[int, PythonReader] = WeakValueDictionary()


def _read(number: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Rows of the reader of that number. The graph holds the number, so that it does not keep the reader alive."""
    return _alive[int(number)].read(rows)


@functools.cache
def _graph() -> Callable[..., tf.Tensor]:
    """The compiled call of `_read`: (number int64 [], rows int64 [n]) to pictures.

    There is one for the process: TensorFlow never frees the Python function of a graph that calls one.
    """

    def read(number: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        return tf.numpy_function(_read, [number, rows], tf.uint8, stateful=False)

    with tf.init_scope():
        specs = tf.TensorSpec([], tf.int64), tf.TensorSpec([None], tf.int64)
        return tf.function(read, autograph=False).get_concrete_function(*specs)
