"""Scores of a model over a split: every example exactly once, whatever the batch size."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import tensorflow as tf

from tfcore.metrics import EvaluationSums, Scores
from tfcore.training.step import Loss


class Batches(Protocol):
    """Padded batches `(images, labels, weights)`, `count` of them."""

    count: int

    def __iter__(self) -> Iterator[Any]: ...


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

    def __call__(self, batches: Batches) -> Scores:
        """Loss, accuracy, top-k and confusion matrix over all of `batches`."""
        self._sums.reset()
        self.run(iter(batches), tf.constant(batches.count, tf.int64))
        return self._sums.scores()

    def _run(self, iterator: Iterator[Any], count: tf.Tensor) -> None:
        def add_batch(number: tf.Tensor) -> list[tf.Tensor]:
            images, labels, weights = next(iterator)
            logits = self._model(images, training=False)
            self._sums.add(self._loss(logits, labels), logits, labels, weights)
            return [number + 1]

        tf.while_loop(lambda number: number < count, add_batch, [tf.zeros([], tf.int64)])
