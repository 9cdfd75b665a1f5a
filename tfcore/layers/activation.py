"""Activation functions as layers, each with a row in the model table."""

from collections.abc import Callable

import tensorflow as tf

from tfcore import checks, ops
from tfcore.seeds import Key

ACTIVATIONS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "relu": tf.nn.relu,
    "gelu": ops.gelu,
    "silu": ops.silu,
    "tanh": tf.tanh,
    "sigmoid": tf.sigmoid,
    "softmax": tf.nn.softmax,
}


class Activation(tf.Module):
    """Applies an activation function elementwise; the result has the floating dtype of the input.

        relu      y = max(x, 0)
        gelu      y = x · Φ(x), Φ the standard normal distribution function (Hendrycks & Gimpel 2016, arXiv 1606.08415)
        silu      y = x · sigmoid(x), also called swish (Elfwing, Uchibe & Doya 2017, arXiv 1702.03118)
        tanh      y = tanh(x)
        sigmoid   y = 1 / (1 + exp(-x))
        softmax   y_i = exp(x_i) / sum_j exp(x_j), over the last axis

    `gelu` is the exact one, as in Keras and PyTorch by default; JAX's default is the approximation by tanh.

    Args:
        function: one of the six names.

    Raises:
        ConfigError: an unknown name.
    """

    def __init__(self, function: str) -> None:
        checks.one_of("activation", function, tuple(ACTIVATIONS))
        super().__init__(name=function)
        self.function = function

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        del training, key
        return ACTIVATIONS[self.function](x)
