"""Evaluates a model on a split: every example counts exactly once, independent of the batch size."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfcore.metrics import EvaluationSums, Scores
from tfcore.training.step import Loss


class Batches(Protocol):
    """Padded batches `(images, labels, weights)`, `count` of them."""

    count: int

    def __iter__(self) -> Iterator[Any]: ...


class Evaluation:
    """Evaluates `model` in one compiled call, traced once for all splits of equal batch size.

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
        """Computes loss, accuracy, top-k accuracy and confusion matrix over all of `batches`."""
        return self.with_probabilities(batches)[0]

    def with_probabilities(self, batches: Batches) -> tuple[Scores, NDArray[np.float32]]:
        """Computes the scores, and the class probabilities of each example in order, float32 `[N, classes]`."""
        self._sums.reset()
        probabilities = self.run(iter(batches), tf.constant(batches.count)).numpy()
        scores = self._sums.scores()
        return scores, probabilities[: scores.examples]  # the rest is padding

    def _run(self, iterator: Iterator[Any], count: tf.Tensor) -> tf.Tensor:
        def add_batch(number: tf.Tensor, found: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            images, labels, weights = next(iterator)
            logits = self._model(images, training=False)
            self._sums.add(self._loss(logits, labels), logits, labels, weights)
            return number + 1, found.write(number, tf.nn.softmax(tf.cast(logits, tf.float32)))

        found = tf.TensorArray(tf.float32, count, element_shape=[None, self._sums.classes])
        _, found = tf.while_loop(lambda number, _: number < count, add_batch, (0, found))
        return found.concat()
