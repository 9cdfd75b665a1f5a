"""Scores of an evaluation: sums over batches in TensorFlow, divided once at the end in NumPy."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import tensorflow as tf

from tfcore import checks
from tfcore.errors import ConfigError, DataError


def batch_confusion(logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor, classes: int) -> tf.Tensor:
    """Counts the pairs (true class, predicted class) in one padded batch.

        predicted = argmax_c logits_c, the lowest class where several share the maximum

    NaN logits raise no error: their example is counted under some class.

    Args:
        logits: [N, C], any float dtype.
        labels: integer [N], 0 … C - 1, also where padded.
        weights: [N], bool or number: 0 for padding, anything else counts the example once.
        classes: C.

    Returns:
        Tensor [C, C], int64: rows are true classes, columns predicted ones.
    """
    predicted = tf.argmax(logits, axis=1, output_type=tf.int64)
    cells = tf.cast(labels, tf.int64) * classes + predicted
    counted = tf.cast(tf.cast(weights, tf.bool), tf.int64)
    return tf.reshape(tf.math.unsorted_segment_sum(counted, cells, classes**2), [classes, classes])


def batch_top_k_hits(logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor, k: int) -> tf.Tensor:
    """Counts the examples in one padded batch whose label is among the k largest logits.

    Equal logits rank by class, the lower one first, as in `argmax` and `tf.math.top_k`: top-1 is the accuracy, and a
    model whose logits are all equal scores k / C. `tf.math.in_top_k` counts every tie as a hit, so that model would
    score 1; in bfloat16, ties are common. A NaN logit ranks before all numbers, and a label
    whose own logit is NaN is no hit.

    Args:
        logits: [N, C], any float dtype.
        labels: integer [N], 0 … C - 1, also where padded.
        weights: [N], bool or number: 0 for padding, anything else counts the example once.
        k: 1 … C.

    Returns:
        Scalar, int64.
    """
    classes = logits.shape[1]
    labels = tf.cast(labels, tf.int64)[:, tf.newaxis]  # [N, 1]
    own = tf.gather(logits, labels, batch_dims=1)  # [N, 1]
    not_ahead = (logits < own) | ((logits == own) & (tf.range(classes, dtype=tf.int64) >= labels))  # [N, C]
    hits = tf.math.count_nonzero(not_ahead, axis=1) > classes - k
    return tf.math.count_nonzero(hits & tf.cast(weights, tf.bool))


def _ratio(numerators: np.ndarray, denominators: np.ndarray) -> np.ndarray:
    """Divides in float64; 0 where the denominator is 0."""
    return np.divide(numerators, denominators, out=np.zeros(len(numerators)), where=denominators > 0)


@dataclass(frozen=True, eq=False)
class Scores:
    """The result of one evaluation, in Python and NumPy types.

    Args:
        examples: number of scored examples.
        loss: their mean loss, without penalties.
        accuracy: fraction of them whose label has the largest logit.
        top_k: fraction of them whose label is among the `k` largest logits.
        k: the k of `top_k`.
        confusion: [C, C], int64, counts by true class (row) and predicted class (column).
    """

    examples: int
    loss: float
    accuracy: float
    top_k: float
    k: int
    confusion: np.ndarray

    @classmethod
    def from_sums(cls, *, loss_sum: float, top_k_hits: int, k: int, confusion: np.ndarray) -> Self:
        """Divides each sum by the number of examples, which is the sum over the confusion matrix.

        Args:
            loss_sum: sum of the losses of all examples.
            top_k_hits: examples whose label is among the `k` largest logits.
            k: the k of `top_k_hits`.
            confusion: [C, C], integer counts by true and predicted class.

        Returns:
            The scores.

        Raises:
            DataError: no example was counted.
        """
        examples = int(confusion.sum())
        if not examples:
            raise DataError("An evaluation must score at least one example. Received none: the split is empty.")
        accuracy = int(confusion.trace()) / examples
        return cls(examples, float(loss_sum) / examples, accuracy, int(top_k_hits) / examples, k, confusion)

    @property
    def precision(self) -> np.ndarray:
        """[C], float64: fraction of each class's predictions that are correct; 0 for a class without predictions."""
        return _ratio(self.confusion.diagonal(), self.confusion.sum(axis=0))

    @property
    def recall(self) -> np.ndarray:
        """[C], float64: fraction of each class's examples that are predicted as it; 0 for a class without examples."""
        return _ratio(self.confusion.diagonal(), self.confusion.sum(axis=1))


class EvaluationSums(tf.Module):
    """Sums and counts over the batches of one evaluation, in variables that a compiled loop updates.

    Args:
        classes: C, at least 1.
        k: the k of the top-k score, 1 … C; None for min(5, C).

    Raises:
        ConfigError: an argument is out of range.
    """

    def __init__(self, classes: int, k: int | None = None) -> None:
        super().__init__()
        checks.positive_integer("classes", classes)
        self.classes = classes
        self.k = min(5, classes) if k is None else k
        checks.positive_integer("k", self.k)
        if self.k > classes:
            raise ConfigError(f"`k` must be at most the number of classes, {classes}. Received {k!r}.")
        # float64: at 10^6 examples, float32 would lose the fourth digit of a loss.
        self.loss_sum = tf.Variable(0.0, dtype=tf.float64, trainable=False, name="loss_sum")
        self.top_k_hits = tf.Variable(0, dtype=tf.int64, trainable=False, name="top_k_hits")
        self.confusion = tf.Variable(tf.zeros([classes, classes], tf.int64), trainable=False, name="confusion")

    def add(self, losses: tf.Tensor, logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> None:
        """Adds one padded batch.

        Args:
            losses: [N], float.
            logits: [N, C], any float dtype.
            labels: integer [N], 0 … C - 1, also where padded.
            weights: [N], bool or number: 0 for padding, anything else counts the example once.
        """
        # Selected, not multiplied: 0 · NaN is NaN, and a padded row may have a NaN loss.
        counted = tf.where(tf.cast(weights, tf.bool), tf.cast(losses, tf.float64), 0)
        self.loss_sum.assign_add(tf.reduce_sum(counted))
        self.top_k_hits.assign_add(batch_top_k_hits(logits, labels, weights, self.k))
        self.confusion.assign_add(batch_confusion(logits, labels, weights, self.classes))

    def reset(self) -> None:
        """Sets all sums and counts to zero."""
        for variable in (self.loss_sum, self.top_k_hits, self.confusion):
            variable.assign(tf.zeros_like(variable))

    def scores(self) -> Scores:
        """Computes the scores of all batches added since the last reset.

        Raises:
            DataError: nothing was added.
        """
        return Scores.from_sums(
            loss_sum=self.loss_sum.numpy(),
            top_k_hits=self.top_k_hits.numpy(),
            k=self.k,
            confusion=self.confusion.numpy(),
        )
