"""The models in float64: dense ones in NumPy, convolutional ones in Keras; imports nothing from tfcore."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from reference.layers import ACTIVATIONS, attention, conv2d

Layer = tuple[np.ndarray, np.ndarray]  # weights [in, out], biases [out]


def linear(x: np.ndarray, layer: Layer) -> np.ndarray:
    weights, biases = (np.asarray(values, np.float64) for values in layer)
    return x @ weights + biases


def mlp(images: np.ndarray, layers: Sequence[Layer], activation: str = "relu") -> np.ndarray:
    """Returns logits [N, classes] of uint8 pictures scaled to 0..1; one layer is softmax regression."""
    x = np.asarray(images, np.float64).reshape(len(images), -1) / 255
    for layer in layers[:-1]:
        x = ACTIVATIONS[activation](linear(x, layer))
    return linear(x, layers[-1])


def _conv(filters: int, padding: str, number: int, activation: str) -> list[keras.Layer]:
    conv = keras.layers.Conv2D(filters, 3, padding=padding, name=f"conv_{number}", dtype="float64")
    return [conv, keras.layers.Activation(activation, dtype="float64")]


def _pool(pooling: str) -> list[keras.Layer]:
    if pooling == "max":
        return [keras.layers.MaxPooling2D(2, dtype="float64")]
    return [
        keras.layers.AveragePooling2D(2, dtype="float64"),
        keras.layers.Rescaling({"average": 1.0, "sum": 4.0}[pooling], dtype="float64"),
    ]


def _dense(units: int, name: str) -> list[keras.Layer]:
    return [keras.layers.Dense(units, name=name, dtype="float64")]


def _norm(name: str) -> list[keras.Layer]:
    return [keras.layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=name, dtype="float64")]


def _network(image_shape: tuple[int, int, int], layers: Sequence[keras.Layer]) -> keras.Model:
    return keras.Sequential(
        [keras.Input(image_shape, dtype="float64"), keras.layers.Rescaling(1 / 255, dtype="float64"), *layers]
    )


def cifar_cnn(
    image_shape: tuple[int, int, int],
    filters: tuple[int, ...] = (32, 64, 64, 128),
    hidden: tuple[int, ...] = (256, 128),
    activation: str = "relu",
    pooling: str = "max",
) -> keras.Model:
    """Returns the ten logits of the network of blocks, without its dropout."""
    layers: list[keras.Layer] = []
    for number, count in enumerate(filters, start=1):
        layers += _conv(count, "same", number, activation)
        layers += [] if number in (1, len(filters)) else _pool(pooling)
        layers += _norm(f"norm_{number}")
    layers += [keras.layers.Flatten(dtype="float64")]
    for number, units in enumerate(hidden, start=1):
        layers += [*_dense(units, f"hidden_{number}"), keras.layers.Activation(activation, dtype="float64")]
        layers += _norm(f"hidden_norm_{number}")
    return _network(image_shape, [*layers, *_dense(10, "logits")])


def mnist_cnn(
    image_shape: tuple[int, int, int],
    filters: tuple[int, ...] = (32, 64),
    hidden: tuple[int, ...] = (100,),
    activation: str = "relu",
    pooling: str = "max",
) -> keras.Model:
    """Returns the ten logits of the network with one pool, without its dropout."""
    layers: list[keras.Layer] = []
    for number, count in enumerate(filters, start=1):
        layers += _conv(count, "valid", number, activation)
    layers += [*_pool(pooling), keras.layers.Flatten(dtype="float64")]
    for number, units in enumerate(hidden, start=1):
        layers += [*_dense(units, f"hidden_{number}"), keras.layers.Activation(activation, dtype="float64")]
    return _network(image_shape, [*layers, *_dense(10, "logits")])


def variables(model: keras.Model) -> dict[str, Any]:
    """Returns the variables of a Keras model by tfcore's paths."""
    names = {"kernel": "weights", "bias": "biases", "gamma": "scale", "beta": "offset"}
    return {
        f"{layer.name}.{names.get(variable.name, variable.name)}": variable
        for layer in model.layers
        for variable in layer.weights
    }


def loss_and_gradients(
    model: Any, parameters: Mapping[str, Any], images: np.ndarray, labels: np.ndarray, *, training: bool
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Returns the mean cross-entropy of either kind of model and its gradients by path."""
    with tf.GradientTape() as tape:
        logits = model(tf.cast(images, tf.float32), training=training)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
    return loss, tape.gradient(loss, dict(parameters))


def resnet_cifar(
    image_shape: tuple[int, int, int], filters: tuple[int, ...], blocks: int, shortcut: str, dtype: str = "float64"
) -> keras.Model:
    """Returns the ten logits of a residual network for small pictures; `blocks` in each group."""

    def conv(x: Any, name: str, count: int, size: int, stride: int = 1) -> Any:
        around = keras.layers.ZeroPadding2D(size // 2, dtype=dtype)
        layer = keras.layers.Conv2D(count, size, stride, use_bias=False, name=name.replace("norm", "conv"), dtype=dtype)
        norm = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name, dtype=dtype)
        return norm(layer(around(x)))

    def beside(x: Any, name: str, count: int, stride: int) -> Any:
        if x.shape[3] == count and stride == 1:
            return x
        if shortcut == "B":
            return conv(x, f"{name}.shortcut.norm", count, 1, stride)
        more = count - x.shape[3]
        return keras.ops.pad(x[:, ::stride, ::stride], [(0, 0), (0, 0), (0, 0), (more // 2, more - more // 2)])

    images = keras.Input(image_shape, dtype=dtype)
    x = keras.ops.relu(conv(images / 255, "norm", filters[0], 3))
    for group, count in enumerate(filters, start=1):
        for number in range(1, blocks + 1):
            name, stride = f"block_{group}_{number}", 2 if group > 1 and number == 1 else 1
            y = keras.ops.relu(conv(x, f"{name}.norm_1", count, 3, stride))
            x = keras.ops.relu(conv(y, f"{name}.norm_2", count, 3) + beside(x, name, count, stride))
    logits = keras.layers.Dense(10, name="logits", dtype=dtype)(keras.ops.mean(x, axis=(1, 2)))
    return keras.Model(images, logits)


def vit(images: np.ndarray, weights: Mapping[str, np.ndarray], *, patch: int, depth: int, heads: int) -> np.ndarray:
    """Returns the logits [N, classes] of the vision transformer; `weights` are those of the model, by path."""

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        normal = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
        return normal * weights[f"{name}.scale"] + weights[f"{name}.offset"]

    def layer(name: str) -> Layer:
        return weights[f"{name}.weights"], weights[f"{name}.biases"]

    x = conv2d(np.asarray(images, np.float64) / 255, *layer("patches"), patch, "valid")
    _, rows, columns, width = x.shape
    tokens = []
    for row in range(rows):
        for column in range(columns):
            rates = [10_000 ** -(number / (width // 4 - 1)) for number in range(width // 4)]
            waves = [wave(place * rate) for place in (column, row) for wave in (np.sin, np.cos) for rate in rates]
            tokens.append(x[:, row, column] + np.array(waves))
    x = np.stack(tokens, axis=1)
    for number in range(1, depth + 1):
        name = f"attention_{number}"
        x = x + attention(
            norm(x, f"{name}.norm"), layer(f"{name}.attention.qkv"), layer(f"{name}.attention.result"), heads
        )
        name = f"mlp_{number}"
        hidden = ACTIVATIONS["gelu"](linear(norm(x, f"{name}.norm"), layer(f"{name}.hidden")))
        x = x + linear(hidden, layer(f"{name}.result"))
    return linear(norm(x, "norm").mean(axis=1), layer("logits"))
