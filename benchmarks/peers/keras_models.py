"""Defines the networks of the comparison in Keras, each with its optimizer and batch size.

The logits are cast to float32 under every policy, as in Keras' guide to mixed precision.
"""

from dataclasses import dataclass
from functools import partial
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


def convolution(filters: int, size: int, stride: int = 1) -> layers.Layer:
    """A convolution without a bias, as before batch norm; pads below and to the right where the stride is 2."""
    return layers.Conv2D(filters, size, strides=stride, padding="same", use_bias=False)


def with_momentum(model: keras.Model, *, batch_size: int = 128, learning_rate: float = 0.05) -> Case:
    """A network for CIFAR-10, trained with momentum."""
    return Case("cifar10", model, keras.optimizers.SGD(learning_rate, momentum=0.9), batch_size)


def classifier(inputs: Any, features: Any) -> keras.Model:
    """The network that computes logits from features."""
    for layer in logits():
        features = layer(features)
    return keras.Model(inputs, features)


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


def resnet20() -> Case:
    """Three groups of three residual blocks, as in He et al. 2015; a convolution where the shape changes."""
    inputs = layers.Input((32, 32, 3))
    x = layers.Activation("relu")(layers.BatchNormalization()(convolution(16, 3)(inputs)))
    for group, filters in enumerate((16, 32, 64), start=1):
        for number in (1, 2, 3):
            stride = 2 if group > 1 and number == 1 else 1
            y = layers.Activation("relu")(layers.BatchNormalization()(convolution(filters, 3, stride)(x)))
            y = layers.BatchNormalization()(convolution(filters, 3)(y))
            if x.shape[-1] != filters:
                x = layers.BatchNormalization()(convolution(filters, 1, stride)(x))
            x = layers.Activation("relu")(layers.Add()([y, x]))
    return with_momentum(classifier(inputs, layers.GlobalAveragePooling2D()(x)))


def airbench94(batch_size: int) -> Case:
    """The network of airbench94, whose first convolution is trained; its logits are divided by 9."""
    model = keras.Sequential([layers.Input((32, 32, 3)), layers.Conv2D(24, 2), layers.Activation("gelu")])
    for filters in (64, 256, 256):
        model.add(convolution(filters, 3))
        model.add(layers.MaxPooling2D(2))
        model.add(layers.BatchNormalization())
        model.add(layers.Activation("gelu"))
        model.add(convolution(filters, 3))
        model.add(layers.BatchNormalization())
        model.add(layers.Activation("gelu"))
    model.add(layers.MaxPooling2D(3))
    model.add(layers.Flatten())
    model.add(layers.Dense(10))
    model.add(layers.Rescaling(1 / 9, dtype="float32"))
    return with_momentum(model, batch_size=batch_size)


def wrn_16_4() -> Case:
    """Wide ResNet 16-4: three groups of two residual blocks, with batch norm and ReLU before each convolution."""
    inputs = layers.Input((32, 32, 3))
    x = convolution(16, 3)(inputs)
    for group, filters in enumerate((64, 128, 256), start=1):
        for number in (1, 2):
            stride = 2 if group > 1 and number == 1 else 1
            y = layers.Activation("relu")(layers.BatchNormalization()(x))
            if x.shape[-1] != filters:
                x = convolution(filters, 1, stride)(y)
            y = layers.Activation("relu")(layers.BatchNormalization()(convolution(filters, 3, stride)(y)))
            x = layers.Add()([convolution(filters, 3)(y), x])
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    return with_momentum(classifier(inputs, layers.GlobalAveragePooling2D()(x)))


class Positions(layers.Layer):
    """Adds a learned vector to each token, zero at the start."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the vectors."""
        self.vectors = self.add_weight(shape=(1, *input_shape[1:]), initializer="zeros")

    def call(self, x: Any) -> Any:
        """Adds them."""
        return x + self.vectors


def attention(x: Any, heads: int) -> Any:
    """Self-attention, with one product for queries, keys and values; MultiHeadAttention makes three smaller ones."""
    tokens, width = x.shape[1:]
    qkv = keras.ops.split(layers.Dense(3 * width)(x), 3, axis=-1)
    y = keras.ops.dot_product_attention(*(layers.Reshape((tokens, heads, width // heads))(part) for part in qkv))
    return layers.Dense(width)(layers.Reshape((tokens, width))(y))


def vit() -> Case:
    """A vision transformer of six blocks for patches of 4, with the mean over the tokens."""
    inputs = layers.Input((32, 32, 3))
    x = Positions()(layers.Reshape((64, 192))(layers.Conv2D(192, 4, strides=4)(inputs)))
    for _ in range(6):
        x = layers.Add()([attention(layers.LayerNormalization(epsilon=1e-6)(x), heads=3), x])
        y = layers.Dense(384, activation="gelu")(layers.LayerNormalization(epsilon=1e-6)(x))
        x = layers.Add()([layers.Dense(192)(y), x])
    x = layers.LayerNormalization(epsilon=1e-6)(x)
    return with_momentum(classifier(inputs, layers.GlobalAveragePooling1D()(x)), learning_rate=0.002)


def mobilenet() -> Case:
    """Seven depthwise separable convolutions, each part with batch norm and ReLU."""
    model = keras.Sequential([layers.Input((32, 32, 3)), convolution(32, 3)])
    model.add(layers.BatchNormalization())
    model.add(layers.Activation("relu"))
    for filters, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        model.add(layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False))
        model.add(layers.BatchNormalization())
        model.add(layers.Activation("relu"))
        model.add(convolution(filters, 1))
        model.add(layers.BatchNormalization())
        model.add(layers.Activation("relu"))
    model.add(layers.GlobalAveragePooling2D())
    for layer in logits():
        model.add(layer)
    return with_momentum(model)


CASES = {
    "softmax": softmax,
    "mlp": mlp,
    "mnist_cnn": mnist_cnn,
    "cifar_cnn": cifar_cnn,
    "resnet20": resnet20,
    "airbench94_500": partial(airbench94, 500),
    "airbench94_1000": partial(airbench94, 1000),
    "wrn_16_4": wrn_16_4,
    "vit": vit,
    "mobilenet": mobilenet,
}
