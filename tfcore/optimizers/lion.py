"""Lion."""

from collections.abc import Mapping
from typing import NamedTuple, Unpack

import tensorflow as tf

from tfcore import checks
from tfcore.optimizers.base import LearningRate, Optimizer
from tfcore.optimizers.chain import Chain
from tfcore.optimizers.update import Slots


class Settings(NamedTuple):
    """The hyperparameters of `Lion`."""

    beta1: float
    beta2: float


def lion_rule(gradient: tf.Tensor, slots: Slots, minus_rate: tf.Tensor, settings: Settings) -> tuple[tf.Tensor, Slots]:
    """Computes the change of one parameter and its new mean by `Lion`; `minus_rate` = -learning_rate."""
    m = slots["m"]
    away = gradient - m
    direction = tf.sign(m + (1 - settings.beta1) * away)
    return minus_rate * direction, {"m": m + (1 - settings.beta2) * away}


class Lion(Optimizer):
    """Lion: steps of equal size in every element, along the sign of a mean that emphasizes the current gradient.

        c = beta1 · m + (1 - beta1) · g
        w ← w - learning_rate · sign(c) - learning_rate · weight_decay · w
        m ← beta2 · m + (1 - beta2) · g

    with w on the right the value before the update, and sign(0) = 0. Keras' `Lion` is the same function, with a default
    rate of 0.001. One slot, where Adam has two. As every element moves by the whole rate, take a rate 3 to 10 times
    smaller when coming from Adam or AdamW, and a weight decay as many times larger, which keeps their product. Where c
    is nearly 0, its rounding decides the sign: two machines can part there by two whole steps of that element.

    Args:
        parameters: path -> float32 variable, in the order in which gradients will come.
        learning_rate: a number above 0, or a schedule.
        beta1: weight of the mean in the direction, 0 <= beta1 < 1.
        beta2: decay of the mean, 0 <= beta2 < 1.
        weight_decay: at least 0, decoupled as in `AdamW`.
        chain: what precedes and follows the rule, see `Optimizer`.

    Raises:
        ConfigError: no parameters, or an argument is out of range.
        ShapeError: a parameter that is not float32.

    Source: Chen et al. 2023, arXiv 2302.06675, algorithm 2; section 5 for the settings.

    Example:
        >>> w = tf.Variable([1.0, 1.0])
        >>> Lion({"w": w}, learning_rate=0.25).apply([tf.constant([1000.0, -0.001])])
        >>> w.numpy().tolist()
        [0.75, 1.25]
    """

    def __init__(
        self,
        parameters: Mapping[str, tf.Variable],
        learning_rate: LearningRate = 1e-4,
        *,
        beta1: float = 0.9,
        beta2: float = 0.99,
        weight_decay: float = 0.0,
        **chain: Unpack[Chain],
    ) -> None:
        checks.below_one("beta1", beta1)
        checks.below_one("beta2", beta2)
        checks.not_negative("weight_decay", weight_decay)
        self.settings = Settings(beta1, beta2)
        self.weight_decay = weight_decay
        super().__init__(parameters, learning_rate, slots={"m": 0.0}, **chain)

    _rule = staticmethod(lion_rule)
