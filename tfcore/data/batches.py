"""`tf.data` pipelines: batches for training, padded batches for evaluation.

Indices are batched first: one gather a batch, never one element at a time.
"""

import copy
import functools
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from tfcore import checks
from tfcore.data import order
from tfcore.data.augmentation.chain import Augmentation
from tfcore.data.augmentation.geometry import resized
from tfcore.data.augmentation.mixing import mixed_with_weights
from tfcore.data.decoding import THREADS
from tfcore.data.encoded_reader import EncodedReader
from tfcore.data.read_ahead import ReadAhead
from tfcore.data.source import BatchReader
from tfcore.data.splits import HashedPart, Part
from tfcore.data.windows import Cut
from tfcore.errors import DataError
from tfcore.seeds import Key

_ENDLESS = 2**62
_PREFETCHED = 2  # blocks from memory
_MOST_PREFETCHED = 16  # batches from files, at most, and as many as `prefetch_bytes` hold
_AT_ONCE = 2  # batches from files: while the last pictures of one are decoded, the next one keeps all cores busy
PREFETCH_BYTES = 2**28


class Examples:
    """The examples of a source, or the part of them that `indices` name (a training or validation share).

    Args:
        reader: of the source; parts of one source share it.
        indices: the examples of the part, int64 `[n]` or by a key; None for all.
        weights: float32 `[N]`, factors of the losses of all examples of the source; None for none.
        blocks, read_ahead: of the order of training; see `order.indices` and `ReadAhead`.
    """

    def __init__(
        self,
        reader: BatchReader,
        indices: Part | None = None,
        weights: np.ndarray | None = None,
        blocks: order.Blocks | None = None,
        read_ahead: ReadAhead | None = None,
    ) -> None:
        self._reader, self.blocks, self._read_ahead = reader, blocks, read_ahead
        self._weights = None if weights is None else tf.constant(weights, tf.float32)
        self._indices = tf.constant(indices, tf.int64) if isinstance(indices, np.ndarray) else indices
        self.count = int(reader.labels.shape[0]) if indices is None else len(indices)

    def __len__(self) -> int:
        return self.count

    def gather(self, places: tf.Tensor, draws: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Gathers uint8 pictures `[n, H, W, C]` and labels `[n]`.

        Pictures stay bytes: passing float32 between cores through memory costs more than the cast, which the model's
        first layer does in cache.

        Args:
            places: int64 `[n]`.
            draws: float32 `[n, k]`, the random numbers of the windows, if the examples are `cut`.
        """
        rows = self.numbers(places)
        if draws is not None and isinstance(self._reader, EncodedReader):
            pictures = self._reader.pictures(rows, draws)
        else:
            pictures = self._reader.pictures(rows)
        return pictures, tf.gather(self._reader.labels, rows)

    def cut(self, window: Cut) -> "Examples":
        """Returns the same examples, of whose pictures a random window is decoded; themselves unless `is_encoded`."""
        found = copy.copy(self)
        if isinstance(self._reader, EncodedReader):
            found._reader = self._reader.cutting(window)
        return found

    @property
    def is_encoded(self) -> bool:
        """Whether the pictures are decoded batch by batch, so that they can be `cut`."""
        return isinstance(self._reader, EncodedReader)

    def weights(self, places: tf.Tensor) -> tf.Tensor | None:
        """Gathers the weights, float32 `[n]`; None if the examples have none."""
        return None if self._weights is None else tf.gather(self._weights, self.numbers(places))

    def numbers(self, places: tf.Tensor) -> tf.Tensor:
        """Converts places in the part to row numbers of the data set, int64 `[n]`."""
        if isinstance(self._indices, HashedPart):
            return self._indices.rows(places)
        return places if self._indices is None else tf.gather(self._indices, places)

    def in_order(self, seed: int, first_position: tf.Tensor, count: int) -> tf.Tensor:
        """The places of the examples at positions of the endless sequence of training; see `order.indices`."""
        find = functools.partial(order.indices, seed, count=count, examples=len(self), blocks=self.blocks)
        if self.blocks is None or self._read_ahead is None:
            return find(first_position)
        later = find(first_position + len(self) * self.blocks.at_once // len(self.blocks.sizes))  # in the next block
        return find(first_position) + self._read_ahead(self.numbers(later))

    @property
    def labels(self) -> np.ndarray:
        """int32 `[n]`."""
        if self._indices is None:
            return self._reader.labels.numpy()
        return tf.gather(self._reader.labels, self.numbers(tf.range(len(self), dtype=tf.int64))).numpy()

    def block_steps(self, batch_size: int) -> int:
        """The number of batches to take at once."""
        return self._reader.block_steps(batch_size)

    def failure(self, message: str) -> str | None:
        """Describes the failed read of which TensorFlow reported `message`; None where it has another cause."""
        return self._reader.failure(message)


@contextmanager
def data_errors(parts: Iterable[Examples]) -> Iterator[None]:
    """Raises the DataError of a failed read, in place of the TensorFlow error that carries its text.

    Other errors pass: a picture that was prefetched and never used may have failed, too.

    Raises:
        DataError: a picture of `parts` could not be read inside the block.
        MemoryError: TensorFlow could not allocate a tensor, of a batch or of the model.
    """
    try:
        yield
    except tf.errors.ResourceExhaustedError:
        raise MemoryError("TensorFlow cannot allocate what a step needs. Take a smaller --batch_size.") from None
    except tf.errors.OpError as error:
        failures = [part.failure(error.message) for part in parts]
        for failure in filter(None, failures):
            raise DataError(failure) from None
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
        prefetch_bytes: pictures that are read ahead from files, at most; at least one batch is.

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
        prefetch_bytes: int = PREFETCH_BYTES,
    ) -> None:
        checks.positive("batch_size", batch_size)
        self._cut = augmentation.cut if augmentation is not None and examples.is_encoded else None
        self.examples = examples if self._cut is None else examples.cut(self._cut)
        self.batch_size, self.seed, self._augmentation = batch_size, seed, augmentation
        self._image_size, self._prefetch_bytes = image_size, prefetch_bytes
        self.block_steps = examples.block_steps(batch_size)

    def from_step(self, step: int) -> Iterator[Any]:
        """Returns an endless iterator of `(images uint8 [K, B, H, W, C], labels int32 [K, B])`.

        With an augmentation images may be float32; with one that mixes examples, labels are float32 `[K, B, classes]`.
        Examples that have weights give these as a third tensor, float32 `[K, B]`; see `mixed_with_weights`.
        The first block starts with the batch of `step`, counted from 0.
        """
        numbers = tf.data.Dataset.range(step, _ENDLESS, self.block_steps)
        return iter(_pipeline(numbers, self._block, self.examples, self._prefetch_bytes))

    def numbers(self, step: int) -> list[int]:
        """Returns the row numbers of the examples in the batch of `step`, counted from 0."""
        places = self.examples.in_order(self.seed, tf.constant(step * self.batch_size, tf.int64), self.batch_size)
        return self.examples.numbers(places).numpy().tolist()

    def _block(self, step: tf.Tensor) -> tuple[tf.Tensor, ...]:
        steps, size, examples = self.block_steps, self.batch_size, len(self.examples)
        places = self.examples.in_order(self.seed, step * size, steps * size)
        key = Key(self.seed, step, step * size)
        augmentation, is_cut = self._augmentation, self._cut is not None
        draws = None
        if augmentation is not None and is_cut:
            draws = augmentation.cut_draws(key=key, count=steps * size, batch_size=size, examples=examples)
        images, labels = self.examples.gather(places, draws)
        weights = self.examples.weights(places)
        if augmentation is not None:
            order_of: dict[str, Any] = {"examples": examples, "blocks": self.examples.blocks}
            augment: Any = functools.partial(augmentation, key=key, batch_size=size, is_cut=is_cut, **order_of)
            if weights is not None and augmentation.mixes:
                images, labels, weights = mixed_with_weights(augment, images, augmentation.targets(labels), weights)
            else:
                images, labels = augment(images, labels)
        if self._image_size is not None:
            images = resized(images, self._image_size)
        wholes = (images, labels) if weights is None else (images, labels, weights)
        return tuple(tf.reshape(whole, [steps, size, *whole.shape[1:]]) for whole in wholes)


class EvaluationBatches:
    """Evaluation batches: every example once, in order, as `(images [B, H, W, C], labels [B], weights [B])`.

    The last batch is padded to full size with copies of the last example of weight 0: one shape, one trace.

    Args:
        examples: to evaluate on.
        batch_size: B.
        prefetch_bytes: pictures that are read ahead from files, at most; at least one batch is.

    Raises:
        ConfigError: a batch size below 1.
    """

    def __init__(self, examples: Examples, *, batch_size: int, prefetch_bytes: int = PREFETCH_BYTES) -> None:
        checks.positive("batch_size", batch_size)
        self.examples, self.batch_size, self._prefetch_bytes = examples, batch_size, prefetch_bytes
        self.count = -(-len(examples) // batch_size)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._pipeline)

    @functools.cached_property
    def _pipeline(self) -> tf.data.Dataset:
        """The pipeline, built once: tracing takes 20 ms, half the time of a small model's evaluation."""
        return _pipeline(tf.data.Dataset.range(self.count), self._batch, self.examples, self._prefetch_bytes)

    def _batch(self, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Computes the batch of that number, counted from 0."""
        places = number * self.batch_size + tf.range(self.batch_size, dtype=tf.int64)
        images, labels = self.examples.gather(tf.minimum(places, len(self.examples) - 1))
        return images, labels, tf.cast(places < len(self.examples), tf.float32)


def _pipeline(
    numbers: tf.data.Dataset, element: Callable[[tf.Tensor], Any], examples: Examples, prefetch_bytes: int
) -> tf.data.Dataset:
    """Maps each number to an element, with prefetching; what is in files is read and decoded in threads of its own."""
    plain = tf.autograph.experimental.do_not_convert(element)  # AutoGraph would take longer than the tracing
    options = _plain_options()
    if not examples.is_encoded:
        return numbers.map(plain).prefetch(_PREFETCHED).with_options(options)
    options.threading.private_threadpool_size = THREADS + _AT_ONCE
    batches = numbers.map(plain, num_parallel_calls=_AT_ONCE)
    images = batches.element_spec[0]
    batch_bytes = math.prod(images.shape) * images.dtype.size
    ahead = min(prefetch_bytes // batch_bytes, _MOST_PREFETCHED)
    return batches.prefetch(max(1, ahead)).with_options(options)


def _plain_options() -> tf.data.Options:
    """Options without autotuning (a run must not depend on timings) and without graph rewriting.

    Rewriting would serialise the pipeline together with its pictures: a second copy of the data set.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    options.deterministic = True
    return options
