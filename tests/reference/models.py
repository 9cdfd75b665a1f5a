"""Logits of the models in NumPy float64; imports nothing from tfcore."""

from collections.abc import Sequence

import numpy as np

Layer = tuple[np.ndarray, np.ndarray]  # weights [in, out], biases [out]


def linear(x: np.ndarray, layer: Layer) -> np.ndarray:
    weights, biases = (np.asarray(values, np.float64) for values in layer)
    return x @ weights + biases


def mlp(images: np.ndarray, layers: Sequence[Layer]) -> np.ndarray:
    """`[N, classes]` from uint8 pictures, scaled to 0..1; with a single layer, a softmax regression's logits."""
    x = np.asarray(images, np.float64).reshape(len(images), -1) / 255
    for layer in layers[:-1]:
        x = np.maximum(linear(x, layer), 0)
    return linear(x, layers[-1])
