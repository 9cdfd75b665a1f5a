"""Constraints: pure functions that project the weights after an update to the nearest allowed weights."""

from dataclasses import dataclass

import tensorflow as tf

from tfcore import checks


@dataclass(frozen=True)
class MaxNorm:
    """Limits the Euclidean norm of the weights into each unit to `limit`.

        w_j ← w_j · min(1, limit / |w_j|)        for the weights w_j into each unit j

    The norm is over all axes but the last: over `in` for weights `[in, out]`, over a whole filter for convolution
    kernels `[height, width, in, out]`. Weights within the limit stay bitwise unchanged.

    Keras' `MaxNorm` takes the norm over axis 0 alone unless told otherwise, which for a convolution kernel is its
    height only, and divides by |w_j| + 1e-7, so that even weights within the limit shrink a little at every update.
    PyTorch has `Tensor.renorm`, which also adds 1e-7 but only where the norm is too large.

    Args:
        limit: the largest norm allowed, above 0; 3 or 4 in the paper.

    Raises:
        ConfigError: `limit` is out of range.

    Source: Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov 2014, "Dropout: a simple way to prevent neural
        networks from overfitting", JMLR 15, section 5.1.

    Example:
        >>> MaxNorm(2.5)(tf.constant([[3.0, 1.0], [4.0, 2.0]])).numpy().tolist()
        [[1.5, 1.0], [2.0, 2.0]]
    """

    limit: float

    def __post_init__(self) -> None:
        checks.positive("limit", self.limit)

    def __call__(self, weights: tf.Tensor) -> tf.Tensor:
        """Projects float32 weights `[..., units]` to allowed ones."""
        inputs = list(range(weights.shape.rank - 1))
        squares = tf.reduce_sum(tf.square(weights), axis=inputs)  # [units]
        # One factor per unit; the root of limit² or more cannot be 0, and limit / limit is exactly 1.
        return weights * (self.limit / tf.maximum(tf.sqrt(squares), self.limit))
