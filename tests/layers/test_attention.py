"""Attention against loops over heads in NumPy float64, with Keras as second witness."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from reference import layers as reference

from tfcore.errors import ConfigError, ShapeError
from tfcore.layers import MultiHeadAttention
from tfcore.modules import named_parameters

X = np.random.default_rng(0).normal(size=(3, 5, 12))
TOLERANCE = {tf.float32: 1e-5, tf.bfloat16: 2e-2}

each_count = pytest.mark.parametrize("heads", [1, 3, 4])


def attention(heads: int = 3) -> MultiHeadAttention:
    """With weights and biases that make some tokens look at few others."""
    layer, rng = MultiHeadAttention(12, heads, name="attention_1", seed=0), np.random.default_rng(1)
    for variable in named_parameters(layer).values():
        variable.assign(rng.normal(scale=0.6, size=variable.shape))
    return layer


def numbers(layer: Any) -> list[np.ndarray]:
    found = [layer.weights, layer.biases]
    return [tf.cast(variable, tf.float64).numpy() for variable in found]


def expected(layer: MultiHeadAttention, x: np.ndarray) -> np.ndarray:
    qkv, result = numbers(layer.qkv), numbers(layer.result)
    return reference.attention(x, (qkv[0], qkv[1]), (result[0], result[1]), layer.heads)


def keras_twin(layer: MultiHeadAttention) -> keras.layers.MultiHeadAttention:
    """Keras' layer of the same weights, which it keeps with an axis for heads."""
    size, heads = 12 // layer.heads, layer.heads
    twin = keras.layers.MultiHeadAttention(heads, size)
    twin.build(X.shape, X.shape)
    (weights, biases), (last, last_biases) = numbers(layer.qkv), numbers(layer.result)
    parts = zip(np.split(weights, 3, axis=1), np.split(biases, 3), strict=True)
    values = [array for w, b in parts for array in (w.reshape(12, heads, size), b.reshape(heads, size))]
    twin.set_weights([*values, last.reshape(heads, size, 12), last_biases])
    return twin


def close(result: Any, wanted: np.ndarray, tolerance: float) -> None:
    np.testing.assert_allclose(tf.cast(result, tf.float64), wanted, rtol=0, atol=tolerance * np.abs(wanted).max())


@each_count
@pytest.mark.parametrize("dtype", TOLERANCE, ids=lambda dtype: dtype.name)
def test_values(heads: int, dtype: tf.DType) -> None:
    layer, x = attention(heads), tf.cast(X, dtype)
    wanted = expected(layer, tf.cast(x, tf.float64).numpy())
    result = layer(x, training=True)
    assert (result.dtype, result.shape) == (dtype, X.shape)
    close(result, wanted, TOLERANCE[dtype])
    close(tf.function(layer)(x, training=False), wanted, TOLERANCE[dtype])


@each_count
def test_keras_agrees_in_values_and_gradients(heads: int) -> None:
    layer, x, upstream = attention(heads), tf.constant(X, tf.float32), np.sin(np.arange(X.size)).reshape(X.shape)
    theirs = keras_twin(layer)
    results = []
    for call in (lambda: layer(x, training=True), lambda: theirs(x, x)):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = call()
            loss = tf.reduce_sum(y * upstream)
        results.append([y, tape.gradient(loss, x)])
    for ours, other in zip(*results, strict=True):
        close(ours, other.numpy(), 1e-5)


def test_gradients_of_the_weights() -> None:
    layer, x = attention(), X[:1]
    upstream = np.sin(np.arange(x.size) ** 1.5).reshape(x.shape)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(tf.constant(x, tf.float32), training=True) * upstream)
    found = tape.gradient(loss, [layer.qkv.weights, layer.result.weights])
    (weights, biases), (last, last_biases) = numbers(layer.qkv), numbers(layer.result)

    def total(weights: np.ndarray, last: np.ndarray) -> float:
        return float(np.sum(reference.attention(x, (weights, biases), (last, last_biases), 3) * upstream))

    close(found[0], reference.gradient(lambda w: total(w, last), weights), 1e-4)
    close(found[1], reference.gradient(lambda w: total(weights, w), last), 1e-4)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=lambda dtype: dtype.name)
def test_the_softmax_is_taken_in_float32_and_the_products_in_the_dtype_of_x(dtype: tf.DType) -> None:
    layer = attention()
    traced = tf.function(lambda x: layer(x, training=True)).get_concrete_function(tf.TensorSpec([3, 5, 12], dtype))
    found = {
        (op.type, op.outputs[0].dtype)
        for op in traced.graph.get_operations()
        if op.type in ("Softmax", "BatchMatMulV2")
    }
    assert found == {("Softmax", tf.float32), ("BatchMatMulV2", dtype)}


def test_the_order_of_the_tokens_does_not_matter() -> None:
    layer, order = attention(), [3, 0, 4, 1, 2]
    x = tf.constant(X, tf.float32)
    whole = layer(x, training=False).numpy()
    close(layer(tf.gather(x, order, axis=1), training=False), whole[:, order], 1e-5)


def test_any_number_of_tokens_passes() -> None:
    layer = attention()
    call = tf.function(lambda x: layer(x, training=False), input_signature=[tf.TensorSpec([None, None, 12])])
    for tokens in (1, 5):
        close(call(tf.constant(X[:, :tokens], tf.float32)), expected(layer, X[:, :tokens]), 1e-5)


def test_its_parameters() -> None:
    shapes = {path: tuple(variable.shape) for path, variable in named_parameters(attention()).items()}
    assert shapes == {
        "qkv.biases": (36,), "qkv.weights": (12, 36), "result.biases": (12,), "result.weights": (12, 12)
    }  # fmt: skip


@pytest.mark.parametrize("shape", [(5, 12), (3, 5, 11), (3, 5, 1, 12)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"Layer 'attention_1' takes x of shape \[N, T, 12\]. Received \("):
        attention()(tf.zeros(shape), training=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": 0}, "`features` must be an integer of at least 1"),
        ({"heads": 0}, "`heads` must be an integer of at least 1"),
        ({"heads": 5}, "`heads` must divide `features`, which is 12. Received 5"),
        ({"initializer": "he"}, "`initializer` must be one of"),
    ],
)
def test_a_bad_argument_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MultiHeadAttention(**{"features": 12, "heads": 3, "name": "attention_1", "seed": 0} | arguments)
