"""`tf.data` pipelines: batches for training, padded batches for evaluation.

Indices are batched first: one gather a batch, never one element at a time.
"""

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfcore import checks
from tfcore.data.augmentation.chain import Augmentation
from tfcore.data.augmentation.geometry import resized
from tfcore.data.augmentation.mixing import mixed_with_weights
from tfcore.data.decoding import THREADS
from tfcore.data.examples import Examples
from tfcore.data.share import WHOLE, Share
from tfcore.seeds import Key

_ENDLESS = 2**62
_PREFETCHED = 2  # blocks from memory
_MOST_PREFETCHED = 16  # batches from files, at most, and as many as `prefetch_bytes` hold
_AT_ONCE = 2  # batches from files: while the last pictures of one are decoded, the next one keeps all cores busy
PREFETCH_BYTES = 2**28


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
        share: the rows of every batch to read, of one worker of several. They and their draws are those of the whole.

    Attributes:
        block_steps: K, chosen by the size of a batch. The contents of batches do not depend on it.

    Raises:
        ConfigError: a batch size below 1, or one that the workers cannot share.
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
        share: Share = WHOLE,
    ) -> None:
        checks.positive("batch_size", batch_size)
        share.check(batch_size)
        self._share = share
        self._cut = augmentation.cut if augmentation is not None and examples.is_encoded else None
        self.examples = examples if self._cut is None else examples.cut(self._cut)
        self.batch_size, self.seed, self._augmentation = batch_size, seed, augmentation
        self._image_size, self._prefetch_bytes = image_size, prefetch_bytes
        self.block_steps = examples.block_steps(share.size(batch_size))

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
        augmentation, is_cut, rows = self._augmentation, self._cut is not None, self._rows()
        places = self.examples.in_order(self.seed, step * size, steps * size, rows)
        key, draws = Key(self.seed, step, step * size), None
        drawn: dict[str, Any] = {"count": steps * size, "batch_size": size, "examples": examples, "rows": rows}
        drawn["blocks"] = self.examples.blocks
        if augmentation is not None and is_cut:
            draws = augmentation.cut_draws(key=key, **drawn)
        images, labels = self.examples.gather(places, draws)
        weights = self.examples.weights(places)
        if augmentation is not None:
            augment: Callable[..., Any] = functools.partial(augmentation, key=key, is_cut=is_cut, **drawn)
            if weights is not None and augmentation.mixes:
                images, labels, weights = mixed_with_weights(augment, images, augmentation.targets(labels), weights)
            else:
                images, labels = augment(images, labels)
        if self._image_size is not None:
            images = resized(images, self._image_size)
        wholes = (images, labels) if weights is None else (images, labels, weights)
        if rows is not None and len(rows) > (own := self._share.rows(size, steps)).size:
            wholes = tuple(tf.gather(whole, np.searchsorted(rows, own)) for whole in wholes)  # without others' partners
        return tuple(tf.reshape(whole, [steps, self._share.size(size), *whole.shape[1:]]) for whole in wholes)

    def _rows(self) -> NDArray[np.int64] | None:
        """The rows of a block to read, int64 `[n]`; None for all."""
        if self._share.count == 1:
            return None
        mixes = self._augmentation is not None and self._augmentation.mixes
        find = self._share.rows_and_partners if mixes else self._share.rows
        return find(self.batch_size, self.block_steps)


class EvaluationBatches:
    """Evaluation batches: every example once, in order, as `(images [B, H, W, C], labels [B], weights [B])`.

    The last batch is padded to full size with copies of the last example of weight 0: one shape, one trace. Of several
    workers each gets a part of the batches, one after the other.

    Args:
        examples: to evaluate on.
        batch_size: B.
        prefetch_bytes: pictures that are read ahead from files, at most; at least one batch is.
        share: of one worker of several.

    Attributes:
        count, first: the number of these batches, and of those before them.

    Raises:
        ConfigError: a batch size below 1.
    """

    def __init__(
        self,
        examples: Examples,
        *,
        batch_size: int,
        prefetch_bytes: int = PREFETCH_BYTES,
        share: Share = WHOLE,
    ) -> None:
        checks.positive("batch_size", batch_size)
        self.examples, self.batch_size, self._prefetch_bytes = examples, batch_size, prefetch_bytes
        batches = -(-len(examples) // batch_size)
        self.first, end = (batches * part // share.count for part in (share.number, share.number + 1))
        self.count = end - self.first

    def __iter__(self) -> Iterator[Any]:
        return iter(self._pipeline)

    @functools.cached_property
    def _pipeline(self) -> tf.data.Dataset:
        """The pipeline, built once: tracing takes 20 ms, half the time of a small model's evaluation."""
        numbers = tf.data.Dataset.range(self.first, self.first + self.count)
        return _pipeline(numbers, self._batch, self.examples, self._prefetch_bytes)

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
