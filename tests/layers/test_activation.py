"""Activations against formulas in float64, and their gradients against differences of those."""

import numpy as np
import pytest
import tensorflow as tf
from reference import layers as reference

from tfcore.errors import ConfigError
from tfcore.layers import Activation
from tfcore.layers.activation import ACTIVATIONS
from tfcore.modules import named_variables

each_function = pytest.mark.parametrize("function", ACTIVATIONS)
X = np.concatenate([np.linspace(-6, 6, 96), [-1e-3, 1e-3, 0.5, -0.5]]).reshape(10, 10)


def test_every_activation_has_a_reference() -> None:
    assert reference.ACTIVATIONS.keys() == ACTIVATIONS.keys()


@each_function
@pytest.mark.parametrize(("dtype", "tolerance"), [(tf.float32, 1e-6), (tf.bfloat16, 2e-2)])
def test_values(function: str, dtype: tf.DType, tolerance: float) -> None:
    x = tf.cast(X, dtype)
    result = Activation(function)(x, training=False)
    assert result.dtype == dtype
    expected = reference.ACTIVATIONS[function](tf.cast(x, tf.float64).numpy())
    np.testing.assert_allclose(tf.cast(result, tf.float64), expected, rtol=tolerance, atol=tolerance)


@each_function
def test_gradients(function: str) -> None:
    upstream = np.sin(np.arange(X.size)).reshape(X.shape)
    x = tf.constant(X, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(Activation(function)(x, training=True) * upstream.astype(np.float32))
    expected = reference.gradient(lambda x: np.sum(reference.ACTIVATIONS[function](x) * upstream), X)
    np.testing.assert_allclose(tape.gradient(loss, x), expected, rtol=1e-5, atol=1e-6)


@each_function
def test_large_numbers_stay_finite(function: str) -> None:
    ends = tf.constant([[-1e4, 0.0, 1e4]])
    result = Activation(function)(ends, training=False).numpy()
    assert np.isfinite(result).all()
    assert result[0, 0] == pytest.approx(-1.0 if function == "tanh" else 0.0)
    assert result[0, 2] == pytest.approx(1e4 if function in ("relu", "gelu", "silu") else 1.0)


def test_softmax_is_over_the_last_axis() -> None:
    result = Activation("softmax")(tf.random.stateless_normal([2, 3, 3, 5], [1, 2]), training=False)
    np.testing.assert_allclose(tf.reduce_sum(result, axis=-1), np.ones((2, 3, 3)), rtol=1e-6)


def test_relu_has_no_gradient_at_zero() -> None:
    x = tf.zeros([3])
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(Activation("relu")(x, training=True))
    np.testing.assert_array_equal(tape.gradient(loss, x), [0, 0, 0])


def test_it_is_named_by_its_function_and_has_no_variables() -> None:
    layer = Activation("silu")
    assert layer.name == layer.function == "silu"
    assert named_variables(layer) == {}


@pytest.mark.parametrize(("function", "hint"), [("rleu", " Did you mean 'relu'?"), ("swish", ""), ("Relu", "")])
def test_an_unknown_name_is_refused(function: str, hint: str) -> None:
    with pytest.raises(ConfigError) as error:
        Activation(function)
    known = "relu, gelu, silu, tanh, sigmoid, softmax"
    assert str(error.value).startswith(f"`activation` must be one of {known}. Received '{function}'.{hint}")
