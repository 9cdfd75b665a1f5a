"""Adam."""

from collections.abc import Mapping
from typing import NamedTuple, Unpack

import tensorflow as tf

from tfcore import checks
from tfcore.optimizers.base import LearningRate, Optimizer
from tfcore.optimizers.chain import Chain
from tfcore.optimizers.update import Slots


class Settings(NamedTuple):
    """The hyperparameters of `Adam`."""

    beta1: float
    beta2: float
    epsilon: float


class Scalars(NamedTuple):
    """Both bias corrections of one step, combined into two float32 scalars."""

    minus_rate: tf.Tensor  # -learning_rate · sqrt(1 - beta2^t) / (1 - beta1^t)
    epsilon: tf.Tensor  # epsilon · sqrt(1 - beta2^t)


def adam_scalars(step: tf.Tensor, learning_rate: tf.Tensor, settings: Settings) -> Scalars:
    """Computes the bias corrections of update number `step` + 1.

    With c1 = 1 - beta1^t and c2 = 1 - beta2^t, the paper's (m / c1) / (sqrt(v / c2) + epsilon) is
    (sqrt(c2) / c1) · m / (sqrt(v) + epsilon · sqrt(c2)): the corrections cost nothing per parameter.
    """
    # float64: in float32, 1 - 0.999^1 would be off by 1e-5 of itself.
    t = tf.cast(step + 1, tf.float64)
    correction1 = 1 - tf.pow(tf.constant(settings.beta1, tf.float64), t)
    root2 = tf.sqrt(1 - tf.pow(tf.constant(settings.beta2, tf.float64), t))
    return Scalars(
        minus_rate=-learning_rate * tf.cast(root2 / correction1, tf.float32),
        epsilon=tf.cast(settings.epsilon * root2, tf.float32),
    )


def adam_rule(gradient: tf.Tensor, slots: Slots, scalars: Scalars, settings: Settings) -> tuple[tf.Tensor, Slots]:
    """Computes the change of one parameter and its new moments by `Adam`."""
    m = slots["m"] + (1 - settings.beta1) * (gradient - slots["m"])
    v = slots["v"] + (1 - settings.beta2) * (tf.square(gradient) - slots["v"])
    return scalars.minus_rate * m / (tf.sqrt(v) + scalars.epsilon), {"m": m, "v": v}


class Adam(Optimizer):
    """Adam: steps of the mean gradient over the root mean squared gradient, both with bias correction.

        m ← beta1 · m + (1 - beta1) · g
        v ← beta2 · v + (1 - beta2) · g²
        m̂ = m / (1 - beta1^t),  v̂ = v / (1 - beta2^t),  t = 1 for the first update
        w ← w - learning_rate · m̂ / (sqrt(v̂) + epsilon)

    This is algorithm 1 of the paper and PyTorch's `Adam`: epsilon is added to the corrected root. Keras and TensorFlow
    add theirs to the uncorrected one, the "epsilon hat" of the paper's section 2, which is epsilon · sqrt(1 - beta2^t)
    here. The two differ in early steps (at the first, with beta2 = 0.999, by a factor of 32 in epsilon) where gradients
    are not much larger than epsilon, and agree as t grows. Keras' default is 1e-7, here and in PyTorch it is 1e-8.

    Args:
        parameters: path -> float32 variable, in the order in which gradients will come.
        learning_rate: a number above 0, or a schedule.
        beta1: decay of the mean gradient, 0 <= beta1 < 1.
        beta2: decay of the mean squared gradient, 0 <= beta2 < 1.
        epsilon: above 0; bounds the step where gradients are tiny.
        chain: what precedes and follows the rule, see `Optimizer`.

    Raises:
        ConfigError: no parameters, or an argument is out of range.
        ShapeError: a parameter that is not float32.

    Source: Kingma & Ba 2014, arXiv 1412.6980, algorithm 1.

    Example:
        >>> w = tf.Variable([1.0])
        >>> Adam({"w": w}, learning_rate=0.5).apply([tf.constant([1000.0])])
        >>> w.numpy().tolist()
        [0.5]
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
        return adam_scalars(step, learning_rate, self.settings)

    _rule = staticmethod(adam_rule)
