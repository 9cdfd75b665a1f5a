"""A batch norm is folded into the product before it in compiled evaluations: same values, one pass less."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfcore import ops
from tfcore.layers import Activation, BatchNorm, Conv2D, DepthwiseConv2D, Flatten, Linear, MaxPool, Sequential

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 7, 6, 3))

PRODUCTS: dict[str, Callable[[], list[tf.Module]]] = {
    "convolution": lambda: [Conv2D(3, 5, 3, name="a", seed=0)],
    "without biases": lambda: [Conv2D(3, 5, 3, name="a", seed=0, use_bias=False)],
    "strided": lambda: [Conv2D(3, 5, 2, name="a", seed=0, stride=2, padding="valid")],
    "padded on all sides": lambda: [Conv2D(3, 5, 3, name="a", seed=0, stride=2, padding="symmetric")],
    "depthwise, padded on all sides": lambda: [DepthwiseConv2D(3, 3, name="a", seed=0, stride=2, padding="symmetric")],
    "depthwise": lambda: [DepthwiseConv2D(3, 3, name="a", seed=0, stride=2)],
    "depthwise without biases": lambda: [DepthwiseConv2D(3, 3, name="a", seed=0, use_bias=False)],
    "product": lambda: [Flatten(), Linear(126, 20, name="a", seed=0)],
}
OTHERS: dict[str, Callable[[], list[tf.Module]]] = {
    "activation between": lambda: [Conv2D(3, 5, 3, name="a", seed=0), Activation("relu")],
    "pool between": lambda: [Conv2D(3, 5, 3, name="a", seed=0), MaxPool(2)],
    "tokens": lambda: [Linear(3, 5, name="a", seed=0), Flatten()],
    "first": lambda: [],
}


def model(layers: list[tf.Module], features: int) -> Sequential:
    """The layers, and a batch norm whose statistics have moved."""
    norm = BatchNorm(features, name="norm")
    for variable in norm.variables:
        variable.assign(RNG.uniform(0.5, 2, features))
    norm.scale.assign(np.linspace(-1, 1, features))
    for layer in layers:
        if getattr(layer, "biases", None) is not None:
            layer.biases.assign(RNG.normal(size=layer.biases.shape))
    return Sequential({**{f"layer_{number}": layer for number, layer in enumerate(layers)}, "norm": norm})


def made(kind: str) -> Sequential:
    layers = {**PRODUCTS, **OTHERS}[kind]()
    x = tf.constant(X, tf.float32)
    for layer in layers:
        x = layer(x, training=False)
    return model(layers, x.shape[-1])


def traced(net: Any, x: tf.Tensor, *, training: bool = False, examples: int | None = None) -> Any:
    spec = tf.TensorSpec([examples, *x.shape[1:]], x.dtype)
    return tf.function(lambda x: net(x, training=training), autograph=False).get_concrete_function(spec)


def norms_in(function: Any) -> int:
    return sum("FusedBatchNorm" in operation.type for operation in function.graph.get_operations())


@pytest.mark.parametrize("kind", PRODUCTS)
@pytest.mark.parametrize("examples", [4, None])
@pytest.mark.parametrize(("dtype", "tolerance"), [(tf.float32, 2e-6), (tf.bfloat16, 2e-2)], ids=["float32", "bfloat16"])
def test_products_take_the_batch_norm_after_them(
    kind: str, examples: int | None, dtype: tf.DType, tolerance: float
) -> None:
    net, x = made(kind), tf.cast(X, dtype)
    fast = traced(net, x, examples=examples)
    with ops.plain():
        plain = traced(net, tf.cast(x, tf.float32), examples=examples)
    assert (norms_in(fast), norms_in(plain)) == (0, 1)
    expected = plain(tf.cast(x, tf.float32)).numpy()
    result = fast(x)
    assert result.dtype == dtype
    np.testing.assert_allclose(tf.cast(result, tf.float32), expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("kind", PRODUCTS)
def test_the_variables_of_today_are_used_without_a_new_trace(kind: str) -> None:
    net, x = made(kind), tf.constant(X, tf.float32)
    fast = traced(net, x)
    for variable in net.variables:
        variable.assign(tf.abs(variable) * 1.5 + 0.1)
    expected = net(x, training=False).numpy()
    np.testing.assert_allclose(fast(x), expected, rtol=0, atol=2e-6 * np.abs(expected).max())


@pytest.mark.parametrize("kind", OTHERS)
def test_everything_else_stays_as_it_is(kind: str) -> None:
    net, x = made(kind), tf.constant(X, tf.float32)
    fast = traced(net, x)
    assert norms_in(fast) == 1
    np.testing.assert_allclose(fast(x), net(x, training=False), atol=1e-5)


def test_training_normalises_by_the_batch() -> None:
    net = made("convolution")
    assert norms_in(traced(net, tf.constant(X, tf.float32), training=True)) == 1


class Branched(tf.Module):
    """A convolution whose result is used before its batch norm."""

    def __init__(self) -> None:
        super().__init__(name="branched")
        self.net = made("convolution")

    def __call__(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
        y = self.net.layer_0(x, training=training)
        beside = tf.nn.relu(y)
        return self.net.norm(y, training=training) + beside


def test_a_result_that_was_used_is_not_computed_twice() -> None:
    net, x = Branched(), tf.constant(X, tf.float32)
    fast = traced(net, x)
    assert norms_in(fast) == 1
    np.testing.assert_allclose(fast(x), net(x, training=False), atol=1e-5)


def test_a_product_outside_of_a_loop_stays_there() -> None:
    net, x = made("convolution"), tf.constant(X, tf.float32)

    @tf.function
    def run(x: tf.Tensor) -> tf.Tensor:
        y = net.layer_0(x, training=False)
        return tf.while_loop(
            lambda n, _: n < 2, lambda n, _: (n + 1, net.norm(y, training=False)), (0, tf.zeros_like(y))
        )

    np.testing.assert_allclose(run(x)[1], net(x, training=False), atol=1e-5)


def test_eager_calls_give_the_same() -> None:
    net, x = made("convolution"), tf.constant(X, tf.float32)
    np.testing.assert_allclose(net(x, training=False), traced(net, x)(x), atol=1e-5)
