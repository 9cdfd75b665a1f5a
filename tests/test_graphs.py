"""Floating-point operations: two for each multiply-add of a product or a convolution."""

from collections.abc import Callable
from typing import Any

import pytest
import tensorflow as tf

from tfcore import graphs
from tfcore.layers import Activation, Conv2D, Flatten, Linear, Pixels, Sequential
from tfcore.losses import cross_entropy
from tfcore.modules import named_parameters
from tfcore.optimizers import GradientDescent
from tfcore.training.step import TrainingStep


def counted(function: Callable[..., Any], *shapes: list[int]) -> int:
    return graphs.flops(tf.function(function).get_concrete_function(*(tf.TensorSpec(shape) for shape in shapes)))


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


def test_a_product_that_nothing_depends_on_is_not_computed() -> None:
    def unused(x: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
        tf.matmul(x, w)
        return x

    assert counted(unused, [4, 5], [5, 6]) == 0


def test_a_product_that_a_variable_is_set_to_counts() -> None:
    variable = tf.Variable(tf.zeros([4, 6]))

    def assign(x: tf.Tensor, w: tf.Tensor) -> None:
        variable.assign(tf.matmul(x, w))

    assert counted(assign, [4, 5], [5, 6]) == 2 * 4 * 5 * 6


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


@pytest.mark.parametrize(
    ("stride", "padding", "rows", "columns"),
    [
        (1, "SAME", 10, 8),
        (1, "VALID", 8, 6),
        (2, "SAME", 5, 4),
        (3, "VALID", 3, 2),
        (2, [[0, 0], [1, 1], [1, 1], [0, 0]], 5, 4),
    ],
)
def test_a_convolution_costs_two_operations_for_each_weight_and_place(
    stride: int, padding: Any, rows: int, columns: int
) -> None:
    forward = 2 * 4 * rows * columns * 3 * 3 * 5 * 7

    def convolved(x: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
        return tf.nn.conv2d(x, w, stride, padding)

    def gradient(of: int) -> Callable[..., Any]:
        def step(x: tf.Tensor, w: tf.Tensor) -> Any:
            with tf.GradientTape() as tape:
                tape.watch([x, w])
                loss = tf.reduce_sum(tf.square(convolved(x, w)))
            return tape.gradient(loss, [[x], [w], [x, w]][of])

        return step

    shapes = [4, 10, 8, 5], [3, 3, 5, 7]
    assert counted(convolved, *shapes) == forward
    # With respect to the pictures, to the weights, and to both; TensorFlow traces both each time.
    assert [counted(gradient(of), *shapes) for of in range(3)] == [2 * forward, 2 * forward, 3 * forward]


def test_one_step_of_a_small_network() -> None:
    first = Conv2D(1, 4, 3, name="conv_1", seed=0, padding="valid")
    second = Conv2D(4, 8, 3, name="conv_2", seed=0)
    last = Linear(6 * 6 * 8, 10, name="logits", seed=0)
    layers = {"pixels": Pixels(), "first": first, "relu": Activation("relu"), "second": second, "flatten": Flatten()}
    model = Sequential({**layers, "logits": last})
    step = TrainingStep(
        model, GradientDescent(named_parameters(model), learning_rate=0.1), cross_entropy, seed=0, batch_size=16
    )
    # 8x8x1 pictures to 6x6x4, to 6x6x8, to 10 logits.
    forward = (2 * 16 * 6 * 6 * 9 * 1 * 4, 2 * 16 * 6 * 6 * 9 * 4 * 8, 2 * 16 * 288 * 10)
    specs = tf.TensorSpec([16, 8, 8, 1], tf.uint8), tf.TensorSpec([16], tf.int32)
    found = graphs.flops(tf.function(step.__call__).get_concrete_function(*specs))
    # Forward and both gradients of each layer, except the gradient of the first with respect to the pictures.
    assert found == 2 * forward[0] + 3 * forward[1] + 3 * forward[2] == 1_354_752
