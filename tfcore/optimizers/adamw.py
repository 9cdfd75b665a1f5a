"""Adam with decoupled weight decay."""

from collections.abc import Mapping
from typing import Unpack

import tensorflow as tf

from tfcore import checks
from tfcore.optimizers.adam import Adam
from tfcore.optimizers.base import LearningRate
from tfcore.optimizers.chain import Chain


class AdamW(Adam):
    """Adam with weight decay that is decoupled from the gradient and its moments.

        w ← w - learning_rate · m̂ / (sqrt(v̂) + epsilon) - learning_rate · weight_decay · w

    with m̂ and v̂ as in `Adam`, and w on the right the value before the update. The decay is scaled by the learning rate,
    as in PyTorch's `AdamW` and Keras': the paper scales both terms by a schedule multiplier but only the first by the
    base rate, so its lambda is base rate · weight_decay here. Every parameter decays, biases and normalization scales
    too, as the other two do by default; a `Group` with weight_decay 0 exempts some. Default decay: 0.01 as in PyTorch;
    Keras has 0.004.

    Args:
        parameters: path -> float32 variable, in the order in which gradients will come.
        learning_rate: a number above 0, or a schedule.
        beta1: decay of the mean gradient, 0 <= beta1 < 1.
        beta2: decay of the mean squared gradient, 0 <= beta2 < 1.
        epsilon: above 0; bounds the step where gradients are tiny.
        weight_decay: at least 0; 0 leaves Adam.
        chain: what precedes and follows the rule, see `Optimizer`.

    Raises:
        ConfigError: no parameters, or an argument is out of range.
        ShapeError: a parameter that is not float32.

    Source: Loshchilov & Hutter 2017, arXiv 1711.05101, algorithm 2.

    Example:
        >>> w = tf.Variable([1.0])
        >>> AdamW({"w": w}, learning_rate=0.5, weight_decay=0.5).apply([tf.constant([0.0])])
        >>> w.numpy().tolist()
        [0.75]
    """

    def __init__(
        self,
        parameters: Mapping[str, tf.Variable],
        learning_rate: LearningRate = 0.001,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
        **chain: Unpack[Chain],
    ) -> None:
        checks.not_negative("weight_decay", weight_decay)
        self.weight_decay = weight_decay
        super().__init__(parameters, learning_rate, beta1=beta1, beta2=beta2, epsilon=epsilon, **chain)
