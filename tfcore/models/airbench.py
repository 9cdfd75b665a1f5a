"""The network of airbench94, which learns small pictures in few epochs."""

from typing import Any

import tensorflow as tf

from tfcore import checks
from tfcore.errors import ConfigError
from tfcore.layers import (
    Activation,
    BatchNorm,
    Conv2D,
    GlobalMaxPool,
    Linear,
    MaxPool,
    Pixels,
    Sequential,
    Whitening,
)  # fmt: skip
from tfcore.models import sizes
from tfcore.seeds import Key


class Airbench(Sequential):
    """Whitened patches, then groups of two convolutions, of which the first is followed by a pool.

        whitening        patches of 2×2 pixels, uncorrelated → gelu
        group g          3×3 convolution → 2×2 max pool → norm → gelu → 3×3 convolution → norm → gelu
        logits           maximum over the picture → linear, divided by logit_divisor

    The whitening is computed from training pictures before training begins. Convolutions start as a copy of their
    input in the first channels (`partial_identity`). A norm has no scale, and its offset learns at 64 times the
    learning rate, by an `offset_factor` of 8 in place of a separate rate. Convolutions and the linear layer have no
    biases.

    Parameters for 32×32×3 pictures and 10 classes: 1,971,352, and 288 fixed ones of the whitening.

    Args:
        image_shape: (H, W, C).
        classes: number of classes.
        pixels: the scaling layer, best `standardized`; all layers compute in the dtype of its result.
        seed: the run's seed.
        filters: of each group, at least one; every group halves the pictures.
        activation: a name in `layers.activation.ACTIVATIONS`.
        logit_divisor: the logits are divided by it, above 0.
        initializer: of all weights but those of the whitening, a name accepted by `initializers.find`.

    Raises:
        ConfigError: an argument is out of range, or the pictures are too small for so many groups.

    Source: Jordan 2024, "94 % on CIFAR-10 in 3.29 seconds on a single GPU", arXiv 2404.00498, section 3.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        *,
        pixels: Pixels,
        seed: int,
        filters: tuple[int, ...] = (64, 256, 256),
        activation: str = "gelu",
        logit_divisor: float = 9.0,
        initializer: str = "partial_identity",
    ) -> None:
        sizes.some_filters(filters)
        checks.positive("logit_divisor", logit_divisor)
        height, width, channels = image_shape
        if min(height, width) <= 2 ** len(filters):
            raise ConfigError(
                f"Pictures of {height}×{width} are too small for a whitening and {len(filters)} pools that halve them. "
                "Take fewer --filters."
            )
        whitening = Whitening(channels, name="whitening")
        layers: dict[str, tf.Module] = {
            "pixels": pixels, "whitening": whitening, activation: Activation(activation)
        }  # fmt: skip
        channels = whitening.features
        shared: dict[str, Any] = {"seed": seed, "use_bias": False, "initializer": initializer}
        for number, count in enumerate(filters, start=1):
            layers[f"group_{number}"] = _group(f"group_{number}", channels, count, activation, shared)
            channels = count
        layers["pool"] = GlobalMaxPool()
        layers["logits"] = Linear(channels, classes, name="logits", **shared)
        super().__init__(layers, name=type(self).__name__.lower())
        self.logit_divisor = logit_divisor

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        return super().__call__(x, training=training, key=key) / self.logit_divisor


def _group(name: str, channels: int, filters: int, activation: str, shared: dict[str, Any]) -> Sequential:
    return Sequential(
        {
            "conv_1": Conv2D(channels, filters, 3, name=f"{name}_conv_1", **shared),
            "pool": MaxPool(2),
            "norm_1": _norm(filters, f"{name}_norm_1"),
            f"{activation}_1": Activation(activation),
            "conv_2": Conv2D(filters, filters, 3, name=f"{name}_conv_2", **shared),
            "norm_2": _norm(filters, f"{name}_norm_2"),
            f"{activation}_2": Activation(activation),
        },
        name=name,
    )


def _norm(features: int, name: str) -> BatchNorm:
    return BatchNorm(features, name=name, momentum=0.6, epsilon=1e-12, use_scale=False, offset_factor=8.0)
