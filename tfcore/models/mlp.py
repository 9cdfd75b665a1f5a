"""The multilayer perceptron."""

import math

import tensorflow as tf

from tfcore import checks
from tfcore.layers import Activation, Flatten, Linear, Pixels, Sequential


class Mlp(Sequential):
    """Linear layers with an activation f between them: h_i = f(h_{i-1} W_i + b_i), logits = h_n W + b.

    Args:
        image_shape: (H, W, C).
        classes: number of classes.
        pixels: the scaling layer; all layers compute in the dtype of its result.
        seed: the run's seed.
        hidden: units of each hidden layer, first layer first.
        activation: a name in `layers.activation.ACTIVATIONS`.
        initializer: of every weight matrix, a name accepted by `initializers.find`.

    Raises:
        ConfigError: a hidden layer with fewer than one unit, an unknown activation or initializer.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        *,
        pixels: Pixels,
        seed: int,
        hidden: tuple[int, ...] = (120,),
        activation: str = "relu",
        initializer: str = "truncated_normal",
    ) -> None:
        layers: dict[str, tf.Module] = {"pixels": pixels, "flatten": Flatten()}
        features = math.prod(image_shape)
        for number, units in enumerate(hidden, start=1):
            checks.positive_integer("hidden", units)
            name = f"hidden_{number}"
            layers[name] = Linear(features, units, name=name, seed=seed, initializer=initializer)
            layers[f"{activation}_{number}"] = Activation(activation)
            features = units
        layers["logits"] = Linear(features, classes, name="logits", seed=seed, initializer=initializer)
        super().__init__(layers, name="mlp")
