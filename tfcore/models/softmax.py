"""Softmax regression: one linear layer from pixels to logits."""

import math

import tensorflow as tf

from tfcore import ops
from tfcore.layers import Flatten, Linear, Pixels
from tfcore.seeds import Key


class Softmax(tf.Module):
    """logits = flatten(pixels(x)) W + b, multinomial logistic regression.

    Args:
        image_shape: (H, W, C).
        classes: number of classes.
        pixels: the scaling layer; all layers compute in the dtype of its result.
        seed: the run's seed.
        initializer: `zeros` (the loss is convex, so every initial value leads to the same optimum) or another name
            accepted by `initializers.find`.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        *,
        pixels: Pixels,
        seed: int,
        initializer: str = "zeros",
    ) -> None:
        super().__init__(name="softmax")
        self.pixels = pixels
        self.flatten = Flatten()
        features = math.prod(image_shape)
        self.logits = Linear(features, classes, name="logits", seed=seed, initializer=initializer)

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        """Computes logits `[N, classes]` in the compute type from pictures `[N, H, W, C]`."""
        if training and ops.enabled() and self.pixels.factor is not None:
            # Scaling the logits, a hundredth of the size of the pictures, saves one pass over the pictures.
            rows = tf.cast(self.flatten(x, training=training), self.pixels.dtype)
            return self.logits.of_scaled(rows, self.pixels.factor)
        x = self.pixels(x, training=training, key=key)
        x = self.flatten(x, training=training, key=key)
        return self.logits(x, training=training, key=key)
