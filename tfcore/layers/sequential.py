"""One layer after the other."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import tensorflow as tf

from tfcore import ops
from tfcore.errors import ConfigError
from tfcore.layers.activation import Activation
from tfcore.layers.dropout import Dropout
from tfcore.layers.pool import MaxPool
from tfcore.seeds import Key

Stage = Callable[..., tf.Tensor]


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
        for stage in _stages(layers) if training and ops.enabled() else layers:
            x = stage(x, training=training, key=key)
        return x


def _stages(layers: Sequence[tf.Module]) -> Iterator[Stage]:
    """The layers, but a ReLU, a max pool and a dropout in a row as one."""
    rest = list(layers)
    while rest:
        length = 3 if len(rest) > 1 and isinstance(rest[1], MaxPool) else 2
        *between, last = rest[1:length] or [None]
        if isinstance(rest[0], Activation) and rest[0].function == "relu" and isinstance(last, Dropout) and last.rate:
            yield _relu_dropout(between, last)
            rest = rest[length:]
        else:
            yield rest.pop(0)


def _relu_dropout(pools: Sequence[MaxPool], dropout: Dropout) -> Stage:
    """ReLU, at most one max pool, and dropout."""

    def stage(x: tf.Tensor, *, training: bool, key: Key | None) -> tf.Tensor:
        for pool in pools:
            x = pool(x, training=training)
        return ops.relu_dropout(x, dropout.words(x, key), dropout.rate)

    return stage
