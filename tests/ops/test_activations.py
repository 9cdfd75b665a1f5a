"""GELU and SiLU in one pass: against formulas in float64, plain TensorFlow and themselves in float32."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from reference import layers as reference

from tfcore import ops

Function = Callable[[tf.Tensor], tf.Tensor]

FUNCTIONS: dict[str, tuple[Function, Function]] = {"gelu": (ops.gelu, tf.nn.gelu), "silu": (ops.silu, tf.nn.silu)}
X = np.float32(np.concatenate([np.linspace(-50, 50, 401), np.linspace(-6, 6, 1201), [1e-20, -1e-20, 1e-3, -1e-3]]))
UPSTREAM = np.float32(np.sin(np.arange(X.size) + 1.0))

each_name = pytest.mark.parametrize("name", FUNCTIONS)
each_dtype = pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16], ids=lambda dtype: dtype.name)
each_mode = pytest.mark.parametrize("mode", ["fused", "plain", "eager"])


def run(
    function: Function, x: Any, upstream: Any, mode: str = "fused", dtype: tf.DType = tf.float32
) -> list[tf.Tensor]:
    """The function's result and its gradient."""

    def both(x: tf.Tensor, upstream: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return [y, tape.gradient(y, x, upstream)]

    arguments = tf.cast(x, dtype), tf.cast(upstream, dtype)
    if mode == "eager":
        return both(*arguments)
    if mode == "plain":
        with ops.plain():
            return tf.function(both)(*arguments)
    return tf.function(both)(*arguments)


@each_name
@each_mode
def test_values_and_derivatives(name: str, mode: str) -> None:
    formula, x = reference.ACTIVATIONS[name], X.astype(np.float64)
    y, derivative = run(FUNCTIONS[name][0], X, np.ones_like(X), mode)
    np.testing.assert_allclose(y, formula(x), rtol=2e-6, atol=1e-6)
    expected = (formula(x + 1e-5) - formula(x - 1e-5)) / 2e-5
    np.testing.assert_allclose(derivative, expected, rtol=2e-6, atol=1e-6)


@pytest.mark.sampled(7)
@each_name
@each_mode
@each_dtype
@pytest.mark.parametrize("shape", [(5, 7, 9, 3), (1, 1), (3, 13), (2, 1, 1, 5)], ids=str)
def test_they_are_those_of_plain_tensorflow_in_every_shape(
    name: str, mode: str, dtype: tf.DType, shape: tuple[int, ...]
) -> None:
    x, upstream = 3 * np.random.default_rng(0).normal(size=(2, *shape))
    function, plain = FUNCTIONS[name]
    x, upstream = (tf.cast(tf.cast(values, dtype), tf.float32) for values in (x, upstream))
    tolerance = 2e-6 if dtype == tf.float32 else 2**-8
    expected = run(plain, x, upstream, "eager")  # in float32: TensorFlow rounds between its operations
    for result, wanted in zip(run(function, x, upstream, mode, dtype), expected, strict=True):
        assert (result.dtype, result.shape) == (dtype, shape)
        np.testing.assert_allclose(tf.cast(result, tf.float32), wanted, rtol=tolerance, atol=2e-6)


@each_name
@each_mode
def test_results_in_bfloat16_are_those_in_float32_rounded_once(name: str, mode: str) -> None:
    function = FUNCTIONS[name][0]
    x, upstream = (tf.cast(tf.cast(values, tf.bfloat16), tf.float32) for values in (X, UPSTREAM))
    low, full = (run(function, x, upstream, mode, dtype) for dtype in (tf.bfloat16, tf.float32))
    for rounded, exact in zip(low, full, strict=True):
        assert rounded.dtype == tf.bfloat16
        np.testing.assert_array_equal(tf.cast(rounded, tf.float32), tf.cast(tf.cast(exact, tf.bfloat16), tf.float32))


@each_name
@each_mode
def test_the_gradient_from_above_is_multiplied_with_the_derivative(name: str, mode: str) -> None:
    function = FUNCTIONS[name][0]
    (_, derivative), (_, gradient) = (run(function, X, upstream, mode) for upstream in (np.ones_like(X), UPSTREAM))
    np.testing.assert_allclose(gradient, derivative * UPSTREAM, rtol=1e-6, atol=1e-30)


@each_name
@each_mode
@each_dtype
def test_far_from_zero_they_are_zero_or_the_identity(name: str, mode: str, dtype: tf.DType) -> None:
    far = np.array([-3e38, -1e20, -1e4, -120.0, 120.0, 1e4, 1e20, 3e38], np.float32)
    y, derivative = run(FUNCTIONS[name][0], far, np.ones_like(far), mode, dtype)
    np.testing.assert_array_equal(tf.cast(derivative, tf.float32), [0, 0, 0, 0, 1, 1, 1, 1])
    expected = tf.cast(tf.cast(np.maximum(far, 0), dtype), tf.float32)
    np.testing.assert_array_equal(tf.cast(y, tf.float32), expected)


@each_name
@each_mode
@each_dtype
def test_what_is_not_a_number_shows(name: str, mode: str, dtype: tf.DType) -> None:
    x = np.array([np.nan, 1.0], np.float32)
    for result in run(FUNCTIONS[name][0], x, np.ones_like(x), mode, dtype):
        assert np.isnan(tf.cast(result, tf.float32)).tolist() == [True, False]
    _, gradient = run(FUNCTIONS[name][0], np.ones_like(x), x, mode, dtype)
    assert np.isnan(tf.cast(gradient, tf.float32)).tolist() == [True, False]
