"""Gradient descent."""

from collections.abc import Mapping

import tensorflow as tf

from tfcore.optimizers.base import LearningRate, Optimizer, Slots


class GradientDescent(Optimizer):
    """Steps against the gradient.

        w ← w - learning_rate · g

    Args:
        parameters: path -> float32 variable, in the order in which gradients will come.
        learning_rate: a number above 0, or a schedule.
        clip_value: bound of each gradient's elements, above 0; None for none.
        clip_norm: bound of the global norm, above 0; None for none.

    Raises:
        ConfigError: no parameters, or an argument is out of range.
        ShapeError: a parameter that is not float32.

    Source: Robbins & Monro 1951, "A stochastic approximation method", eq. 6.

    Example:
        >>> w = tf.Variable([1.0])
        >>> GradientDescent({"w": w}, learning_rate=0.5).apply([tf.constant([1.0])])
        >>> w.numpy().tolist()
        [0.5]
    """

    def __init__(
        self,
        parameters: Mapping[str, tf.Variable],
        learning_rate: LearningRate = 0.01,
        *,
        clip_value: float | None = None,
        clip_norm: float | None = None,
    ) -> None:
        super().__init__(parameters, learning_rate, clip_value=clip_value, clip_norm=clip_norm)

    def _scalars(self, step: tf.Tensor, learning_rate: tf.Tensor) -> tf.Tensor:  # noqa: ARG002 - no step in the formula
        return -learning_rate

    def _rule(self, gradient: tf.Tensor, slots: Slots, scalars: tf.Tensor) -> tuple[tf.Tensor, Slots]:
        return scalars * gradient, slots
