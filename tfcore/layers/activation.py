"""Activations as layers, so that they have a row in the model table."""

import tensorflow as tf

from tfcore.seeds import Key


class Relu(tf.Module):
    """y = max(x, 0), elementwise; any shape and floating dtype."""

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        del training, key
        return tf.nn.relu(x)
