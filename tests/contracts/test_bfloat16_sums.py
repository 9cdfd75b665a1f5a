"""Sums over many bfloat16 numbers are accurate in every layer: eager, compiled, whatever kernels TensorFlow picks.

A sum of equal signs that is accumulated in bfloat16 stops growing at some 256 times a typical number.
"""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from tfcore.layers import AveragePool, BatchNorm, Conv2D, GlobalAveragePool, Linear, SumPool

COUNT = 128 * 32 * 32  # 131,072 numbers for each bias
RNG = np.random.default_rng(0)
PICTURES = (128, 32, 32, 2)
UPSTREAM = tf.cast(RNG.uniform(0, 0.2, PICTURES), tf.bfloat16)
IMAGES = tf.cast(RNG.normal(1, 0.5, PICTURES), tf.bfloat16)
ROUNDED_ONCE = 2**-8

each_mode = pytest.mark.parametrize("mode", ["eager", "compiled", "any batch size"])


def in_mode(function: Callable[..., list[tf.Tensor]], mode: str, *tensors: tf.Tensor) -> list[np.ndarray]:
    """The results of `function`, in float64."""
    specs = [tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype) for tensor in tensors]
    run = function if mode == "eager" else tf.function(function, input_signature=specs if "any" in mode else None)
    return [tf.cast(result, tf.float64).numpy() for result in run(*tensors)]


def float64(tensor: tf.Tensor) -> np.ndarray:
    return tf.cast(tensor, tf.float64).numpy()


def gradients(layer: tf.Module, variables: list[tf.Variable]) -> Callable[..., list[tf.Tensor]]:
    def of(x: tf.Tensor, upstream: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            y = layer(x, training=True)
        assert y.dtype == tf.bfloat16
        return tape.gradient(y, variables, output_gradients=upstream)

    return of


@each_mode
@pytest.mark.parametrize("activation", [None, tf.nn.relu])
def test_conv2d_biases(mode: str, activation: Callable[[tf.Tensor], tf.Tensor] | None) -> None:
    layer = Conv2D(2, 2, 3, name="conv", seed=0)
    layer.biases.assign([30.0, 30.0])  # above all that the weights give, so that a ReLU passes everything

    def call(x: tf.Tensor, *, training: bool) -> tf.Tensor:
        y = layer(x, training=training)
        return y if activation is None else activation(y)

    (found,) = in_mode(gradients(call, [layer.biases]), mode, IMAGES, UPSTREAM)
    np.testing.assert_allclose(found, float64(UPSTREAM).sum((0, 1, 2)), rtol=ROUNDED_ONCE)


@each_mode
def test_linear_biases(mode: str) -> None:
    layer = Linear(2, 2, name="linear", seed=0)
    rows, upstream = (tf.reshape(tensor, [COUNT, 2]) for tensor in (IMAGES, UPSTREAM))
    found = in_mode(gradients(layer, [layer.biases, layer.weights]), mode, rows, upstream)
    np.testing.assert_allclose(found[0], float64(upstream).sum(0), rtol=ROUNDED_ONCE)
    np.testing.assert_allclose(found[1], float64(rows).T @ float64(upstream), rtol=2 * ROUNDED_ONCE)


@each_mode
def test_batch_norm_statistics_scale_and_offset(mode: str) -> None:
    layer = BatchNorm(2, name="norm", momentum=0.0)
    scale, offset = in_mode(gradients(layer, [layer.scale, layer.offset]), mode, IMAGES, UPSTREAM)
    x, upstream = float64(IMAGES), float64(UPSTREAM)
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, variance * COUNT / (COUNT - 1), rtol=1e-4)
    np.testing.assert_allclose(offset, upstream.sum((0, 1, 2)), rtol=1e-5)
    terms = upstream * (x - mean) / np.sqrt(variance + layer.epsilon)
    np.testing.assert_allclose(scale, terms.sum((0, 1, 2)), rtol=0, atol=1e-4 * np.abs(terms).sum((0, 1, 2)).max())


@each_mode
@pytest.mark.parametrize("kind", ["global", "average", "sum"])
@pytest.mark.parametrize("side", [16, 64, 256])
def test_pools(kind: str, side: int, mode: str) -> None:
    layer = {"global": GlobalAveragePool(), "average": AveragePool(side), "sum": SumPool(side)}[kind]
    x = tf.cast(RNG.uniform(0, 1, (2, side, side, 3)), tf.bfloat16)
    (found,) = in_mode(lambda x: [layer(x, training=True)], mode, x)
    expected = float64(x).sum((1, 2)) if kind == "sum" else float64(x).mean((1, 2))
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=ROUNDED_ONCE)
