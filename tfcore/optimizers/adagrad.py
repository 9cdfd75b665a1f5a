"""Adagrad."""

from collections.abc import Mapping
from typing import Unpack

import tensorflow as tf

from tfcore import checks
from tfcore.optimizers.base import LearningRate, Optimizer
from tfcore.optimizers.chain import Chain
from tfcore.optimizers.update import Slots


def adagrad_rule(gradient: tf.Tensor, slots: Slots, minus_rate: tf.Tensor, _: None) -> tuple[tf.Tensor, Slots]:
    """Computes the change of one parameter and its new sum by `Adagrad`; `minus_rate` = -learning_rate."""
    total = slots["accumulator"] + tf.square(gradient)
    return minus_rate * gradient * tf.math.rsqrt(total), {"accumulator": total}


class Adagrad(Optimizer):
    """Adagrad: steps of the gradient over the root of the sum of all squared gradients, per element.

        G ← G + g²,  from G = initial_accumulator + epsilon
        w ← w - learning_rate · g / sqrt(G)

    Keras' `Adagrad` with the same settings: it adds epsilon under the root at every step, which comes to a sum that
    starts higher by epsilon and so costs nothing here. The paper and PyTorch start the sum at 0 and add delta, or
    epsilon (1e-10), to the root. The first step then has the size of the rate whatever the gradient, while after a
    start at 0.1 gradients far below 0.3 make small steps.

    Args:
        parameters: path -> float32 variable, in the order in which gradients will come.
        learning_rate: a number above 0, or a schedule. The default is PyTorch's; Keras has 0.001.
        initial_accumulator: initial value of the sum, at least 0.
        epsilon: above 0; bounds the step before the first gradient.
        chain: what precedes and follows the rule, see `Optimizer`.

    Raises:
        ConfigError: no parameters, or an argument is out of range.
        ShapeError: a parameter that is not float32.

    Source: Duchi, Hazan & Singer 2011, "Adaptive subgradient methods for online learning and stochastic optimization",
        JMLR 12, figure 1 with diagonal matrices and no regularization (composite mirror descent).

    Example:
        >>> w = tf.Variable([1.0])
        >>> Adagrad({"w": w}, learning_rate=0.5, initial_accumulator=7.0).apply([tf.constant([3.0])])
        >>> w.numpy().tolist()
        [0.625]
    """

    def __init__(
        self,
        parameters: Mapping[str, tf.Variable],
        learning_rate: LearningRate = 0.01,
        *,
        initial_accumulator: float = 0.1,
        epsilon: float = 1e-7,
        **chain: Unpack[Chain],
    ) -> None:
        checks.not_negative("initial_accumulator", initial_accumulator)
        checks.positive("epsilon", epsilon)
        super().__init__(parameters, learning_rate, slots={"accumulator": initial_accumulator + epsilon}, **chain)

    _rule = staticmethod(adagrad_rule)
