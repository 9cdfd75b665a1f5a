"""One layer after the other."""

from collections.abc import Mapping

import tensorflow as tf

from tfcore.errors import ConfigError
from tfcore.seeds import Key


class Sequential(tf.Module):
    """Calls its layers in the order given. Each is an attribute under its name, so paths read `hidden_1.weights`.

    Raises:
        ConfigError: a name that is taken by an attribute of `tf.Module`.
    """

    def __init__(self, layers: Mapping[str, tf.Module], *, name: str | None = None) -> None:
        super().__init__(name=name)
        self._order = tuple(layers)
        for layer_name, layer in layers.items():
            if hasattr(self, layer_name):
                raise ConfigError(f"A layer cannot be called '{layer_name}': tf.Module has an attribute of that name.")
            setattr(self, layer_name, layer)

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        for name in self._order:
            x = getattr(self, name)(x, training=training, key=key)
        return x
