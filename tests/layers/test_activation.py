"""Activations against formulas in float64, and their gradients against differences of those."""

import numpy as np
import pytest
import tensorflow as tf
from reference import layers as reference
from reference.graphs import kernels

from tfcore.errors import ConfigError
from tfcore.layers import Activation
from tfcore.layers.activation import ACTIVATIONS
from tfcore.modules import named_variables

each_function = pytest.mark.parametrize("function", ACTIVATIONS)
each_mode = pytest.mark.parametrize("compiled", [False, True])
X = np.concatenate([np.linspace(-6, 6, 96), [-1e-3, 1e-3, 0.5, -0.5]]).reshape(10, 10)


def test_every_activation_has_a_reference() -> None:
    assert reference.ACTIVATIONS.keys() == ACTIVATIONS.keys()


@each_function
@each_mode
@pytest.mark.parametrize(("dtype", "tolerance"), [(tf.float32, 1e-6), (tf.bfloat16, 2e-2)])
def test_values(function: str, compiled: bool, dtype: tf.DType, tolerance: float) -> None:
    x, layer = tf.cast(X, dtype), Activation(function)
    result = (tf.function(layer) if compiled else layer)(x, training=False)
    assert result.dtype == dtype
    expected = reference.ACTIVATIONS[function](tf.cast(x, tf.float64).numpy())
    np.testing.assert_allclose(tf.cast(result, tf.float64), expected, rtol=tolerance, atol=tolerance)


@each_function
@each_mode
def test_gradients(function: str, compiled: bool) -> None:
    upstream = np.sin(np.arange(X.size)).reshape(X.shape)

    def run(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(Activation(function)(x, training=True) * upstream.astype(np.float32))
        return tape.gradient(loss, x)

    result = (tf.function(run) if compiled else run)(tf.constant(X, tf.float32))
    expected = reference.gradient(lambda x: np.sum(reference.ACTIVATIONS[function](x) * upstream), X)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


@each_function
@pytest.mark.parametrize("training", [True, False])
def test_gelu_and_silu_are_one_kernel_in_graphs(function: str, training: bool) -> None:
    layer = Activation(function)
    traced = tf.function(lambda x: layer(x, training=training)).get_concrete_function(tf.TensorSpec([10, 10]))
    assert len(kernels(traced)) == (function in ("gelu", "silu"))


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
