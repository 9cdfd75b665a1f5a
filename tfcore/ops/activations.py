"""GELU and SiLU, each as one kernel forward and one backward."""

import math
from collections.abc import Callable

import tensorflow as tf

from tfcore.ops.fused import fused, with_gradient

Function = Callable[[tf.Tensor], tf.Tensor]


def _one_pass(function: Function, derivative: Function) -> Function:
    """`function` and its gradient as one float32 kernel each; the gradient is recomputed from x."""

    @fused
    def forward(x: tf.Tensor) -> tf.Tensor:
        return tf.cast(function(tf.cast(x, tf.float32)), x.dtype)

    @fused
    def backward(x: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
        return tf.cast(derivative(tf.cast(x, tf.float32)) * tf.cast(upstream, tf.float32), x.dtype)

    @with_gradient
    def one_pass(x: tf.Tensor) -> tuple[tf.Tensor, Function]:
        return forward(x), lambda upstream: backward(x, upstream)

    return one_pass


def _gelu_derivative(x: tf.Tensor) -> tf.Tensor:
    """Φ(x) + x · φ(x)."""
    below = 0.5 * tf.math.erfc(x * -math.sqrt(0.5))
    return below + x * tf.exp(-0.5 * tf.square(x)) * (1 / math.sqrt(2 * math.pi))


def _silu(x: tf.Tensor) -> tf.Tensor:
    return x * tf.sigmoid(x)


def _silu_derivative(x: tf.Tensor) -> tf.Tensor:
    part = tf.sigmoid(x)
    return part * (1 + x * (1 - part))


gelu = _one_pass(tf.nn.gelu, _gelu_derivative)
silu = _one_pass(_silu, _silu_derivative)
