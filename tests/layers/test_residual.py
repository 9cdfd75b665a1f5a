"""The residual layer: values, gradients, paths of variables, keys and refusals."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfcore.errors import ShapeError
from tfcore.layers import Activation, BatchNorm, Conv2D, Dropout, Linear, Residual, Sequential
from tfcore.modules import BrokenModelError, named_variables, outline
from tfcore.seeds import Key

X = tf.constant(np.random.default_rng(0).normal(size=(3, 8)), tf.float32)


def linear(name: str, out_features: int = 8) -> Linear:
    return Linear(8, out_features, name=name, seed=0)


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16], ids=lambda dtype: dtype.name)
def test_it_adds_the_body_to_the_shortcut(dtype: tf.DType) -> None:
    body, shortcut, x = linear("body", 4), linear("shortcut", 4), tf.cast(X, dtype)
    y = Residual(body, shortcut)(x, training=True)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, body(x, training=True) + shortcut(x, training=True))
    np.testing.assert_array_equal(Residual(linear("body"))(x, training=True), linear("body")(x, training=True) + x)


def test_the_gradient_goes_both_ways() -> None:
    layer = Residual(linear("body"))
    with tf.GradientTape() as tape:
        tape.watch(X)
        loss = tf.reduce_sum(layer(X, training=True) ** 2)
    total = X.numpy() @ layer.body.weights.numpy() + X.numpy()
    expected = 2 * total @ (layer.body.weights.numpy().T + np.eye(8))
    np.testing.assert_allclose(tape.gradient(loss, X), expected, rtol=1e-5, atol=1e-5)


def test_its_variables_have_paths_and_its_layers_rows() -> None:
    conv = Conv2D(3, 4, 3, name="conv", seed=0, stride=2, use_bias=False)
    body = Sequential({"conv": conv, "norm": BatchNorm(4, name="norm"), "relu": Activation("relu")})
    block = Residual(body, Conv2D(3, 4, 1, name="shortcut", seed=0, stride=2, use_bias=False))
    found = set(named_variables(block))
    assert {"body.conv.weights", "body.norm.scale", "shortcut.weights"} <= found
    model = Sequential({"block": block})
    picture = tf.zeros([2, 9, 9, 3])
    assert model(picture, training=True).shape == (2, 5, 5, 4)
    with pytest.raises(BrokenModelError, match="takes floating-point x"):
        outline(model, (9, 9, 3))


def test_both_sides_get_training_and_the_key() -> None:
    key, dropped = Key(0, 0, 0), Dropout(0.5, name="drop")
    both = Residual(dropped, dropped)(X, training=True, key=key)
    np.testing.assert_array_equal(both, 2 * dropped(X, training=True, key=key))
    np.testing.assert_array_equal(Residual(dropped)(X, training=False), 2 * X)


@pytest.mark.parametrize(
    ("layer", "x", "message"),
    [
        (Residual(linear("body", 4), name="block"), X, r"'block' adds .* to x, .* \(3, 4\) of float32, x is \(3, 8\)"),
        (Residual(linear("body", 1), name="block"), X, r"gives \(3, 1\) of float32, x is \(3, 8\)"),
        (
            Residual(linear("body"), linear("other", 2)), X,
            r"to its shortcut, .* gives \(3, 8\) of float32, its shortcut gives \(3, 2\) of float32\. Give a shortcut",
        ),
        (Residual(lambda x, **_: tf.cast(x, tf.float64)), X, r"gives \(3, 8\) of float64, x is \(3, 8\) of float32"),
    ],
)  # fmt: skip
def test_what_cannot_be_added_is_refused(layer: Any, x: tf.Tensor, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        layer(x, training=True)
