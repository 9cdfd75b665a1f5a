"""Evaluates a model on a split: every example counts exactly once, independent of the batch size."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfcore.metrics import EvaluationSums, Scores
from tfcore.training.step import Loss
from tfcore.workers import ALONE, Workers

PREDICTIONS_BYTES = 256 << 20  # kept of one evaluation at most; twice that while it is put together


class Batches(Protocol):
    """Padded batches `(images [B, H, W, C], labels [B], weights [B])`, `count` of them after the `first` ones."""

    count: int
    first: int
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
        workers: evaluate a part of the batches each; all get the scores of the whole.
    """

    def __init__(self, model: Callable[..., tf.Tensor], loss: Loss, *, classes: int, workers: Workers = ALONE) -> None:
        self._model, self._loss, self._workers = model, loss, workers
        self._sums = EvaluationSums(classes)
        self.run = tf.function(self._run, autograph=False)
        self.run_keeping = tf.function(self._run_keeping, autograph=False)

    def __call__(self, batches: Batches) -> Scores:
        """Computes loss, accuracy, top-k accuracy and confusion matrix over all of `batches`."""
        self._sums.reset()
        self.run(iter(batches), tf.constant(batches.count))
        return self._scores()

    def with_predictions(self, batches: Batches) -> tuple[Scores, Predictions]:
        """Computes the scores and the predictions: of all examples, or of as many evenly spaced ones as are kept."""
        self._sums.reset()
        ends = self._workers.exchange(batches.first + batches.count)
        all_bytes = max(ends) * batches.batch_size * self._sums.classes * 4
        every = -(-all_bytes // PREDICTIONS_BYTES)
        before = tf.constant(batches.first) if self._workers.count > 1 else None
        count, kept_every = tf.constant(batches.count), tf.constant(every, tf.int64)
        found = self.run_keeping(iter(batches), count, kept_every, before).numpy()
        scores = self._scores()
        kept = -(-scores.examples // every)  # what comes after them is padding
        return scores, Predictions(self._together(found, batches, every)[:kept], every, scores.examples)

    def _scores(self) -> Scores:
        """The scores of the sums of all workers."""
        if self._workers.count > 1:
            for variable in self._sums.variables:
                variable.assign(self._workers.all_reduce(variable.read_value()))
        return self._sums.scores()

    def _together(self, found: NDArray[np.float32], batches: Batches, every: int) -> NDArray[np.float32]:
        """The predictions of all workers, in order: each adds its own to zeros."""
        if self._workers.count == 1:
            return found
        before = -(-batches.first * batches.batch_size // every)
        rows = self._workers.exchange(before + len(found))
        whole = np.zeros([max(rows), self._sums.classes], np.float32)
        whole[before : before + len(found)] = found
        return self._workers.all_reduce(tf.constant(whole)).numpy()

    def _run(self, iterator: Iterator[Any], count: tf.Tensor) -> None:
        def add_batch(number: tf.Tensor) -> tf.Tensor:
            self._add(iterator)
            return number + 1

        tf.while_loop(lambda number: number < count, add_batch, [0])

    def _run_keeping(
        self, iterator: Iterator[Any], count: tf.Tensor, every: tf.Tensor, before: tf.Tensor | None
    ) -> tf.Tensor:
        """The probabilities of the examples 0, every, 2·every, … of all batches."""

        def add_batch(number: tf.Tensor, found: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            logits = self._add(iterator)
            place = number if before is None else before + number
            first = tf.cast(place, tf.int64) * tf.shape(logits, tf.int64)[0]
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
