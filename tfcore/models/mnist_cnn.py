"""A convolutional network for small greyscale pictures."""

from typing import Any

import tensorflow as tf

from tfcore import checks
from tfcore.errors import ConfigError
from tfcore.layers import Activation, Conv2D, Dropout, Flatten, Linear, Pixels, Sequential
from tfcore.layers.pool import POOLS
from tfcore.models.sizes import dropout_rates, some_filters


class MnistCnn(Sequential):
    """Convolutions, one pool, linear layers, and dropout after the pool and before the logits.

        3×3 `valid` convolution → activation, for each of `filters`
        2×2 pool → dropout → flatten
        linear → activation, for each of `hidden`
        dropout → linear to the logits

    Args:
        image_shape: (H, W, C).
        classes: number of classes.
        pixels: the scaling layer; all layers compute in the dtype of its result.
        seed: the run's seed.
        filters: number of filters of each convolution, first layer first; at least one convolution.
        hidden: units of each hidden linear layer; may be empty.
        dropout: rates after the pool and before the logits; one number sets both.
        activation: a name in `layers.activation.ACTIVATIONS`.
        pooling: max, average or sum.
        initializer: of all weights, a name accepted by `initializers.find`. Biases start at zero.

    Raises:
        ConfigError: an argument is out of range, or the pictures are too small for so many convolutions.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        *,
        pixels: Pixels,
        seed: int,
        filters: tuple[int, ...] = (32, 64),
        hidden: tuple[int, ...] = (100,),
        dropout: tuple[float, ...] = (0.25, 0.5),
        activation: str = "relu",
        pooling: str = "max",
        initializer: str = "glorot_uniform",
    ) -> None:
        some_filters(filters)
        checks.one_of("pooling", pooling, tuple(POOLS))
        after_pool, before_logits = dropout_rates(dropout)
        shared: dict[str, Any] = {"seed": seed, "initializer": initializer}
        layers: dict[str, tf.Module] = {"pixels": pixels}
        height, width, channels = image_shape
        for number, count in enumerate(filters, start=1):
            layers[f"conv_{number}"] = Conv2D(channels, count, 3, name=f"conv_{number}", padding="valid", **shared)
            layers[f"{activation}_{number}"] = Activation(activation)
            height, width, channels = height - 2, width - 2, count
        if min(height, width) < 2:
            raise ConfigError(
                f"Pictures of {image_shape[0]}×{image_shape[1]} are too small for {len(filters)} convolutions without "
                "padding and a pool. Take fewer --filters."
            )
        layers |= {"pool": POOLS[pooling](2), "dropout": Dropout(after_pool, name="dropout"), "flatten": Flatten()}
        features = (height // 2) * (width // 2) * channels
        for number, units in enumerate(hidden, start=1):
            layers[f"hidden_{number}"] = Linear(features, units, name=f"hidden_{number}", **shared)
            layers[f"hidden_{activation}_{number}"] = Activation(activation)
            features = units
        layers["hidden_dropout"] = Dropout(before_logits, name="hidden_dropout")
        layers["logits"] = Linear(features, classes, name="logits", **shared)
        super().__init__(layers, name="mnist_cnn")
