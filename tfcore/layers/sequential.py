"""One layer after the other."""

from collections.abc import Callable, Iterator, Mapping
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
    """Calls its layers in the order given. Each is an attribute under its name, so paths read `hidden_1.weights`.

    In training, a ReLU and a dropout after it are one pass over memory, and a max pool between them comes first: the
    largest of numbers is positive where it was so after the ReLU. The result is the same, but for the rounding of a
    product.

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
        layers = [getattr(self, name) for name in self._order]
        for layer in _fused(layers) if training and ops.enabled() else layers:
            x = layer(x, training=training, key=key)
        return x


def _fused(layers: list[Layer]) -> Iterator[Layer]:
    """The layers, with each `ReLU, [max pool,] dropout` replaced by `[max pool,] ReLU and dropout in one pass`."""
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
    """A ReLU and the dropout after it, in training."""

    dropout: Dropout

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None) -> tf.Tensor:
        del training
        return ops.relu_dropout(x, self.dropout.words(x, key), self.dropout.rate)
