"""Nadam: Adam with Nesterov's momentum."""

from collections.abc import Mapping
from itertools import accumulate
from operator import mul
from typing import NamedTuple, Unpack

import tensorflow as tf

from tfcore import checks
from tfcore.optimizers.base import LearningRate, Optimizer
from tfcore.optimizers.chain import Chain
from tfcore.optimizers.update import Slots

# The products of 1 - 0.96^i / 2 for i = 1 … t. Past 1000 of them a factor is 1 in float64 and the product stays.
_WARM_UP = tuple(accumulate((1 - 0.96**i / 2 for i in range(1, 1001)), mul, initial=1.0))


class Settings(NamedTuple):
    """The hyperparameters of `Nadam`."""

    beta1: float
    beta2: float
    epsilon: float


class Scalars(NamedTuple):
    """All corrections of one step, combined into three float32 scalars."""

    mean_rate: tf.Tensor  # -learning_rate · sqrt(1 - beta2^t) · u_(t+1) / (1 - u_1 ··· u_(t+1))
    gradient_rate: tf.Tensor  # -learning_rate · sqrt(1 - beta2^t) · (1 - u_t) / (1 - u_1 ··· u_t)
    epsilon: tf.Tensor  # epsilon · sqrt(1 - beta2^t)


def momentum_product(t: tf.Tensor, beta1: float) -> tf.Tensor:
    """Computes u_1 · u_2 ··· u_t for u_i = beta1 · (1 - 0.96^i / 2): float64 scalars, t at least 0."""
    # From a table: exact at every step, without a variable to save and restore.
    row = tf.cast(tf.minimum(t, len(_WARM_UP) - 1), tf.int32)
    return tf.gather(tf.constant(_WARM_UP, tf.float64), row) * tf.pow(tf.constant(beta1, tf.float64), t)


def nadam_scalars(step: tf.Tensor, learning_rate: tf.Tensor, settings: Settings) -> Scalars:
    """Computes the corrections of update number `step` + 1; those of v as in `adam_scalars`."""
    t = tf.cast(step + 1, tf.float64)
    now, after = (momentum_product(t + shift, settings.beta1) for shift in (0, 1))
    u_now, u_next = (settings.beta1 * (1 - tf.pow(tf.constant(0.96, tf.float64), t + shift) / 2) for shift in (0, 1))
    root2 = tf.sqrt(1 - tf.pow(tf.constant(settings.beta2, tf.float64), t))
    return Scalars(
        mean_rate=-learning_rate * tf.cast(root2 * u_next / (1 - after), tf.float32),
        gradient_rate=-learning_rate * tf.cast(root2 * (1 - u_now) / (1 - now), tf.float32),
        epsilon=tf.cast(settings.epsilon * root2, tf.float32),
    )


def nadam_rule(gradient: tf.Tensor, slots: Slots, scalars: Scalars, settings: Settings) -> tuple[tf.Tensor, Slots]:
    """Computes the change of one parameter and its new moments by `Nadam`."""
    m = slots["m"] + (1 - settings.beta1) * (gradient - slots["m"])
    v = slots["v"] + (1 - settings.beta2) * (tf.square(gradient) - slots["v"])
    ahead = scalars.mean_rate * m + scalars.gradient_rate * gradient
    return ahead / (tf.sqrt(v) + scalars.epsilon), {"m": m, "v": v}


class Nadam(Optimizer):
    """Adam with Nesterov's momentum: the step combines the new mean, at the next step's momentum, and the gradient.

        m ← beta1 · m + (1 - beta1) · g
        v ← beta2 · v + (1 - beta2) · g²
        u_t = beta1 · (1 - 0.96^t / 2),  t = 1 for the first update
        m̂ = u_(t+1) · m / (1 - u_1 ··· u_(t+1)) + (1 - u_t) · g / (1 - u_1 ··· u_t)
        v̂ = v / (1 - beta2^t)
        w ← w - learning_rate · m̂ / (sqrt(v̂) + epsilon)

    Keras' `Nadam`, but for its default epsilon of 1e-7. The paper's m decays by u_t; in Keras and PyTorch, as here, by
    beta1. The schedule u is over within some 100 updates; the paper's and PyTorch's is slower, with 0.96^(t / 250). So
    PyTorch's `NAdam` with `momentum_decay=1` is this one.

    Args:
        parameters: path -> float32 variable, in the order in which gradients will come.
        learning_rate: a number above 0, or a schedule.
        beta1: decay of the mean gradient, and limit of u_t, 0 <= beta1 < 1.
        beta2: decay of the mean squared gradient, 0 <= beta2 < 1.
        epsilon: above 0; bounds the step where gradients are tiny.
        chain: what precedes and follows the rule, see `Optimizer`.

    Raises:
        ConfigError: no parameters, or an argument is out of range.
        ShapeError: a parameter that is not float32.

    Source: Dozat 2016, "Incorporating Nesterov momentum into Adam", ICLR workshop, the algorithm headed Nadam.

    Example:
        >>> w = tf.Variable([1.0])
        >>> Nadam({"w": w}, learning_rate=0.5, beta1=0.0).apply([tf.constant([1000.0])])
        >>> round(float(w[0]), 4)
        0.5
    """

    def __init__(
        self,
        parameters: Mapping[str, tf.Variable],
        learning_rate: LearningRate = 0.001,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        **chain: Unpack[Chain],
    ) -> None:
        checks.below_one("beta1", beta1)
        checks.below_one("beta2", beta2)
        checks.positive("epsilon", epsilon)
        self.settings = Settings(beta1, beta2, epsilon)
        super().__init__(parameters, learning_rate, slots={"m": 0.0, "v": 0.0}, **chain)

    def _scalars(self, step: tf.Tensor, learning_rate: tf.Tensor) -> Scalars:
        return nadam_scalars(step, learning_rate, self.settings)

    _rule = staticmethod(nadam_rule)
