"""A chain of layers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import tensorflow as tf

from tfcore import ops
from tfcore.errors import ConfigError
from tfcore.layers.activation import Activation
from tfcore.layers.dropout import Dropout
from tfcore.layers.pool import MaxPool
from tfcore.seeds import Key

Layer = Callable[..., tf.Tensor]


class Sequential(tf.Module):
    """Calls its layers in the given order. Each is an attribute of its name, so paths read `hidden_1.weights`.

    In training, a ReLU followed by a dropout is computed in one pass over memory. A max pool between them is moved
    before both, since max(relu(x)) = relu(max(x)). The result is the same except for the rounding of a product.

    Raises:
        ConfigError: a layer has the name of an attribute of `tf.Module`.
    """

    def __init__(self, layers: Mapping[str, tf.Module], *, name: str | None = None) -> None:
        super().__init__(name=name)
        self._order = tuple(layers)
        for layer_name, layer in layers.items():
            if hasattr(self, layer_name):
                raise ConfigError(f"A layer cannot be called '{layer_name}': tf.Module has an attribute of that name.")
            setattr(self, layer_name, layer)

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        return self._through(self._order, x, training=training, key=key)

    def _through(self, names: Sequence[str], x: tf.Tensor, *, training: bool, key: Key | None) -> tf.Tensor:
        """Calls the layers of these names, in this order."""
        layers = [getattr(self, name) for name in names]
        for layer in _fused(layers) if training and ops.enabled() else layers:
            x = layer(x, training=training, key=key)
        return x


def _fused(layers: list[Layer]) -> Iterator[Layer]:
    """Replaces each `ReLU, [max pool,] dropout` by `[max pool,] ReLU and dropout in one pass`."""
    while layers:
        match layers:
            case [Activation(function="relu"), Dropout() as dropout, *layers] if dropout.rate:
                yield _ReluDropout(dropout)
            case [Activation(function="relu"), MaxPool() as pool, Dropout() as dropout, *layers] if dropout.rate:
                yield pool
                yield _ReluDropout(dropout)
            case [layer, *layers]:
                yield layer


@dataclass(frozen=True)
class _ReluDropout:
    """Computes a ReLU and the dropout after it in one pass, in training."""

    dropout: Dropout

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None) -> tf.Tensor:
        del training
        return ops.relu_dropout(x, self.dropout.words(x, key), self.dropout.rate)
