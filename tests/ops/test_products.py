"""The matrix product: its value and both gradients, against float64 and plain TensorFlow, wide and narrow."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfcore import ops

each_dtype = pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16], ids=lambda dtype: dtype.name)
each_shape = pytest.mark.parametrize(
    "shape", [(1, 1, 1), (7, 33, 10), (100, 3072, 10), (5, 9, 16), (6, 8, 17)], ids=str
)


def drawn(shape: tuple[int, int, int], dtype: tf.DType) -> list[tf.Tensor]:
    """x, weights and what comes back to the product."""
    examples, features, columns = shape
    generator = np.random.default_rng(sum(shape))
    sizes = [(examples, features), (features, columns), (examples, columns)]
    return [tf.cast(generator.normal(size=size).astype(np.float32), dtype) for size in sizes]


def product_and_gradients(function: Any, tensors: list[tf.Tensor]) -> list[np.ndarray]:
    """In a graph, as float64."""

    @tf.function
    def run(x: tf.Tensor, weights: tf.Tensor, upstream: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch((x, weights))
            y = function(x, weights)
        return [y, *tape.gradient(y, (x, weights), upstream)]

    return [np.float64(tf.cast(found, tf.float32)) for found in run(*tensors)]


@each_shape
@each_dtype
def test_value_and_gradients(shape: tuple[int, int, int], dtype: tf.DType) -> None:
    tensors = drawn(shape, dtype)
    x, weights, upstream = (np.float64(tf.cast(tensor, tf.float32)) for tensor in tensors)
    expected = [x @ weights, upstream @ weights.T, x.T @ upstream]
    plain = product_and_gradients(tf.matmul, tensors)
    rounding = 2e-6 if dtype == tf.float32 else 2**-7
    for found, exact, other in zip(product_and_gradients(ops.product, tensors), expected, plain, strict=True):
        tolerance = rounding * np.abs(exact).max()
        np.testing.assert_allclose(found, exact, rtol=0, atol=tolerance)
        np.testing.assert_allclose(found, other, rtol=0, atol=tolerance)


def products(function: Any, columns: int) -> list[bool]:
    """Of each matrix product of the traced gradient of the weights: whether its result is wider than high."""
    x, weights, _ = drawn((4, 50, columns), tf.float32)

    def gradient(x: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(weights)
            y = function(x, weights)
        return tape.gradient(y, weights)

    graph = tf.function(gradient).get_concrete_function(x, weights).graph
    return [op.outputs[0].shape == (columns, 50) for op in graph.get_operations() if op.type == "MatMul"]


@pytest.mark.parametrize(("columns", "wide"), [(10, True), (16, True), (17, False)])
def test_few_columns_take_the_wide_way_back(columns: int, wide: bool) -> None:
    assert any(products(ops.product, columns)) is wide
    with ops.plain():
        assert not any(products(ops.product, columns))


def test_it_has_a_second_derivative() -> None:
    x, weights, _ = drawn((3, 5, 2), tf.float32)

    @tf.function
    def second() -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(weights)
                y = tf.reduce_sum(tf.square(ops.product(x, weights)))
            gradient = inner.gradient(y, weights)
        return gradient, outer.gradient(gradient, x)

    gradient, of_x = second()
    exact_x, exact_weights = np.float64(x), np.float64(weights)
    np.testing.assert_allclose(gradient, 2 * exact_x.T @ exact_x @ exact_weights, rtol=1e-5)
    ones = np.ones_like(exact_weights)
    expected = 2 * exact_x @ (exact_weights @ ones.T + ones @ exact_weights.T)
    np.testing.assert_allclose(of_x, expected, rtol=1e-5)
