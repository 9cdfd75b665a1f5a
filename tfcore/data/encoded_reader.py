"""Batches of encoded pictures: read by one Python call a batch, decoded in TensorFlow's threads."""

import functools
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfcore.data import pictures
from tfcore.data.batch_reader import PythonCalls, as_tensor
from tfcore.data.decoding import decoded
from tfcore.data.headers import Header
from tfcore.data.store import Encoded, Loaded, Store
from tfcore.data.windows import Cut
from tfcore.errors import DataError

_REMEMBERED = 64  # batches whose rows are kept to find the picture that TensorFlow failed to decode


class EncodedReader:
    """Loads the pictures of a split by one Python call a batch, and decodes them in TensorFlow's threads.

    Args:
        split: of encoded pictures.
        cut: the windows of pictures, by random numbers; None for the split's fit.
    """

    def __init__(self, split: Encoded, cut: Cut | None = None) -> None:
        self._split, self._cut, self.labels = split, cut, as_tensor(split.labels)
        self._recent: deque[NDArray[np.int64]] = deque(maxlen=_REMEMBERED)
        self._calls = PythonCalls(self._load)

    def cutting(self, cut: Cut) -> "EncodedReader":
        """Returns a reader of the same pictures that decodes a window of each, by random numbers."""
        found = EncodedReader(self._split, cut)
        found._recent, found._calls.failures = self._recent, self._calls.failures  # errors are told of one source
        return found

    def pictures(self, rows: tf.Tensor, draws: tf.Tensor | None = None) -> tf.Tensor:
        """See `BatchReader`; `draws`, float32 `[n, k]`, are the random numbers of the windows."""
        shape = self._split.image_shape
        if draws is not None:
            loaded = self._calls(_LOADED, rows, draws)
            return tf.ensure_shape(_decoded(*_shaped(*loaded), shape, exact=False), [*rows.shape, *shape])
        wanted, places = tf.unique(rows)  # a last batch may be padded with copies
        loaded = self._calls(_LOADED, wanted, tf.zeros([0], tf.float32))
        return tf.ensure_shape(tf.gather(_decoded(*_shaped(*loaded), shape), places), [*rows.shape, *shape])

    def block_steps(self, batch_size: int) -> int:
        """One batch: decoding takes longer than handing over."""
        del batch_size
        return 1

    def _load(self, rows: NDArray[np.int64], draws: NDArray[np.float32]) -> tuple[Any, ...]:
        self._recent.append(rows)
        data, windows, is_jpeg = self._split.load(rows, self._cut, draws if draws.size else None)
        return np.array(data, object), windows, is_jpeg

    def failure(self, message: str) -> str | None:
        """See `BatchReader`."""
        return self._calls.failure(message) or (self._damaged() if "JPEG" in message else None)

    def _damaged(self) -> str | None:
        """Finds the first picture of the latest batches that TensorFlow cannot decode."""
        for rows in list(self._recent):  # other threads may go on reading
            for row in rows:
                try:
                    self._split.check(int(row))
                except DataError as error:
                    return str(error)
        return None


_LOADED = (tf.string, tf.int32, tf.bool)


def _shaped(data: tf.Tensor, windows: tf.Tensor, is_jpeg: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Gives what a Python call returned the shapes [n], [n, 4] and [n]."""
    return tf.ensure_shape(data, [None]), tf.ensure_shape(windows, [None, 4]), tf.ensure_shape(is_jpeg, [None])


def decode(loaded: Loaded, image_shape: tuple[int, int, int], name: Callable[[int], str]) -> NDArray[np.uint8]:
    """Decodes loaded pictures: uint8 [n, H, W, C].

    Args:
        loaded: n pictures.
        image_shape: (H, W, C).
        name: of the picture at a place among them, for messages.

    Raises:
        DataError: a picture cannot be decoded.
    """

    def run(places: slice) -> NDArray[np.uint8]:
        data, windows, is_jpeg = (part[places] for part in loaded)
        return _decoder(image_shape, True)(tf.constant(data, tf.string), windows, is_jpeg).numpy()

    try:
        return run(slice(None))
    except tf.errors.OpError:
        found = []  # one by one, for the name of the one that is damaged
    for place in range(len(loaded.data)):
        try:
            found.append(run(slice(place, place + 1)))
        except tf.errors.OpError as error:
            raise _damaged(name(place)) from error
    return np.concatenate(found)


def check(store: Store, index: int) -> Header:
    """Decodes one picture of a store, to see whether it can be.

    Raises:
        DataError: it cannot be read or decoded.
    """
    (data,), name = store.read(np.array([index])), store.name(index)
    header = pictures.header(data, name)
    if not header.plain:
        pictures.decode(data, name, channels=1 if header.grey else 3)
        return header
    try:
        tf.io.decode_jpeg(data, dct_method="INTEGER_FAST")
    except tf.errors.OpError as error:
        raise _damaged(name) from error
    return header


def _damaged(name: str) -> DataError:
    return DataError(f"{name} cannot be used: it is a damaged JPEG. Mend or remove it.")


def _decoded(
    data: tf.Tensor, windows: tf.Tensor, is_jpeg: tf.Tensor, image_shape: tuple[int, int, int], *, exact: bool = True
) -> tf.Tensor:
    """Decodes inside the graph that is traced, or by a compiled one."""
    if tf.executing_eagerly():
        return _decoder(image_shape, exact)(data, windows, is_jpeg)
    return decoded(data, windows, is_jpeg, image_shape, exact=exact)


@functools.cache
def _decoder(image_shape: tuple[int, int, int], exact: bool) -> Callable[..., tf.Tensor]:
    """The compiled decoding of any number of pictures, one for each shape in the life of the process."""
    specs = [tf.TensorSpec([None], tf.string), tf.TensorSpec([None, 4], tf.int32), tf.TensorSpec([None], tf.bool)]

    def run(data: tf.Tensor, windows: tf.Tensor, is_jpeg: tf.Tensor) -> tf.Tensor:
        return decoded(data, windows, is_jpeg, image_shape, exact=exact)

    return tf.function(run, autograph=False, input_signature=specs)
