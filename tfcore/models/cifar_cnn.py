"""A convolutional network for small colour pictures."""

from typing import Any

import tensorflow as tf

from tfcore import checks
from tfcore.errors import ConfigError
from tfcore.layers import Activation, BatchNorm, Conv2D, Dropout, Flatten, Linear, Pixels, Sequential
from tfcore.layers.pool import POOLS
from tfcore.models.sizes import dropout_rates, some_filters


class CifarCnn(Sequential):
    """Blocks of convolution, activation, pool, dropout and batch normalisation, then blocks of linear layers.

        block i of n      3×3 `same` convolution → activation → [2×2 pool, not in the first and last] → dropout → norm
        flatten → dropout
        hidden layer j    linear, max-norm → activation → dropout → norm
        logits            linear

    For 32×32×3 pictures and 10 classes the defaults give 2,264,458 parameters, 1,344 of them not trained.

    Args:
        image_shape: (H, W, C).
        classes: number of classes.
        pixels: the scaling layer; all layers compute in the dtype of its result.
        seed: the run's seed.
        filters: number of filters of each convolution, first layer first; at least one convolution.
        hidden: units of each hidden linear layer; may be empty.
        dropout: rates after the convolutions and after the linear layers; one number sets both.
        activation: a name in `layers.activation.ACTIVATIONS`.
        pooling: max, average or sum.
        max_norm: upper bound on the L2 norm of each column of the hidden layers' weights.
        initializer: of all weights, a name accepted by `initializers.find`. Biases start at zero.

    Raises:
        ConfigError: an argument is out of range, or the pictures are too small for so many pools.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        *,
        pixels: Pixels,
        seed: int,
        filters: tuple[int, ...] = (32, 64, 64, 128),
        hidden: tuple[int, ...] = (256, 128),
        dropout: tuple[float, ...] = (0.2,),
        activation: str = "relu",
        pooling: str = "max",
        max_norm: float = 3.0,
        initializer: str = "glorot_uniform",
    ) -> None:
        some_filters(filters)
        checks.one_of("pooling", pooling, tuple(POOLS))
        after_convolution, after_linear = dropout_rates(dropout)
        shared: dict[str, Any] = {"seed": seed, "initializer": initializer}
        layers: dict[str, tf.Module] = {"pixels": pixels}
        height, width, channels = image_shape
        for block, count in enumerate(filters, start=1):
            layers[f"conv_{block}"] = Conv2D(channels, count, 3, name=f"conv_{block}", **shared)
            layers[f"{activation}_{block}"] = Activation(activation)
            if 1 < block < len(filters):
                layers[f"pool_{block}"] = POOLS[pooling](2)
                height, width = height // 2, width // 2
            layers[f"dropout_{block}"] = Dropout(after_convolution, name=f"dropout_{block}")
            layers[f"norm_{block}"] = BatchNorm(count, name=f"norm_{block}")
            channels = count
        layers["flatten"] = Flatten()
        layers["flat_dropout"] = Dropout(after_convolution, name="flat_dropout")
        if min(height, width) < 1:
            raise ConfigError(
                f"Pictures of {image_shape[0]}×{image_shape[1]} are too small for {len(filters) - 2} pools that halve "
                "them. Take fewer --filters."
            )
        features = height * width * channels
        for number, units in enumerate(hidden, start=1):
            name = f"hidden_{number}"
            layers[name] = Linear(features, units, name=name, max_norm=max_norm, **shared)
            layers[f"hidden_{activation}_{number}"] = Activation(activation)
            layers[f"hidden_dropout_{number}"] = Dropout(after_linear, name=f"hidden_dropout_{number}")
            layers[f"hidden_norm_{number}"] = BatchNorm(units, name=f"hidden_norm_{number}")
            features = units
        layers["logits"] = Linear(features, classes, name="logits", **shared)
        super().__init__(layers, name="cifar_cnn")
