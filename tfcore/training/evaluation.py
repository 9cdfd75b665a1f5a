"""Scores of a model over a split: every example exactly once, whatever the batch size."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfcore.data.batches import EvaluationBatches
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


class Predictions:
    """The probabilities that `model` gives, for looks at single examples; traced once for all splits.

    Args:
        model: called as `model(images, training=False)`; gives logits `[N, classes]`.
    """

    def __init__(self, model: Callable[..., tf.Tensor]) -> None:
        self._model = model
        self._of_batch = tf.function(self._softmax, autograph=False)

    def __call__(self, batches: EvaluationBatches) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """The probability of each class for each example, float32 `[N, classes]`, and the labels `[N]`."""
        parts = []
        for images, labels, weights in map(batches.batch, range(batches.count)):  # an iterator takes longer to make
            counted = weights.numpy() > 0
            parts.append((self._of_batch(images).numpy()[counted], labels.numpy()[counted]))
        probabilities, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return probabilities, labels

    def _softmax(self, images: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(tf.cast(self._model(images, training=False), tf.float32))
