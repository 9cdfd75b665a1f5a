"""Batch normalisation against NumPy float64, with Keras as second witness, and its moving averages."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from reference import layers as reference

from tfcore.errors import ConfigError, ShapeError
from tfcore.layers import BatchNorm
from tfcore.modules import named_parameters, named_variables

RNG = np.random.default_rng(0)
INPUTS = {"pictures": RNG.normal(3, 2, (4, 5, 3, 6)), "rows": RNG.normal(3, 2, (9, 6))}
SCALE, OFFSET = np.linspace(0.5, 2, 6), np.linspace(-1, 1, 6)
MEAN, VARIANCE = np.linspace(-2, 4, 6), np.linspace(0.3, 5, 6)
EPSILON, MOMENTUM = 0.01, 0.9

each_input = pytest.mark.parametrize("x", INPUTS.values(), ids=INPUTS)


def norm(**arguments: Any) -> BatchNorm:
    layer = BatchNorm(6, **{"name": "norm_1", "momentum": MOMENTUM, "epsilon": EPSILON} | arguments)
    for variable, value in zip(
        (layer.scale, layer.offset, layer.moving_mean, layer.moving_variance),
        (SCALE, OFFSET, MEAN, VARIANCE),
        strict=True,
    ):
        variable.assign(value)
    return layer


def keras_norm(x: np.ndarray) -> keras.layers.BatchNormalization:
    layer = keras.layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON)
    layer.build(x.shape)
    layer.set_weights([SCALE, OFFSET, MEAN, VARIANCE])
    return layer


def values_and_gradients(layer: Any, x: np.ndarray, scale: Any, offset: Any, *, training: bool) -> list[Any]:
    """y, and the gradients of sum(y · upstream) with respect to x, the scale and the offset."""
    x = tf.constant(x, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=training)
        loss = tf.reduce_sum(y * upstream_of(x).astype(np.float32))
    return [y, *tape.gradient(loss, [x, scale, offset])]


def upstream_of(x: Any) -> np.ndarray:
    return np.sin(np.arange(np.prod(x.shape)) ** 1.5).reshape(x.shape)


def close(result: Any, expected: Any, tolerance: float = 1e-5) -> None:
    expected = np.asarray(expected, np.float64)
    np.testing.assert_allclose(tf.cast(result, tf.float64), expected, rtol=0, atol=tolerance * np.abs(expected).max())


@each_input
@pytest.mark.parametrize(("dtype", "tolerance"), [(tf.float32, 2e-6), (tf.bfloat16, 1e-2)])
def test_values_when_training(x: np.ndarray, dtype: tf.DType, tolerance: float) -> None:
    x = tf.cast(x, dtype)
    result = norm()(x, training=True)
    assert result.dtype == dtype
    close(result, reference.batch_norm(tf.cast(x, tf.float64).numpy(), SCALE, OFFSET, EPSILON), tolerance)


@each_input
@pytest.mark.parametrize(("dtype", "tolerance"), [(tf.float32, 2e-6), (tf.bfloat16, 1e-2)])
def test_values_otherwise(x: np.ndarray, dtype: tf.DType, tolerance: float) -> None:
    layer = norm()
    x = tf.cast(x, dtype)
    result = layer(x, training=False)
    expected = SCALE * (tf.cast(x, tf.float64).numpy() - MEAN) / np.sqrt(VARIANCE + EPSILON) + OFFSET
    assert result.dtype == dtype
    close(result, expected, tolerance)
    np.testing.assert_array_equal(layer.moving_mean, MEAN.astype(np.float32))
    np.testing.assert_array_equal(layer.moving_variance, VARIANCE.astype(np.float32))


@each_input
def test_the_statistics_of_the_result_are_those_asked_for(x: np.ndarray) -> None:
    axes = tuple(range(x.ndim - 1))
    result = norm(epsilon=1e-9)(tf.constant(x, tf.float32), training=True).numpy()
    np.testing.assert_allclose(result.mean(axes), OFFSET, atol=1e-5)
    np.testing.assert_allclose(result.std(axes), SCALE, rtol=1e-4)


@each_input
def test_gradients_when_training(x: np.ndarray) -> None:
    layer = norm()
    _, *gradients = values_and_gradients(layer, x, layer.scale, layer.offset, training=True)
    expected = reference.batch_norm_gradients(x, SCALE, upstream_of(x), EPSILON)
    for result, wanted in zip(gradients, expected, strict=True):
        close(result, wanted)


def test_the_reference_gradient_is_that_of_the_reference_values() -> None:
    x = INPUTS["rows"]
    upstream = upstream_of(x)
    by_formula, _, _ = reference.batch_norm_gradients(x, SCALE, upstream, EPSILON)
    by_differences = reference.gradient(lambda x: np.sum(reference.batch_norm(x, SCALE, OFFSET, EPSILON) * upstream), x)
    np.testing.assert_allclose(by_formula, by_differences, rtol=1e-5, atol=1e-7)


@each_input
def test_gradients_otherwise(x: np.ndarray) -> None:
    layer = norm()
    _, from_x, from_scale, from_offset = values_and_gradients(layer, x, layer.scale, layer.offset, training=False)
    axes, deviation, upstream = tuple(range(x.ndim - 1)), np.sqrt(VARIANCE + EPSILON), upstream_of(x)
    close(from_x, upstream * SCALE / deviation)
    close(from_scale, (upstream * (x - MEAN) / deviation).sum(axes))
    close(from_offset, upstream.sum(axes))


@each_input
@pytest.mark.parametrize("training", [True, False])
def test_keras_agrees(x: np.ndarray, training: bool) -> None:
    layer, theirs = norm(), keras_norm(x)
    ours = values_and_gradients(layer, x, layer.scale, layer.offset, training=training)
    expected = values_and_gradients(theirs, x, theirs.gamma, theirs.beta, training=training)
    for result, wanted in zip(ours, expected, strict=True):
        close(result, wanted)
    close(layer.moving_mean, theirs.moving_mean)


@each_input
def test_the_moving_averages_take_the_mean_and_the_unbiased_variance(x: np.ndarray) -> None:
    layer = norm()
    axes, mean, variance = tuple(range(x.ndim - 1)), MEAN, VARIANCE
    for number in range(1, 6):
        batch = x * number - number**2
        layer(tf.constant(batch, tf.float32), training=True)
        mean = MOMENTUM * mean + (1 - MOMENTUM) * batch.mean(axes)
        variance = MOMENTUM * variance + (1 - MOMENTUM) * batch.var(axes, ddof=1)
        close(layer.moving_mean, mean)
        close(layer.moving_variance, variance)


@each_input
def test_keras_moves_the_biased_variance(x: np.ndarray) -> None:
    axes, count = tuple(range(x.ndim - 1)), x.size // 6
    layer, theirs = norm(), keras_norm(x)
    for either in (layer, theirs):
        either(tf.constant(x, tf.float32), training=True)
    close(theirs.moving_variance, MOMENTUM * VARIANCE + (1 - MOMENTUM) * x.var(axes))
    close(layer.moving_variance - theirs.moving_variance, (1 - MOMENTUM) * x.var(axes) / (count - 1), 1e-4)


def test_the_moving_averages_are_those_of_float32_in_bfloat16() -> None:
    # Every statistic is far from what bfloat16 can hold: three digits of 1000 leave no variance of 1.
    x = tf.cast(1000 + 8 * RNG.integers(0, 2, (64, 4, 4, 6)), tf.bfloat16)
    layers = [norm(), norm()]
    for layer, dtype in zip(layers, (tf.bfloat16, tf.float32), strict=True):
        layer(tf.cast(x, dtype), training=True)
    close(layers[0].moving_mean, layers[1].moving_mean, 1e-6)
    close(layers[0].moving_variance, layers[1].moving_variance, 1e-4)
    assert all(variable.dtype == tf.float32 for variable in layers[0].variables)


def test_the_start_and_what_is_trained() -> None:
    layer = BatchNorm(6, name="norm_1")
    found = {path: variable.numpy().tolist() for path, variable in named_variables(layer).items()}
    zeros, ones = [0.0] * 6, [1.0] * 6
    assert found == {"moving_mean": zeros, "moving_variance": ones, "offset": zeros, "scale": ones}
    assert set(named_parameters(layer)) == {"offset", "scale"}
    assert (layer.momentum, layer.epsilon) == (0.99, 1e-3)


def test_a_batch_of_one_row_gives_the_offset_and_stays_finite() -> None:
    layer = norm()
    result = layer(tf.constant(INPUTS["rows"][:1], tf.float32), training=True)
    close(result, OFFSET[np.newaxis])
    close(layer.moving_variance, MOMENTUM * VARIANCE)


def test_a_constant_channel_stays_finite() -> None:
    result = norm()(tf.fill([4, 6], 7.0), training=True)
    close(result, np.tile(OFFSET, (4, 1)), 1e-3)


@pytest.mark.parametrize("parts", [1, 3])
def test_every_part_of_a_batch_moves_the_averages_when_compiled(parts: int) -> None:
    x, layer, expected = tf.constant(INPUTS["rows"], tf.float32), norm(), norm()
    size = 9 // parts

    @tf.function
    def run() -> None:
        for part in tf.range(parts):
            layer(tf.ensure_shape(x[part * size : (part + 1) * size], [size, 6]), training=True)

    run()
    for part in range(parts):
        expected(x[part * size : (part + 1) * size], training=True)
    close(layer.moving_mean, expected.moving_mean, 1e-6)
    close(layer.moving_variance, expected.moving_variance, 1e-6)


@pytest.mark.parametrize("shape", [(9, 5), (9, 2, 6), (6,), (4, 5, 6, 3)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"Layer 'norm_1' takes x of shape \[N, H, W, 6\] or \[N, 6\]. Received \("):
        norm()(tf.zeros(shape), training=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": 0}, "`features` must be an integer of at least 1. Received 0"),
        ({"momentum": 1.0}, "`momentum` must be at least 0 and below 1. Received 1.0"),
        ({"epsilon": 0.0}, "`epsilon` must be above 0. Received 0.0"),
    ],
)
def test_a_bad_argument_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BatchNorm(**{"features": 6, "name": "norm_1"} | arguments)


@each_input
@pytest.mark.parametrize("training", [True, False])
def test_the_offset_counts_by_its_factor_and_the_scale_can_be_left_out(x: np.ndarray, training: bool) -> None:
    plain, layer = norm(), BatchNorm(6, name="n", momentum=MOMENTUM, epsilon=EPSILON, use_scale=False, offset_factor=8)
    plain.scale.assign(np.ones(6))
    for name in ("moving_mean", "moving_variance"):
        getattr(layer, name).assign(getattr(plain, name))
    layer.offset.assign(plain.offset / 8)
    assert list(named_parameters(layer)) == ["offset"]
    y, from_x, _, from_offset = values_and_gradients(layer, x, plain.scale, layer.offset, training=training)
    expected_y, expected_x, _, expected_offset = values_and_gradients(
        plain, x, plain.scale, plain.offset, training=training
    )
    for result, wanted in ((y, expected_y), (from_x, expected_x), (from_offset / 8, expected_offset)):
        close(result, wanted, 2e-6)
