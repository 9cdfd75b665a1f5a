"""Floating-point operations: two for each multiply-add of a matrix product."""

from collections.abc import Callable
from typing import Any

import pytest
import tensorflow as tf

from tfcore.training import flops


def counted(function: Callable[..., Any], *shapes: list[int]) -> int:
    return flops.count(tf.function(function).get_concrete_function(*(tf.TensorSpec(shape) for shape in shapes)))


@pytest.mark.parametrize(
    ("a", "b", "options"),
    [
        ([5, 7], [7, 3], {}),
        ([7, 5], [7, 3], {"transpose_a": True}),
        ([5, 7], [3, 7], {"transpose_b": True}),
        ([7, 5], [3, 7], {"transpose_a": True, "transpose_b": True}),
    ],
)
def test_a_product_costs_two_operations_for_each_of_its_terms(a: list[int], b: list[int], options: Any) -> None:
    assert counted(lambda x, y: tf.matmul(x, y, **options), a, b) == 2 * 5 * 7 * 3


def test_products_add_up_and_elementwise_work_is_left_out() -> None:
    def two_layers(x: tf.Tensor, w: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(tf.matmul(tf.nn.relu(tf.matmul(x, w) + 1), v))

    assert counted(two_layers, [8, 20], [20, 30], [30, 10]) == 2 * 8 * 20 * 30 + 2 * 8 * 30 * 10


def test_a_linear_layers_gradients_cost_twice_its_forward_pass() -> None:
    def step(x: tf.Tensor, w: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            tape.watch([x, w])
            loss = tf.reduce_sum(tf.square(tf.matmul(x, w)))
        return tape.gradient(loss, [x, w])

    assert counted(step, [8, 20], [20, 30]) == 3 * 2 * 8 * 20 * 30


def test_nothing_multiplied_costs_nothing() -> None:
    assert counted(lambda x: x + 1, [3, 3]) == 0


def test_the_functions_that_are_called_count() -> None:
    inner = tf.function(tf.matmul)
    assert counted(lambda x, w: inner(x, w) + inner(x, w), [4, 5], [5, 6]) == 2 * (2 * 4 * 5 * 6)


def test_the_gradient_of_a_function_that_is_called_counts() -> None:
    inner = tf.function(tf.matmul)

    def step(x: tf.Tensor, w: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            tape.watch([x, w])
            loss = tf.reduce_sum(tf.square(inner(x, w)))
        return tape.gradient(loss, [x, w])

    assert counted(step, [8, 20], [20, 30]) == 3 * 2 * 8 * 20 * 30
