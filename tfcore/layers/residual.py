"""Residual connections."""

import tensorflow as tf

from tfcore.errors import ShapeError
from tfcore.layers.sequential import Layer
from tfcore.seeds import Key


class Residual(tf.Module):
    """y = body(x) + shortcut(x).

    Args:
        body: a layer, such as a `Sequential` of convolutions and batch norms.
        shortcut: a layer that gives the shape of the body's result, such as a convolution of size 1; None for x itself.

    Raises:
        ShapeError: at the call, when the two results differ in shape or dtype.

    Source: He, Zhang, Ren & Sun 2015, arXiv 1512.03385, equations 1 and 2.
    """

    def __init__(self, body: Layer, shortcut: Layer | None = None, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.body, self.shortcut = body, shortcut

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        x = tf.convert_to_tensor(x)
        y = self.body(x, training=training, key=key)
        beside = x if self.shortcut is None else self.shortcut(x, training=training, key=key)
        if y.dtype != beside.dtype or not _are_equal(y.shape, beside.shape):
            what, gives = ("x", "is") if self.shortcut is None else ("its shortcut", "gives")
            raise ShapeError(
                f"Layer '{self.name}' adds the result of its body to {what}, of the same shape and dtype. The body "
                f"gives {y.shape} of {y.dtype.name}, {what} {gives} {beside.shape} of {beside.dtype.name}. Give a "
                "shortcut, such as a Conv2D of size 1 with the stride of the body."
            )
        return y + beside


def _are_equal(one: tf.TensorShape, other: tf.TensorShape) -> bool:
    """Tells whether two shapes can be added without broadcasting; unknown dimensions may be equal."""
    return one.rank == other.rank and one.is_compatible_with(other)
