"""Gradient descent."""

from collections.abc import Mapping
from typing import Unpack

import tensorflow as tf

from tfcore.optimizers.base import LearningRate, Optimizer
from tfcore.optimizers.chain import Chain
from tfcore.optimizers.update import Slots


def gradient_descent_rule(gradient: tf.Tensor, slots: Slots, minus_rate: tf.Tensor, _: None) -> tuple[tf.Tensor, Slots]:
    """Computes the change of one parameter by `GradientDescent`; `minus_rate` = -learning_rate."""
    return minus_rate * gradient, slots


class GradientDescent(Optimizer):
    """Gradient descent: steps against the gradient.

        w ← w - learning_rate · g

    Args:
        parameters: path -> float32 variable, in the order in which gradients will come.
        learning_rate: a number above 0, or a schedule.
        chain: what precedes and follows the rule, see `Optimizer`.

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
        **chain: Unpack[Chain],
    ) -> None:
        super().__init__(parameters, learning_rate, slots={}, **chain)

    _rule = staticmethod(gradient_descent_rule)
