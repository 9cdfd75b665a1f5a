"""`tf.data` pipelines over pictures in memory or in files: batches for training, padded batches for evaluation.

Indices are batched before anything is touched: one gather a batch, never an element at a time.
"""

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from tfcore import checks
from tfcore.data import order
from tfcore.data.source import BatchReader
from tfcore.errors import DataError

_ENDLESS = 2**62
_PREFETCHED = 2


class Examples:
    """The examples of a source, or the part of them that `indices` name (a training or validation share).

    Args:
        reader: of the source; parts of one source share it.
        indices: int64 `[n]`, the examples that count; None for all.
    """

    def __init__(self, reader: BatchReader, indices: np.ndarray | None = None) -> None:
        self._reader = reader
        self._indices = None if indices is None else tf.constant(indices, tf.int64)
        self.count = int(reader.labels.shape[0]) if indices is None else len(indices)

    def __len__(self) -> int:
        return self.count

    def gather(self, places: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """uint8 pictures `[n, H, W, C]`, and their labels `[n]`.

        They stay bytes: what one core hands to another through memory costs more than the cast, which the model's
        first layer does in the core's own cache.
        """
        rows = self.numbers(places)
        return self._reader.pictures(rows), tf.gather(self._reader.labels, rows)

    def numbers(self, places: tf.Tensor) -> tf.Tensor:
        """int64 [n], which examples of the data set these are."""
        return places if self._indices is None else tf.gather(self._indices, places)

    @property
    def labels(self) -> np.ndarray:
        """int32 `[n]`."""
        labels = self._reader.labels
        return (labels if self._indices is None else tf.gather(labels, self._indices)).numpy()

    def block_steps(self, batch_size: int) -> int:
        """The number of batches to take at once."""
        return self._reader.block_steps(batch_size)

    @property
    def error(self) -> DataError | None:
        """The error that reading a picture ended with, if it did; TensorFlow reports it as an error of its own."""
        return self._reader.error


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
