"""Pools against windows in NumPy float64, in values and gradients."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from reference import layers as reference

from tfcore.errors import ConfigError, ShapeError
from tfcore.layers import GlobalAveragePool, GlobalMaxPool, MaxPool
from tfcore.layers.pool import POOLS

each_kind = pytest.mark.parametrize("kind", POOLS)
each_size = pytest.mark.parametrize("size", [1, 2, 3])
RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 7, 6, 4))  # a row is left over at sizes 2 and 3


@each_kind
@each_size
@pytest.mark.parametrize(("dtype", "tolerance"), [(tf.float32, 1e-6), (tf.bfloat16, 1e-2)])
def test_values(kind: str, size: int, dtype: tf.DType, tolerance: float) -> None:
    x = tf.cast(X, dtype)
    result = POOLS[kind](size)(x, training=False)
    assert result.dtype == dtype
    expected = reference.pool(tf.cast(x, tf.float64).numpy(), size, kind)
    np.testing.assert_allclose(tf.cast(result, tf.float64), expected, rtol=0, atol=tolerance * np.abs(expected).max())


@each_kind
@each_size
def test_gradients(kind: str, size: int) -> None:
    x, upstream = tf.constant(X[:1], tf.float32), RNG.normal(size=(1, 7 // size, 6 // size, 4))
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(POOLS[kind](size)(x, training=True) * upstream.astype(np.float32))
    expected = reference.gradient(lambda x: np.sum(reference.pool(x, size, kind) * upstream), X[:1])
    np.testing.assert_allclose(tape.gradient(loss, x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("size", "stride"), [(3, 2), (2, 1), (2, 3), (3, 1)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(tf.float32, 1e-6), (tf.bfloat16, 1e-2)])
def test_windows_that_overlap_or_reach_beyond_the_picture(
    size: int, stride: int, padding: str, dtype: tf.DType, tolerance: float
) -> None:
    x = tf.cast(X - 10, dtype)  # below the zeros that a wrong padding would add
    result = MaxPool(size, stride=stride, padding=padding)(x, training=False)
    wide = tf.cast(x, tf.float64).numpy()
    np.testing.assert_allclose(
        tf.cast(result, tf.float64), reference.max_pool(wide, size, stride, padding), rtol=tolerance
    )
    keras_pool = keras.layers.MaxPooling2D(size, stride, padding)
    np.testing.assert_array_equal(tf.cast(keras_pool(tf.cast(wide, tf.float32)), dtype), result)


@pytest.mark.parametrize(("size", "stride"), [(3, 2), (3, 1), (5, 2), (1, 2)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(tf.float32, 1e-6), (tf.bfloat16, 1e-2)])
def test_windows_padded_on_all_sides_alike(size: int, stride: int, dtype: tf.DType, tolerance: float) -> None:
    x = tf.cast(X - 10, dtype)
    wide = tf.cast(x, tf.float64).numpy()
    result = MaxPool(size, stride=stride, padding="symmetric")(x, training=False)
    expected = reference.max_pool(wide, size, stride, "symmetric")
    np.testing.assert_allclose(tf.cast(result, tf.float64), expected, rtol=tolerance)
    around = [(0, 0), (size // 2, size // 2), (size // 2, size // 2), (0, 0)]
    padded = np.pad(wide, around, constant_values=-np.inf).astype(np.float32)
    np.testing.assert_array_equal(tf.cast(keras.layers.MaxPooling2D(size, stride)(padded), dtype), result)


def test_the_gradient_of_a_padded_pool_reaches_the_greatest_pixels() -> None:
    x, upstream = tf.constant(X[:1], tf.float32), RNG.normal(size=(1, 4, 3, 4))
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(MaxPool(3, stride=2, padding="symmetric")(x, training=True) * upstream.astype(np.float32))
    expected = reference.gradient(lambda x: np.sum(reference.max_pool(x, 3, 2, "symmetric") * upstream), X[:1])
    np.testing.assert_allclose(tape.gradient(loss, x), expected, rtol=1e-5, atol=1e-6)


def test_the_pool_of_a_stem_takes_pictures_smaller_than_its_windows() -> None:
    assert MaxPool(3, stride=2, padding="symmetric")(tf.zeros([1, 2, 1, 4]), training=False).shape == (1, 1, 1, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stride": 0}, "`stride` must be an integer of at least 1"),
        ({"padding": "full"}, "`padding` must be one of"),
        ({"padding": "symmetric"}, "takes windows of odd size.*Received size 2"),
    ],
)
def test_a_bad_stride_or_padding_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MaxPool(2, **arguments)


@each_kind
def test_windows_are_two_wide_by_default(kind: str) -> None:
    assert POOLS[kind]()(tf.zeros([1, 8, 6, 1]), training=False).shape == (1, 4, 3, 1)


@pytest.mark.parametrize(("dtype", "tolerance"), [(tf.float32, 1e-5), (tf.bfloat16, 4e-3)])
def test_a_global_pool_is_the_mean_of_the_picture(dtype: tf.DType, tolerance: float) -> None:
    # 4096 numbers of one sign: a sum kept in bfloat16 would stop growing at 256.
    x = tf.cast(np.random.default_rng(1).uniform(0.5, 1.5, (2, 64, 64, 3)), dtype)
    result = GlobalAveragePool()(x, training=False)
    assert result.dtype == dtype
    expected = tf.cast(x, tf.float64).numpy().mean(axis=(1, 2))
    np.testing.assert_allclose(tf.cast(result, tf.float64), expected, rtol=tolerance)


def test_a_global_max_pool_is_the_maximum_of_the_picture() -> None:
    np.testing.assert_array_equal(GlobalMaxPool()(tf.constant(X), training=False), X.max(axis=(1, 2)))


def test_a_global_pool_gives_every_pixel_the_same_gradient() -> None:
    x = tf.constant(X, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(GlobalAveragePool()(x, training=True))
    np.testing.assert_allclose(tape.gradient(loss, x), np.full(X.shape, 1 / 42), rtol=1e-6)


@each_kind
@pytest.mark.parametrize("shape", [(3, 7), (1, 2, 5, 1), (1, 5, 2, 1), (1, 5, 5)])
def test_a_picture_that_no_window_fits_is_refused(kind: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"A pool of 3×3 takes x of shape \[N, H, W, C\], H and W at least 3"):
        POOLS[kind](3)(tf.zeros(shape), training=False)


@each_kind
def test_pictures_of_unknown_size_pass_and_are_pooled(kind: str) -> None:
    layer = POOLS[kind](2)
    call = tf.function(lambda x: layer(x, training=False), input_signature=[tf.TensorSpec([None, None, None, 4])])
    x = tf.constant(X, tf.float32)
    np.testing.assert_array_equal(call(x), layer(x, training=False))


def test_a_global_pool_of_rows_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"A global pool takes x of shape \[N, H, W, C\]. Received \(3, 7\)"):
        GlobalAveragePool()(tf.zeros([3, 7]), training=False)


@each_kind
@pytest.mark.parametrize("size", [0, -1, 2.0, True])
def test_a_size_that_is_no_positive_integer_is_refused(kind: str, size: int) -> None:
    with pytest.raises(ConfigError, match=r"`size` must be an integer of at least 1"):
        POOLS[kind](size)
