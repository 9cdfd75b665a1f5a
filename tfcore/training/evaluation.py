"""Evaluates a model on a split: every example counts exactly once, independent of the batch size."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfcore.metrics import EvaluationSums, Scores
from tfcore.training.step import Loss

PREDICTIONS_BYTES = 256 << 20  # kept of one evaluation at most; twice that while it is put together


class Batches(Protocol):
    """Padded batches `(images [B, H, W, C], labels [B], weights [B])`, `count` of them."""

    count: int
    batch_size: int

    def __iter__(self) -> Iterator[Any]: ...


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predicted probabilities of a split's examples 0, every, 2·every, …

    Args:
        probabilities: float32 `[ceil(examples / every), classes]`.
        every: 1 where all examples are there.
        examples: of the split.
    """

    probabilities: NDArray[np.float32]
    every: int
    examples: int

    @property
    def subset(self) -> str:
        """Which examples are there, as a phrase; "" for all."""
        return "" if self.every == 1 else f"1 in {self.every:,} of {self.examples:,} examples"


class Evaluation:
    """Evaluates `model` in one compiled call; traced once for all splits of equal batch size.

    Args:
        model: called as `model(images, training=False)`; gives logits `[N, classes]`.
        loss: per-example losses `[N]` from `(logits, labels)`.
        classes: number of classes.
    """

    def __init__(self, model: Callable[..., tf.Tensor], loss: Loss, *, classes: int) -> None:
        self._model, self._loss = model, loss
        self._sums = EvaluationSums(classes)
        self.run = tf.function(self._run, autograph=False)
        self.run_keeping = tf.function(self._run_keeping, autograph=False)

    def __call__(self, batches: Batches) -> Scores:
        """Computes loss, accuracy, top-k accuracy and confusion matrix over all of `batches`."""
        self._sums.reset()
        self.run(iter(batches), tf.constant(batches.count))
        return self._sums.scores()

    def with_predictions(self, batches: Batches) -> tuple[Scores, Predictions]:
        """Computes the scores and the predictions: of all examples, or of as many evenly spaced ones as are kept."""
        self._sums.reset()
        all_bytes = batches.count * batches.batch_size * self._sums.classes * 4
        every = -(-all_bytes // PREDICTIONS_BYTES)
        found = self.run_keeping(iter(batches), tf.constant(batches.count), tf.constant(every, tf.int64)).numpy()
        scores = self._sums.scores()
        kept = -(-scores.examples // every)  # what comes after them is padding
        return scores, Predictions(found[:kept], every, scores.examples)

    def _run(self, iterator: Iterator[Any], count: tf.Tensor) -> None:
        def add_batch(number: tf.Tensor) -> tf.Tensor:
            self._add(iterator)
            return number + 1

        tf.while_loop(lambda number: number < count, add_batch, [0])

    def _run_keeping(self, iterator: Iterator[Any], count: tf.Tensor, every: tf.Tensor) -> tf.Tensor:
        """The probabilities of the examples 0, every, 2·every, … of all batches."""

        def add_batch(number: tf.Tensor, found: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            logits = self._add(iterator)
            first = tf.cast(number, tf.int64) * tf.shape(logits, tf.int64)[0]
            kept = logits[-first % every :: every]
            return number + 1, found.write(number, tf.nn.softmax(tf.cast(kept, tf.float32)))

        found = tf.TensorArray(tf.float32, count, element_shape=[None, self._sums.classes], infer_shape=False)
        _, found = tf.while_loop(lambda number, _: number < count, add_batch, (0, found))
        return found.concat()

    def _add(self, iterator: Iterator[Any]) -> tf.Tensor:
        """Adds the next batch to the sums; its logits `[B, classes]`."""
        images, labels, weights = next(iterator)
        logits = self._model(images, training=False)
        self._sums.add(self._loss(logits, labels), logits, labels, weights)
        return logits
