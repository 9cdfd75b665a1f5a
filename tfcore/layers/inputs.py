"""Checks of layers' inputs."""

from typing import Any

import tensorflow as tf

from tfcore.errors import ShapeError

PADDINGS = ("same", "valid")


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
