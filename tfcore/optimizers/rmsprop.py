"""RMSprop: plain, centered, and with momentum."""

from collections.abc import Mapping
from typing import NamedTuple, Unpack

import tensorflow as tf

from tfcore import checks
from tfcore.optimizers.base import LearningRate, Optimizer
from tfcore.optimizers.chain import Chain
from tfcore.optimizers.update import Slots


class Settings(NamedTuple):
    """The hyperparameters of `RMSprop`."""

    rho: float
    momentum: float
    epsilon: float
    centered: bool


def rmsprop_rule(
    gradient: tf.Tensor, slots: Slots, minus_rate: tf.Tensor, settings: Settings
) -> tuple[tf.Tensor, Slots]:
    """Computes the change of one parameter and its new slots by `RMSprop`; `minus_rate` = -learning_rate."""
    if settings.centered:
        away = gradient - slots["mean_gradient"]
        # E[g²] - E[g]², which the variance is, would cancel: its rounding can outweigh epsilon and give sqrt(-x) = NaN.
        spread = settings.rho * (slots["variance"] + (1 - settings.rho) * tf.square(away))
        new = {"variance": spread, "mean_gradient": slots["mean_gradient"] + (1 - settings.rho) * away}
    else:
        spread = slots["mean_square"] + (1 - settings.rho) * (tf.square(gradient) - slots["mean_square"])
        new = {"mean_square": spread}
    change = minus_rate * gradient * tf.math.rsqrt(spread + settings.epsilon)
    if settings.momentum:
        change += settings.momentum * slots["velocity"]
        new["velocity"] = change
    return change, new


class RMSprop(Optimizer):
    """RMSprop: steps of the gradient over the root of the running mean of its square, or of its variance.

        E[g²] ← rho · E[g²] + (1 - rho) · g²
        E[g] ← rho · E[g] + (1 - rho) · g                                        with `centered`
        s = E[g²],  or E[g²] - E[g]² with `centered`
        v ← momentum · v - learning_rate · g / sqrt(s + epsilon)
        w ← w + v

    Keras' `RMSprop` and TensorFlow's, all four forms: epsilon stands under the root, and v is a step, already scaled by
    the rate. PyTorch's adds epsilon (1e-8) to the root, has rho 0.99, and keeps a v without the rate, which differs
    where the rate changes (see `Momentum`). The lecture has no epsilon; Graves has epsilon 1e-4 and rho 0.95.

    With `centered` the slot is the variance itself, by the recurrence s ← rho · (s + (1 - rho) · (g - E[g])²), E[g]
    being the old one. It is the same number without the cancellation: the difference of the two means comes out
    negative in float32 where gradients hardly change, and Keras and PyTorch then take the root of a negative number.

    Args:
        parameters: path -> float32 variable, in the order in which gradients will come.
        learning_rate: a number above 0, or a schedule.
        rho: decay of the running means, 0 <= rho < 1.
        momentum: share of the last step that is kept, 0 <= momentum < 1.
        epsilon: above 0; bounds the step where gradients are tiny.
        centered: whether to divide by the standard deviation instead of the root mean square.
        chain: what precedes and follows the rule, see `Optimizer`.

    Raises:
        ConfigError: no parameters, or an argument is out of range.
        ShapeError: a parameter that is not float32.

    Source: Tieleman & Hinton 2012, "Neural networks for machine learning", lecture 6e (plain); Graves 2013,
        arXiv 1308.0850, eq. 38-45 (centered, with momentum).

    Example:
        >>> w = tf.Variable([1.0])
        >>> RMSprop({"w": w}, learning_rate=0.5, rho=0.75).apply([tf.constant([1000.0])])
        >>> w.numpy().tolist()
        [0.0]
    """

    def __init__(
        self,
        parameters: Mapping[str, tf.Variable],
        learning_rate: LearningRate = 0.001,
        *,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **chain: Unpack[Chain],
    ) -> None:
        checks.below_one("rho", rho)
        checks.below_one("momentum", momentum)
        checks.positive("epsilon", epsilon)
        self.settings = Settings(rho, momentum, epsilon, centered)
        used = ["variance", "mean_gradient"] if centered else ["mean_square"]
        used += ["velocity"] if momentum else []
        super().__init__(parameters, learning_rate, slots=dict.fromkeys(used, 0.0), **chain)

    _rule = staticmethod(rmsprop_rule)
