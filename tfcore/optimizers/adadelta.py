"""Adadelta."""

from collections.abc import Mapping
from typing import NamedTuple, Unpack

import tensorflow as tf

from tfcore import checks
from tfcore.optimizers.base import LearningRate, Optimizer
from tfcore.optimizers.chain import Chain
from tfcore.optimizers.update import Slots


class Settings(NamedTuple):
    """The hyperparameters of `Adadelta`."""

    rho: float
    epsilon: float


def adadelta_rule(
    gradient: tf.Tensor, slots: Slots, minus_rate: tf.Tensor, settings: Settings
) -> tuple[tf.Tensor, Slots]:
    """Computes the change of one parameter and its new means by `Adadelta`; `minus_rate` = -learning_rate."""
    old_changes = slots["squared_changes"]
    squared = tf.square(gradient)
    gradients = slots["squared_gradients"] + (1 - settings.rho) * (squared - slots["squared_gradients"])
    # (RMS of changes / RMS of gradients)²: one root per parameter instead of two, and delta² without a square.
    ratio = (old_changes + settings.epsilon) / (gradients + settings.epsilon)
    changes = old_changes + (1 - settings.rho) * (ratio * squared - old_changes)
    return minus_rate * tf.sqrt(ratio) * gradient, {"squared_gradients": gradients, "squared_changes": changes}


class Adadelta(Optimizer):
    """Adadelta: steps of the gradient times the ratio of the running RMS of changes to that of gradients.

        E[g²] ← rho · E[g²] + (1 - rho) · g²
        delta = -sqrt(E[delta²] + epsilon) / sqrt(E[g²] + epsilon) · g
        E[delta²] ← rho · E[delta²] + (1 - rho) · delta²
        w ← w + learning_rate · delta

    At the default rate of 1 this is the paper's algorithm 1, which has no rate. Keras' `Adadelta` and PyTorch's are the
    same function and keep delta without the rate in E[delta²], as here; their defaults differ: Keras has rate 0.001, at
    which the method hardly moves, and epsilon 1e-7; PyTorch has rate 1, rho 0.9 and epsilon 1e-6. The first steps are
    of about sqrt(epsilon / (1 - rho)), so epsilon sets how fast the method gets going.

    Args:
        parameters: path -> float32 variable, in the order in which gradients will come.
        learning_rate: a number above 0, or a schedule.
        rho: decay of both running means, 0 <= rho < 1.
        epsilon: above 0; added under both roots.
        chain: what precedes and follows the rule, see `Optimizer`.

    Raises:
        ConfigError: no parameters, or an argument is out of range.
        ShapeError: a parameter that is not float32.

    Source: Zeiler 2012, arXiv 1212.5701, algorithm 1.

    Example:
        >>> w = tf.Variable([1.0])
        >>> Adadelta({"w": w}, rho=0.75, epsilon=1.0).apply([tf.constant([2.0])])
        >>> round(float(w[0]), 4)  # 1 - sqrt(1) / sqrt(0.25 · 4 + 1) · 2
        -0.4142
    """

    def __init__(
        self,
        parameters: Mapping[str, tf.Variable],
        learning_rate: LearningRate = 1.0,
        *,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **chain: Unpack[Chain],
    ) -> None:
        checks.below_one("rho", rho)
        checks.positive("epsilon", epsilon)
        self.settings = Settings(rho, epsilon)
        super().__init__(parameters, learning_rate, slots={"squared_gradients": 0.0, "squared_changes": 0.0}, **chain)

    _rule = staticmethod(adadelta_rule)
