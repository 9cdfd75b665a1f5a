"""Batches of examples as tensors: gathered inside the graph, or read by one Python call a batch."""

import atexit
import functools
import itertools
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfcore.data.source import Source, check_pictures
from tfcore.errors import DataError

_ALIGNMENT = 64  # bytes; TensorFlow aborts the process on a borrowed buffer that is not aligned so
_KEPT = 8
_NO_MEMORY = "There is not enough memory to read a batch of pictures. Take a smaller one."
_QUIET_SECS, _MOST_SECS = 0.3, 20.0  # of the calls at the end of the process
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

    def pictures(self, rows: tf.Tensor) -> tf.Tensor:
        """See `BatchReader`."""
        return tf.gather(self._images, rows)

    def block_steps(self, batch_size: int) -> int:
        """At most 20 batches, and at most 8 MB unless one batch is larger."""
        batch_bytes = batch_size * math.prod(self._images.shape[1:])
        return max(1, min(_BLOCK_STEPS, _BLOCK_BYTES // batch_bytes))

    def failure(self, message: str) -> str | None:
        """None: what is in memory cannot fail."""
        del message
        return None


class PythonReader:
    """Calls `source.read` once a batch."""

    def __init__(self, source: Source) -> None:
        self._source, self.labels = source, as_tensor(source.labels)
        self._calls = PythonCalls(self._read)

    def pictures(self, rows: tf.Tensor) -> tf.Tensor:
        """See `BatchReader`."""
        (pictures,) = self._calls((tf.uint8,), rows)
        return tf.ensure_shape(pictures, [*rows.shape, *self._source.image_shape])

    def block_steps(self, batch_size: int) -> int:
        """One batch: where reading takes longer than handing over, larger elements gain nothing."""
        del batch_size
        return 1

    def failure(self, message: str) -> str | None:
        """See `BatchReader`."""
        return self._calls.failure(message)

    def _read(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        pictures = self._source.read(rows)
        check_pictures(type(self._source).__name__, pictures, len(rows), self._source.image_shape)
        return pictures


class PythonCalls:
    """Calls a Python function from a graph, and keeps its errors.

    The graph holds a number and not the function, since TensorFlow never frees a Python function that a graph calls.

    Args:
        function: of arrays; returns an array, or a tuple of arrays.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        _end_calls_at_exit()
        self.function = function
        self.failures: deque[str] = deque(maxlen=_KEPT)  # messages; an error would keep alive what its traceback names
        self._number = next(_numbers)
        _alive[self._number] = self

    def __call__(self, dtypes: tuple[tf.DType, ...], *tensors: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Calls the function with the values of the tensors, when the graph runs; returns tensors of these dtypes."""
        return _graph(dtypes, *(tensor.dtype for tensor in tensors))(tf.constant(self._number, tf.int64), *tensors)

    def failure(self, message: str) -> str | None:
        """Describes the failed call of which TensorFlow reported `message`; None where it has another cause."""
        return next((text for text in self.failures if text in message), None)


_numbers = itertools.count()
_alive: WeakValueDictionary[int, PythonCalls] = WeakValueDictionary()


_running: set[int] = set()  # threads inside a call
_is_ending = threading.Event()


def _call(number: NDArray[np.int64], *arrays: NDArray[Any]) -> Any:
    _running.add(threading.get_ident())
    try:
        if _is_ending.is_set():
            raise DataError("Python ends.")
        return _told(_alive[int(number)], *arrays)
    finally:
        _running.discard(threading.get_ident())


def _told(calls: PythonCalls, *arrays: NDArray[Any]) -> Any:
    """Calls the function; keeps the message of an error."""
    try:
        return calls.function(*arrays)
    except DataError as error:
        calls.failures.append(str(error))
        raise
    except MemoryError:
        calls.failures.append(_NO_MEMORY)
        raise DataError(_NO_MEMORY) from None


@functools.cache
def _end_calls_at_exit() -> None:
    """Lets calls end before Python's threads do: the end of a tf.data iterator waits for its calls.

    Registered at the first use, so that it runs before what was registered by the modules that calls need.
    """

    def end() -> None:
        _is_ending.set()  # later calls fail at once, and after some failures an iterator makes no more
        quiet_since = give_up = time.monotonic()
        while _alive and time.monotonic() - quiet_since < _QUIET_SECS and time.monotonic() - give_up < _MOST_SECS:
            time.sleep(0.01)
            if _running:
                quiet_since = time.monotonic()

    atexit.register(end)


@functools.cache
def _graph(returned: tuple[tf.DType, ...], *given: tf.DType) -> Callable[..., tuple[tf.Tensor, ...]]:
    """The compiled call of `_call`, one for the process: (number int64 [], tensors of these dtypes) to tensors."""

    def call(number: tf.Tensor, *tensors: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return tuple(tf.numpy_function(_call, [number, *tensors], returned, stateful=False))

    with tf.init_scope():
        specs = tf.TensorSpec([], tf.int64), *(tf.TensorSpec(None, dtype) for dtype in given)
        return tf.function(call, autograph=False).get_concrete_function(*specs)
