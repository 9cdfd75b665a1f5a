"""Layer normalisation, fast and plain, against NumPy float64, with Keras as second witness."""

from contextlib import nullcontext
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfcore import ops
from tfcore.errors import ConfigError, ShapeError
from tfcore.layers import LayerNorm
from tfcore.modules import named_parameters

RNG = np.random.default_rng(0)
INPUTS = {
    "rows": RNG.normal(3, 2, (9, 12)),
    "tokens": RNG.normal(-1, 0.5, (4, 5, 12)),
    "pictures": RNG.normal(0, 4, (2, 3, 3, 12)),
    "far from zero": RNG.normal(1000, 1, (7, 12)),
}
SCALE, OFFSET = np.linspace(0.5, 2, 12), np.linspace(-1, 1, 12)
EPSILON = 1e-3

each_input = pytest.mark.parametrize("x", INPUTS.values(), ids=INPUTS)
each_path = pytest.mark.parametrize("is_plain", [False, True], ids=["fast", "plain"])


def norm(epsilon: float = EPSILON) -> LayerNorm:
    layer = LayerNorm(12, name="norm_1", epsilon=epsilon)
    layer.scale.assign(SCALE)
    layer.offset.assign(OFFSET)
    return layer


def normal(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The normalised values, and the standard deviations."""
    deviation = np.sqrt(x.var(-1, keepdims=True) + EPSILON)
    return (x - x.mean(-1, keepdims=True)) / deviation, deviation


def expected(x: np.ndarray, upstream: np.ndarray) -> list[np.ndarray]:
    """y and the gradients of x, scale and offset (Ba, Kiros & Hinton 2016), in float64."""
    h, deviation = normal(x)
    g = upstream * SCALE
    from_x = (g - g.mean(-1, keepdims=True) - h * (g * h).mean(-1, keepdims=True)) / deviation
    axes = tuple(range(x.ndim - 1))
    return [h * SCALE + OFFSET, from_x, (upstream * h).sum(axes), upstream.sum(axes)]


def found(layer: Any, variables: list[Any], x: Any, upstream: Any, *, is_plain: bool) -> list[tf.Tensor]:
    """y and the gradients of x and the variables, compiled."""

    @tf.function
    def run(x: tf.Tensor, upstream: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
        return [y, *tape.gradient(y, [x, *variables], upstream)]

    with ops.plain() if is_plain else nullcontext():
        return run(x, upstream)


def upstream_of(x: Any) -> np.ndarray:
    return np.sin(np.arange(np.prod(x.shape)) ** 1.5).reshape(x.shape)


def close(result: Any, wanted: np.ndarray, tolerance: float) -> None:
    np.testing.assert_allclose(tf.cast(result, tf.float64), wanted, rtol=0, atol=tolerance * np.abs(wanted).max())


@each_input
@each_path
@pytest.mark.parametrize(("dtype", "tolerance"), [(tf.float32, 1e-5), (tf.bfloat16, 1e-2)])
def test_values_and_gradients(x: np.ndarray, is_plain: bool, dtype: tf.DType, tolerance: float) -> None:
    layer, x = norm(), tf.cast(x, dtype)
    given = tf.cast(upstream_of(x), dtype)
    results = found(layer, [layer.scale, layer.offset], x, given, is_plain=is_plain)
    assert [result.dtype for result in results] == [dtype, dtype, tf.float32, tf.float32]
    wide = tf.cast(x, tf.float64).numpy()
    least = 5e-4 if wide.mean() > 100 else tolerance  # around 1000, float32 holds less than four digits of a deviation
    for result, wanted in zip(results, expected(wide, tf.cast(given, tf.float64).numpy()), strict=True):
        close(result, wanted, max(tolerance, least))


@each_input
def test_keras_agrees(x: np.ndarray) -> None:
    layer, theirs = norm(), keras.layers.LayerNormalization(epsilon=EPSILON)
    theirs.build(x.shape)
    theirs.set_weights([SCALE, OFFSET])
    x, upstream = tf.constant(x, tf.float32), tf.constant(upstream_of(x), tf.float32)
    ours = found(layer, [layer.scale, layer.offset], x, upstream, is_plain=False)
    others = found(theirs, [theirs.gamma, theirs.beta], x, upstream, is_plain=False)
    for result, wanted in zip(ours, others, strict=True):
        close(result, wanted.numpy().astype(np.float64), 1e-3 if tf.reduce_mean(x) > 100 else 1e-5)


@each_path
def test_many_rows_of_one_sign_are_summed_in_float32(is_plain: bool) -> None:
    layer = norm()
    x = tf.cast(RNG.normal(size=(40_000, 12)), tf.bfloat16)
    upstream = tf.cast(RNG.uniform(size=(40_000, 12)), tf.bfloat16)
    *_, from_offset = found(layer, [layer.scale, layer.offset], x, upstream, is_plain=is_plain)
    close(from_offset, tf.cast(upstream, tf.float64).numpy().sum(0), 1e-5)


@each_path
def test_equal_features_give_the_offset_and_finite_gradients(is_plain: bool) -> None:
    layer, x = norm(), tf.fill([4, 12], 7.0)
    y, *gradients = found(layer, [layer.scale, layer.offset], x, tf.ones([4, 12]), is_plain=is_plain)
    close(y, np.tile(OFFSET, (4, 1)), 1e-5)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@each_path
def test_what_is_not_a_number_shows_in_its_row_alone(is_plain: bool) -> None:
    layer, x = norm(), INPUTS["rows"].astype(np.float32)
    x[3, 5] = np.nan
    y, *_ = found(layer, [layer.scale, layer.offset], tf.constant(x), tf.ones_like(x), is_plain=is_plain)
    assert np.isnan(y).all(1).tolist() == [row == 3 for row in range(9)]
    assert np.isnan(y).any(1).tolist() == [row == 3 for row in range(9)]


def test_a_batch_of_any_size_takes_the_plain_form() -> None:
    layer = norm()
    call = tf.function(lambda x: layer(x, training=False), input_signature=[tf.TensorSpec([None, None, 12])])
    x = INPUTS["tokens"]
    close(call(tf.constant(x, tf.float32)), expected(x, x)[0], 1e-5)


def test_its_parameters() -> None:
    layer = LayerNorm(3, name="norm_1")
    parameters = {path: variable.numpy().tolist() for path, variable in named_parameters(layer).items()}
    assert parameters == {"offset": [0.0] * 3, "scale": [1.0] * 3}
    assert layer.epsilon == 1e-6


@pytest.mark.parametrize("shape", [(9, 11), (12,), (2, 12, 1)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"Layer 'norm_1' takes x of shape \[N, …, 12\]. Received \("):
        norm()(tf.zeros(shape), training=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"features": 0}, "`features` must be an integer of at least 1"), ({"epsilon": 0.0}, "`epsilon` must be above 0")],
)
def test_a_bad_argument_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LayerNorm(**{"features": 12, "name": "norm_1"} | arguments)
