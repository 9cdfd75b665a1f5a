"""The flattening layer."""

import math

import tensorflow as tf

from tfcore.errors import ShapeError
from tfcore.seeds import Key


class Flatten(tf.Module):
    """Reshapes `[N, ...]` to `[N, features]` in row-major order (the last axis varies fastest)."""

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        del training, key
        if None in x.shape[1:]:
            raise ShapeError(f"`x` must have a known size in every axis but the first. Received shape {x.shape}.")
        return tf.reshape(x, [-1, math.prod(x.shape[1:])])
