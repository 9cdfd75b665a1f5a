"""Defines the networks of the comparison in Keras, each with its optimizer and batch size.

The logits are cast to float32 under every policy, as in Keras' guide to mixed precision.
"""

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers


@dataclass(frozen=True)
class Case:
    """A model, its data set and its training."""

    dataset: str
    model: keras.Model
    optimizer: Any
    batch_size: int


def logits(initializer: str = "glorot_uniform") -> list[layers.Layer]:
    """The last layer, with its cast to float32."""
    return [layers.Dense(10, kernel_initializer=initializer), layers.Activation("linear", dtype="float32")]


def softmax() -> Case:
    """Softmax regression by gradient descent."""
    model = keras.Sequential([layers.Input((32, 32, 3)), layers.Flatten(), *logits("zeros")])
    return Case("cifar10", model, keras.optimizers.SGD(0.005), 100)


def mlp() -> Case:
    """Two hidden layers of 50."""
    hidden = [layers.Dense(50, activation="relu") for _ in range(2)]
    model = keras.Sequential([layers.Input((28, 28, 1)), layers.Flatten(), *hidden, *logits()])
    return Case("mnist", model, keras.optimizers.Adam(0.001, epsilon=1e-7), 100)


def mnist_cnn() -> Case:
    """Two convolutions, a pool, a hidden layer, two dropouts."""
    model = keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(100, activation="relu"),
            layers.Dropout(0.5),
            *logits(),
        ]
    )
    return Case("mnist", model, keras.optimizers.Adadelta(1.0), 128)


def cifar_cnn() -> Case:
    """Four blocks of convolution, dropout and batch normalisation, and two hidden layers with a max-norm."""
    model = keras.Sequential([layers.Input((32, 32, 3))])
    for block, filters in enumerate((32, 64, 64, 128), start=1):
        model.add(layers.Conv2D(filters, 3, padding="same"))
        model.add(layers.Activation("relu"))
        if block in (2, 3):
            model.add(layers.MaxPooling2D(2))
        model.add(layers.Dropout(0.2))
        model.add(layers.BatchNormalization())
    model.add(layers.Flatten())
    model.add(layers.Dropout(0.2))
    for units in (256, 128):
        model.add(layers.Dense(units, kernel_constraint=keras.constraints.MaxNorm(3)))
        model.add(layers.Activation("relu"))
        model.add(layers.Dropout(0.2))
        model.add(layers.BatchNormalization())
    for layer in logits():
        model.add(layer)
    return Case("cifar10", model, keras.optimizers.Adam(0.001, epsilon=1e-7), 64)


CASES = {"softmax": softmax, "mlp": mlp, "mnist_cnn": mnist_cnn, "cifar_cnn": cifar_cnn}
