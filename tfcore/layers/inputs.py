"""Checks of layers' inputs."""

from typing import Any

import tensorflow as tf

from tfcore import checks
from tfcore.errors import ConfigError, ShapeError

PADDINGS = ("same", "symmetric", "valid")


def check_padding(padding: str, size: int) -> None:
    """Raises ConfigError unless windows of that size can have the padding."""
    checks.one_of("padding", padding, PADDINGS)
    if padding == "symmetric" and size % 2 == 0:
        raise ConfigError(
            f"`padding` symmetric takes windows of odd size, so that all sides get as many rows. Received size {size}. "
            "Take padding 'same'."
        )


def tf_padding(padding: str, size: int, stride: int) -> str | list[list[int]]:
    """Returns the padding as TensorFlow takes it: a name, or the rows and columns to add on each axis."""
    if padding != "symmetric" or stride == 1:
        return "VALID" if padding == "valid" else "SAME"
    both = [(size - 1) // 2] * 2
    return [[0, 0], both, both, [0, 0]] if size > 1 else "VALID"


def has_features(shape: tf.TensorShape, features: int) -> bool:
    """Tells whether a shape is `[N, …, features]`, of two axes or more."""
    return shape.rank is not None and shape.rank >= 2 and shape[-1] == features


def floating(x: Any, layer: str) -> tf.Tensor:
    """Converts x to a tensor, in whose dtype the layer computes.

    Raises:
        ShapeError: the dtype is not a floating-point one.
    """
    x = tf.convert_to_tensor(x)
    if not x.dtype.is_floating:
        raise ShapeError(
            f"Layer '{layer}' takes floating-point x and computes in its dtype. Received {x.dtype.name}. "
            "Call the model's `pixels` layer first, or cast x."
        )
    return x
