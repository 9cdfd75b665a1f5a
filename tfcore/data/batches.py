"""`tf.data` pipelines: batches for training, padded batches for evaluation.

Indices are batched first: one gather a batch, never one element at a time.
"""

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from tfcore import checks
from tfcore.data import order
from tfcore.data.augmentation.chain import Augmentation
from tfcore.data.augmentation.geometry import resized
from tfcore.data.source import BatchReader
from tfcore.errors import DataError
from tfcore.seeds import Key

_ENDLESS = 2**62
_PREFETCHED = 2


class Examples:
    """The examples of a source, or the part of them that `indices` name (a training or validation share).

    Args:
        reader: of the source; parts of one source share it.
        indices: int64 `[n]`, the examples of the part; None for all.
        weights: float32 `[N]`, factors of the losses of all examples of the source; None for none.
    """

    def __init__(
        self, reader: BatchReader, indices: np.ndarray | None = None, weights: np.ndarray | None = None
    ) -> None:
        self._reader = reader
        self._weights = None if weights is None else tf.constant(weights, tf.float32)
        self._indices = None if indices is None else tf.constant(indices, tf.int64)
        self.count = int(reader.labels.shape[0]) if indices is None else len(indices)

    def __len__(self) -> int:
        return self.count

    def gather(self, places: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Gathers uint8 pictures `[n, H, W, C]` and labels `[n]`.

        Pictures stay bytes: passing float32 between cores through memory costs more than the cast, which the model's
        first layer does in cache.
        """
        rows = self.numbers(places)
        return self._reader.pictures(rows), tf.gather(self._reader.labels, rows)

    def weights(self, places: tf.Tensor) -> tf.Tensor | None:
        """Gathers the weights, float32 `[n]`; None if the examples have none."""
        return None if self._weights is None else tf.gather(self._weights, self.numbers(places))

    def numbers(self, places: tf.Tensor) -> tf.Tensor:
        """Converts places in the part to row numbers of the data set, int64 `[n]`."""
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
    """Raises the DataError of a failed read, in place of the TensorFlow error that carries its text.

    Other errors pass: a picture that was prefetched and never used may have failed, too.

    Raises:
        DataError: a picture of `parts` could not be read inside the block.
    """
    try:
        yield
    except tf.errors.OpError as error:
        for part in parts:
            if part.error is not None and str(part.error) in error.message:
                raise part.error from None
        raise


class TrainingBatches:
    """Training batches as a function of (seed, step) alone, in blocks of K steps.

    This replaces `shuffle(buffer).repeat().batch(B)` of tf.data: a buffer's order depends on its size and on what was
    read before, so it can only be resumed by saving the buffer.

    Args:
        examples: to train on.
        batch_size: B.
        seed: the run's seed.
        augmentation: applied to every batch; None for none.
        image_size: (H, W) that the pictures are resized to after it; None for their own.

    Attributes:
        block_steps: K, chosen by the size of a batch. The contents of batches do not depend on it.

    Raises:
        ConfigError: a batch size below 1.
    """

    def __init__(
        self,
        examples: Examples,
        *,
        batch_size: int,
        seed: int,
        augmentation: Augmentation | None = None,
        image_size: tuple[int, int] | None = None,
    ) -> None:
        checks.positive("batch_size", batch_size)
        self.examples, self.batch_size, self.seed, self._augmentation = examples, batch_size, seed, augmentation
        self._image_size = image_size
        self.block_steps = examples.block_steps(batch_size)

    def from_step(self, step: int) -> Iterator[Any]:
        """Returns an endless iterator of `(images uint8 [K, B, H, W, C], labels int32 [K, B])`.

        With an augmentation images may be float32; with one that mixes examples, labels are float32 `[K, B, classes]`.
        Examples that have weights give these as a third tensor, float32 `[K, B]`; see `_mixed_with_weights`.
        The first block starts with the batch of `step`, counted from 0.
        """
        return iter(_pipeline(tf.data.Dataset.range(step, _ENDLESS, self.block_steps), self._block))

    def numbers(self, step: int) -> list[int]:
        """Returns the row numbers of the examples in the batch of `step`, counted from 0."""
        first = tf.constant(step * self.batch_size, tf.int64)
        places = order.indices(self.seed, first, self.batch_size, len(self.examples))
        return self.examples.numbers(places).numpy().tolist()

    def _block(self, step: tf.Tensor) -> tuple[tf.Tensor, ...]:
        steps, size = self.block_steps, self.batch_size
        places = order.indices(self.seed, step * size, steps * size, len(self.examples))
        images, labels = self.examples.gather(places)
        weights = self.examples.weights(places)
        if self._augmentation is not None:
            key = Key(self.seed, step, step * size)
            augment = functools.partial(self._augmentation, key=key, batch_size=size, examples=len(self.examples))
            if weights is not None and self._augmentation.mixes:
                images, labels, weights = _mixed_with_weights(
                    augment, images, self._augmentation.targets(labels), weights
                )
            else:
                images, labels = augment(images, labels)
        if self._image_size is not None:
            images = resized(images, self._image_size)
        wholes = (images, labels) if weights is None else (images, labels, weights)
        return tuple(tf.reshape(whole, [steps, size, *whole.shape[1:]]) for whole in wholes)


def _mixed_with_weights(
    augment: Callable[..., Any], images: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Mixes examples that have weights.

    The loss of examples y and y' of weights w and w', mixed in shares λ and 1 - λ, is the weighted sum

        λ w loss(y) + (1 - λ) w' loss(y') = v loss((λ w y + (1 - λ) w' y') / v),  v = λ w + (1 - λ) w'

    where the loss is linear in the targets, as the cross-entropy is, also with label smoothing. So the targets are
    multiplied by the weights, mixed, and divided by their sum v, which is the weight of the mixed example.

    Args:
        augment: of images and targets.
        images: `[n, H, W, C]`.
        targets: float32 `[n, classes]`, which sum to 1.
        weights: float32 `[n]`.

    Returns:
        Images, targets which sum to 1 (to 0 where the weight is 0), and weights v.
    """
    images, weighted = augment(images, weights[:, tf.newaxis] * targets)
    mixed = tf.reduce_sum(weighted, axis=1)
    return images, tf.math.divide_no_nan(weighted, mixed[:, tf.newaxis]), mixed


class EvaluationBatches:
    """Evaluation batches: every example once, in order, as `(images [B, H, W, C], labels [B], weights [B])`.

    The last batch is padded to full size with copies of the last example of weight 0: one shape, one trace.

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
        """The pipeline, built once: tracing takes 20 ms, half the time of a small model's evaluation."""
        return _pipeline(tf.data.Dataset.range(self.count), self._batch)

    def _batch(self, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Computes the batch of that number, counted from 0."""
        places = number * self.batch_size + tf.range(self.batch_size, dtype=tf.int64)
        images, labels = self.examples.gather(tf.minimum(places, len(self.examples) - 1))
        return images, labels, tf.cast(places < len(self.examples), tf.float32)


def _pipeline(numbers: tf.data.Dataset, element: Callable[[tf.Tensor], Any]) -> tf.data.Dataset:
    """Maps each number to an element, with prefetching."""
    plain = tf.autograph.experimental.do_not_convert(element)  # AutoGraph would take longer than the tracing
    return numbers.map(plain).prefetch(_PREFETCHED).with_options(_plain_options())


def _plain_options() -> tf.data.Options:
    """Options without autotuning (a run must not depend on timings) and without graph rewriting.

    Rewriting would serialise the pipeline together with its pictures: a second copy of the data set.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    options.deterministic = True
    return options
