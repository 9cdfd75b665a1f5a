"""The fully connected layer against NumPy float64, its initial values and its refusals."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from support import gradients

from tfcore import initializers, seeds
from tfcore.errors import ConfigError, ShapeError
from tfcore.layers import Linear

X = tf.constant(np.random.default_rng(0).normal(size=(5, 30)), tf.float32)


def linear(name: str = "logits", seed: int = 0, **arguments: Any) -> Linear:
    return Linear(30, 20, name=name, seed=seed, **arguments)


@pytest.mark.parametrize(("dtype", "tolerance"), [(tf.float32, 1e-6), (tf.bfloat16, 1e-2)])
def test_values(dtype: tf.DType, tolerance: float) -> None:
    layer = linear()
    layer.biases.assign(np.linspace(-1, 1, 20))
    expected = X.numpy().astype(np.float64) @ layer.weights.numpy().astype(np.float64) + np.linspace(-1, 1, 20)
    result = layer(tf.cast(X, dtype), training=False)
    assert result.dtype == dtype
    np.testing.assert_allclose(tf.cast(result, tf.float64), expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("shape", [(4, 3, 30), (2, 3, 1, 30), (0, 3, 30)])
def test_the_last_axis_of_any_number_is_mapped(shape: tuple[int, ...]) -> None:
    layer = linear()
    layer.biases.assign(np.linspace(-1, 1, 20))
    x = tf.cast(np.random.default_rng(1).normal(size=shape), tf.float32)
    expected = tf.reshape(layer(tf.reshape(x, [-1, 30]), training=False), [*shape[:-1], 20])
    np.testing.assert_array_equal(layer(x, training=False), expected)


def test_known_sizes_of_tokens_stay_known() -> None:
    layer = linear()
    traced = tf.function(lambda x: layer(x, training=False), autograph=False)
    assert traced.get_concrete_function(tf.TensorSpec([None, 7, 30])).outputs[0].shape.as_list() == [None, 7, 20]


def test_training_makes_no_difference() -> None:
    layer = linear()
    np.testing.assert_array_equal(layer(X, training=True), layer(X, training=False))


def test_shapes_and_the_start_of_the_biases() -> None:
    layer = linear()
    assert layer.weights.shape == (30, 20)
    np.testing.assert_array_equal(layer.biases, np.zeros(20, np.float32))
    assert layer.trainable_variables == (layer.biases, layer.weights)


@pytest.mark.parametrize("initializer", [*initializers.INITIALIZERS, "constant:0.25"])
def test_weights_are_drawn_by_the_initializer_for_seed_and_name(initializer: str) -> None:
    words = seeds.words(3, "initial value", "hidden_1.weights")
    expected = initializers.find(initializer)((30, 20), words)
    np.testing.assert_array_equal(linear("hidden_1", 3, initializer=initializer).weights, expected)


def test_layers_of_one_name_and_seed_are_equal_and_others_differ() -> None:
    tf.random.set_seed(1)
    first = linear("a", 0).weights.numpy()
    tf.random.set_seed(2)
    np.testing.assert_array_equal(linear("a", 0).weights, first)
    for other in (linear("b", 0), linear("a", 1)):
        assert np.all(other.weights.numpy() != first)


@pytest.mark.parametrize("shape", [(5, 29), (30,), (5, 2, 15), (5, 30, 1)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ShapeError, match=r"Layer 'logits' takes x of shape \[N, …, 30\]. Received .*layers.Flatten\(\)"
    ):
        linear()(tf.zeros(shape), training=False)


def test_another_shape_is_refused_while_tracing() -> None:
    layer = linear()
    traced = tf.function(lambda x: layer(x, training=False), autograph=False)
    with pytest.raises(ShapeError, match=r"Received \(None, 29\)"):
        traced.get_concrete_function(tf.TensorSpec([None, 29]))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((0, 20), "`in_features` must be an integer of at least 1. Received 0"),
        ((30, -1), "`out_features` must be an integer of at least 1. Received -1"),
    ],
)
def test_a_size_below_one_is_refused(sizes: tuple[int, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Linear(*sizes, name="logits", seed=0)


@pytest.mark.parametrize("initializer", ["glorott_uniform", "constant", "constant:x"])
def test_an_unknown_initializer_is_refused(initializer: str) -> None:
    with pytest.raises(ConfigError, match=f"`initializer` must .*Received '{initializer}'"):
        linear(initializer=initializer)


def test_a_longest_column_is_declared_and_changes_no_result() -> None:
    assert linear().max_norm is None
    limited = linear(max_norm=0.5)
    assert limited.max_norm == 0.5
    np.testing.assert_array_equal(limited(X, training=True), linear()(X, training=True))


@pytest.mark.parametrize("max_norm", [0.0, -1.0, float("nan")])
def test_a_longest_column_that_is_not_above_zero_is_refused(max_norm: float) -> None:
    with pytest.raises(ConfigError, match=r"`max_norm` must be above 0. Received"):
        linear(max_norm=max_norm)


def test_compiled_bfloat16_sums_the_gradients_of_many_rows_in_float32() -> None:
    # 5000 numbers of one sign for each bias: a sum kept in bfloat16 would stop growing at a few hundred.
    x = tf.cast(np.random.default_rng(1).uniform(size=(5000, 30)), tf.bfloat16)
    found = gradients.by_dtype(linear(), x)
    for low, full in zip(found[tf.bfloat16], found[tf.float32], strict=True):
        np.testing.assert_allclose(low, full, rtol=0, atol=1e-2 * np.abs(full).max())


@pytest.mark.parametrize(("classes", "wide"), [(10, True), (20, False)])
def test_the_weights_of_few_classes_get_their_gradient_transposed(classes: int, wide: bool) -> None:
    layer = Linear(30, classes, name="logits", seed=0)

    def gradient() -> tf.Tensor:
        with tf.GradientTape() as tape:
            y = layer(X, training=True)
        return tape.gradient(y, layer.weights)

    operations = tf.function(gradient).get_concrete_function().graph.get_operations()
    shapes = [op.outputs[0].shape.as_list() for op in operations if op.type == "MatMul"]
    assert ([classes, 30] in shapes) is wide
    assert ([30, classes] in shapes) is not wide
