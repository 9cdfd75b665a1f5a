"""`tf.data` pipelines over arrays held once in memory: batches for training, padded batches for evaluation.

Indices are batched before anything is touched: one gather a batch, never an element at a time.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tfcore import checks
from tfcore.data import order

_ALIGNMENT = 64  # bytes; TensorFlow aborts the process on a borrowed buffer that is not aligned so
_ENDLESS = 2**62
_PREFETCHED_BATCHES = 2


def as_tensor(array: np.ndarray) -> tf.Tensor:
    """`array` as a tensor. Where its buffer is aligned it is borrowed, not copied: do not write to it afterwards."""
    if array.ctypes.data % _ALIGNMENT == 0 and array.flags.c_contiguous and array.flags.writeable:
        return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
    return tf.identity(tf.constant(array))  # identity: tf.constant alone holds the pictures twice


class Examples:
    """Pictures and labels as tensors, or the part of them that `indices` name (a training or validation share).

    Args:
        images: uint8 `[N, H, W, C]`.
        labels: int32 `[N]`.
        indices: int64 `[n]`, the examples that count; None for all.
    """

    def __init__(self, images: tf.Tensor, labels: tf.Tensor, indices: np.ndarray | None = None) -> None:
        self._images, self._labels = images, labels
        self._indices = None if indices is None else tf.constant(indices, tf.int64)
        self.count = int(labels.shape[0]) if indices is None else len(indices)

    def __len__(self) -> int:
        return self.count

    def gather(self, places: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """float32 pictures `[n, H, W, C]` on the 0-255 scale, and their labels `[n]`.

        The cast belongs here: the pipeline's thread does it while the step before is still being computed.
        """
        rows = places if self._indices is None else tf.gather(self._indices, places)
        return tf.cast(tf.gather(self._images, rows), tf.float32), tf.gather(self._labels, rows)


class TrainingBatches:
    """The batch of any step: `(images float32 [B, H, W, C], labels int32 [B])`, a function of (seed, step) alone.

    This stands where tf.data pipelines have `shuffle(buffer).repeat().batch(B)`: a buffer's order depends on its size
    and on what was read before, so it can only be resumed by saving the buffer.

    Raises:
        ConfigError: a batch size below 1.
    """

    def __init__(self, examples: Examples, *, batch_size: int, seed: int) -> None:
        checks.positive("batch_size", batch_size)
        self.examples, self.batch_size, self._seed = examples, batch_size, seed

    def from_step(self, step: int) -> Iterator[Any]:
        """An endless iterator whose first element is the batch of `step`, counted from 0."""
        dataset = tf.data.Dataset.range(step, _ENDLESS).map(self._batch).prefetch(_PREFETCHED_BATCHES)
        return iter(dataset.with_options(_plain_options()))

    def _batch(self, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self.examples.gather(
            order.indices(self._seed, step * self.batch_size, self.batch_size, len(self.examples))
        )


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
        dataset = tf.data.Dataset.range(self.count).map(self._batch).prefetch(_PREFETCHED_BATCHES)
        return iter(dataset.with_options(_plain_options()))

    def _batch(self, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        places = number * self.batch_size + tf.range(self.batch_size, dtype=tf.int64)
        images, labels = self.examples.gather(tf.minimum(places, len(self.examples) - 1))
        return images, labels, tf.cast(places < len(self.examples), tf.float32)


def _plain_options() -> tf.data.Options:
    """No tuning at run time (what runs must not depend on timings), and no rewriting of the graph.

    The rewriting would serialise the pipeline with the pictures that it holds: a second copy of the data set.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    options.deterministic = True
    return options
