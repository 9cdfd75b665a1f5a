"""Layers that compute in the type of their input refuse one that is not floating-point."""

from collections.abc import Callable

import pytest
import tensorflow as tf

from tfcore.errors import ShapeError
from tfcore.layers import BatchNorm, Conv2D, Linear


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: Conv2D(3, 4, 3, name="first", seed=0), [2, 6, 6, 3]),
        (lambda: BatchNorm(3, name="first"), [2, 6, 6, 3]),
        (lambda: Linear(3, 4, name="first", seed=0), [2, 3]),
    ],
    ids=["Conv2D", "BatchNorm", "Linear"],
)
@pytest.mark.parametrize("dtype", [tf.uint8, tf.int32], ids=lambda dtype: dtype.name)
def test_integers_are_refused_and_what_to_call_first_is_named(
    make: Callable[[], tf.Module], shape: list[int], dtype: tf.DType
) -> None:
    message = rf"'first' takes floating-point x .* Received {dtype.name}\. Call the model's `pixels` layer first"
    with pytest.raises(ShapeError, match=message):
        make()(tf.zeros(shape, dtype), training=False)
