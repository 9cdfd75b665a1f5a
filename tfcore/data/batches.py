"""`tf.data` pipelines over pictures in memory or in files: batches for training, padded batches for evaluation.

Indices are batched before anything is touched: one gather a batch, never an element at a time.
"""

import functools
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from tfcore import checks
from tfcore.data import order
from tfcore.data.lazy import LazyPictures, read_rows
from tfcore.errors import DataError

_ALIGNMENT = 64  # bytes; TensorFlow aborts the process on a borrowed buffer that is not aligned so
_ENDLESS = 2**62
_PREFETCHED = 2
_BLOCK_STEPS, _BLOCK_BYTES = 20, 2**23  # at most


def as_tensor(array: np.ndarray | LazyPictures) -> tf.Tensor | LazyPictures:
    """`array` as a tensor. Where its buffer is aligned it is borrowed, not copied: do not write to it afterwards.

    Pictures that are read from files stay what they are: `Examples` takes both.
    """
    if isinstance(array, LazyPictures):
        return array
    if array.ctypes.data % _ALIGNMENT == 0 and array.flags.c_contiguous and array.flags.writeable:
        return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
    return tf.identity(tf.constant(array))  # identity: tf.constant alone holds the pictures twice


class Examples:
    """Pictures and labels, or the part of them that `indices` name (a training or validation share).

    Args:
        images: uint8 `[N, H, W, C]`: a tensor, or pictures that are read from files batch by batch.
        labels: int32 `[N]`.
        indices: int64 `[n]`, the examples that count; None for all.
    """

    def __init__(self, images: tf.Tensor | LazyPictures, labels: tf.Tensor, indices: np.ndarray | None = None) -> None:
        self._images, self._labels = images, labels
        self._indices = None if indices is None else tf.constant(indices, tf.int64)
        self.count = int(labels.shape[0]) if indices is None else len(indices)

    def __len__(self) -> int:
        return self.count

    def gather(self, places: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """uint8 pictures `[n, H, W, C]`, and their labels `[n]`.

        They stay bytes: what one core hands to another through memory costs more than the cast, which the model's
        first layer does in the core's own cache.
        """
        rows = self.numbers(places)
        return self._pictures(rows), tf.gather(self._labels, rows)

    def numbers(self, places: tf.Tensor) -> tf.Tensor:
        """int64 [n], which examples of the data set these are."""
        return places if self._indices is None else tf.gather(self._indices, places)

    @property
    def labels(self) -> np.ndarray:
        """int32 `[n]`."""
        return (self._labels if self._indices is None else tf.gather(self._labels, self._indices)).numpy()

    def block_steps(self, batch_size: int) -> int:
        """How many batches are best taken at once: what costs the pipeline is each element, not its size.

        Pictures that are read from files come batch by batch, as nothing is gained where reading takes longer.
        """
        if isinstance(self._images, LazyPictures):
            return 1
        batch_bytes = batch_size * math.prod(self._images.shape[1:])
        return max(1, min(_BLOCK_STEPS, _BLOCK_BYTES // batch_bytes))

    def _pictures(self, rows: tf.Tensor) -> tf.Tensor:
        """uint8 pictures `[n, H, W, C]`."""
        if not isinstance(self._images, LazyPictures):
            return tf.gather(self._images, rows)
        pictures = _reader()(tf.constant(self._images.number, tf.int64), rows)
        return tf.ensure_shape(pictures, [*rows.shape, *self._images.shape[1:]])

    @property
    def error(self) -> DataError | None:
        """What reading a picture ended with, if it did; TensorFlow reports it as an error of its own."""
        return self._images.error if isinstance(self._images, LazyPictures) else None


@functools.cache
def _reader() -> Callable[..., tf.Tensor]:
    """Pictures out of files, by one call of Python; from (number int64 [], rows int64 [n]).

    One graph for the process: TensorFlow keeps the Python function of every graph that calls one, for ever.
    """

    def read(number: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        return tf.numpy_function(read_rows, [number, rows], tf.uint8, stateful=False)

    with tf.init_scope():
        specs = tf.TensorSpec([], tf.int64), tf.TensorSpec([None], tf.int64)
        return tf.function(read, autograph=False).get_concrete_function(*specs)


@contextmanager
def data_errors(parts: Iterable[Examples]) -> Iterator[None]:
    """Raises what reading pictures of `parts` ended with, in place of the error that TensorFlow makes of it.

    Only in place of that one: a picture may have failed that was read ahead and never asked for.

    Raises:
        DataError: a picture that could not be read inside the block.
    """
    try:
        yield
    except tf.errors.OpError as error:
        for part in parts:
            if part.error is not None and str(part.error) in error.message:
                raise part.error from None
        raise


class TrainingBatches:
    """The batch of any step is a function of (seed, step) alone; they come in blocks of K steps.

    This stands where tf.data pipelines have `shuffle(buffer).repeat().batch(B)`: a buffer's order depends on its size
    and on what was read before, so it can only be resumed by saving the buffer.

    Attributes:
        block_steps: K, by the size of a batch. No batch depends on it.

    Raises:
        ConfigError: a batch size below 1.
    """

    def __init__(self, examples: Examples, *, batch_size: int, seed: int) -> None:
        checks.positive("batch_size", batch_size)
        self.examples, self.batch_size, self.seed = examples, batch_size, seed
        self.block_steps = examples.block_steps(batch_size)

    def from_step(self, step: int) -> Iterator[Any]:
        """An endless iterator of `(images uint8 [K, B, H, W, C], labels int32 [K, B])`.

        The first block begins with the batch of `step`, counted from 0.
        """
        return iter(_pipeline(tf.data.Dataset.range(step, _ENDLESS, self.block_steps), self._block))

    def numbers(self, step: int) -> list[int]:
        """Which examples of the data set the batch of `step`, counted from 0, consists of."""
        first = tf.constant(step * self.batch_size, tf.int64)
        places = order.indices(self.seed, first, self.batch_size, len(self.examples))
        return self.examples.numbers(places).numpy().tolist()

    def _block(self, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        steps, size = self.block_steps, self.batch_size
        places = order.indices(self.seed, step * size, steps * size, len(self.examples))
        images, labels = self.examples.gather(places)
        return tf.reshape(images, [steps, size, *images.shape[1:]]), tf.reshape(labels, [steps, size])


class EvaluationBatches:
    """Every example once, in order: `(images [B, H, W, C], labels [B], weights [B])`.

    The last batch is padded to full size with the last example, and weighs it 0: one shape, one trace.

    Raises:
        ConfigError: a batch size below 1.
    """

    def __init__(self, examples: Examples, *, batch_size: int) -> None:
        checks.positive("batch_size", batch_size)
        self.examples, self.batch_size = examples, batch_size
        self.count = -(-len(examples) // batch_size)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._pipeline)

    @functools.cached_property
    def _pipeline(self) -> tf.data.Dataset:
        """Built once: TensorFlow takes 20 ms to trace it, half of what a small model's evaluation takes."""
        return _pipeline(tf.data.Dataset.range(self.count), self._batch)

    def _batch(self, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The batch of that number, counted from 0."""
        places = number * self.batch_size + tf.range(self.batch_size, dtype=tf.int64)
        images, labels = self.examples.gather(tf.minimum(places, len(self.examples) - 1))
        return images, labels, tf.cast(places < len(self.examples), tf.float32)


def _pipeline(numbers: tf.data.Dataset, element: Callable[[tf.Tensor], Any]) -> tf.data.Dataset:
    """An element for each of the numbers, the next ones made while one is in use."""
    plain = tf.autograph.experimental.do_not_convert(element)  # rewriting the source would take longer than tracing it
    return numbers.map(plain).prefetch(_PREFETCHED).with_options(_plain_options())


def _plain_options() -> tf.data.Options:
    """No tuning at run time (what runs must not depend on timings), and no rewriting of the graph.

    The rewriting would serialise the pipeline with the pictures that it holds: a second copy of the data set.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    options.deterministic = True
    return options
