"""The convolution against loops in NumPy float64, in values and gradients, with Keras as second witness."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from reference import layers as reference
from support import gradients

from tfcore import initializers, seeds
from tfcore.build.runtime import bfloat16_unit
from tfcore.errors import ConfigError, ShapeError
from tfcore.layers import Conv2D
from tfcore.modules import named_variables

each_form = pytest.mark.parametrize(
    ("size", "stride", "padding"),
    [
        (3, 1, "same"), (3, 1, "valid"), (3, 2, "same"), (3, 2, "valid"), (2, 1, "same"), (2, 2, "same"),
        (5, 3, "same"), (1, 1, "same"), (1, 2, "valid"), (4, 1, "valid"), (7, 1, "same"),
        (3, 1, "symmetric"), (3, 2, "symmetric"), (5, 3, "symmetric"), (1, 2, "symmetric"),
    ],
)  # fmt: skip
RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 6, 7, 3))


def conv(size: int = 3, **arguments: Any) -> Conv2D:
    layer = Conv2D(3, 4, size, **{"name": "conv_1", "seed": 0} | arguments)
    if layer.biases is not None:
        layer.biases.assign([-1.0, 0.5, 2.0, 0.0])
    return layer


def values_and_gradients(layer: Any, x: np.ndarray, upstream: np.ndarray, variables: list[Any]) -> list[Any]:
    """y, and the gradients of sum(y · upstream) with respect to x and the variables."""
    x = tf.constant(x, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
        loss = tf.reduce_sum(y * upstream.astype(np.float32))
    return [y, *tape.gradient(loss, [x, *variables])]


def upstream_of(layer: Conv2D) -> np.ndarray:
    return np.sin(np.arange(np.prod(shape := layer(tf.constant(X, tf.float32), training=False).shape))).reshape(shape)


def close(result: Any, expected: np.ndarray, tolerance: float = 2e-6) -> None:
    np.testing.assert_allclose(tf.cast(result, tf.float64), expected, rtol=0, atol=tolerance * np.abs(expected).max())


@each_form
@pytest.mark.parametrize(("dtype", "tolerance"), [(tf.float32, 2e-6), (tf.bfloat16, 1e-2)])
def test_values(size: int, stride: int, padding: str, dtype: tf.DType, tolerance: float) -> None:
    layer, x = conv(size, stride=stride, padding=padding), tf.cast(X, dtype)
    result = layer(x, training=False)
    assert result.dtype == dtype
    close(result, reference.conv2d(X, layer.weights.numpy(), layer.biases.numpy(), stride, padding), tolerance)


@each_form
def test_gradients(size: int, stride: int, padding: str) -> None:
    layer = conv(size, stride=stride, padding=padding)
    upstream = upstream_of(layer)
    _, *gradients = values_and_gradients(layer, X, upstream, [layer.weights, layer.biases])
    expected = reference.conv2d_gradients(X, layer.weights.numpy(), upstream, stride, padding)
    for result, wanted in zip(gradients, expected, strict=True):
        close(result, wanted, 4e-6)


@each_form
def test_keras_agrees(size: int, stride: int, padding: str) -> None:
    layer = conv(size, stride=stride, padding=padding)
    before = [keras.layers.ZeroPadding2D(size // 2)] if padding == "symmetric" else []
    inside = "valid" if padding == "symmetric" else padding
    theirs = keras.Sequential([*before, keras.layers.Conv2D(4, size, strides=stride, padding=inside)])
    theirs.build(X.shape)
    theirs.set_weights([layer.weights.numpy(), layer.biases.numpy()])
    upstream = upstream_of(layer)
    ours = values_and_gradients(layer, X, upstream, [layer.weights, layer.biases])
    expected = values_and_gradients(theirs, X, upstream, theirs.trainable_weights)
    for result, wanted in zip(ours, expected, strict=True):
        close(result, wanted.numpy(), 1e-6)


@pytest.mark.parametrize("sides", [(8, 8), (9, 6), (1, 2)])
@pytest.mark.parametrize(("size", "stride"), [(7, 2), (3, 2), (5, 1), (1, 3)])
def test_symmetric_zeros_give_the_shape_of_same(sides: tuple[int, int], size: int, stride: int) -> None:
    x = tf.zeros([1, *sides, 3])
    symmetric, same = (conv(size, stride=stride, padding=kind)(x, training=False) for kind in ("symmetric", "same"))
    assert symmetric.shape == same.shape


def test_compiled_bfloat16_sums_the_gradients_of_many_pixels_in_float32() -> None:
    # 32 768 numbers of one sign for each bias: a sum kept in bfloat16 would stop growing at a few hundred.
    x = tf.cast(np.random.default_rng(1).uniform(size=(32, 32, 32, 3)), tf.bfloat16)
    found = gradients.by_dtype(conv(), x)
    # Where the processor does not multiply bfloat16, TensorFlow adds up blocks of a filter gradient in bfloat16.
    is_native = bfloat16_unit() is not None
    (weights, biases), expected = found[tf.bfloat16], found[tf.float32]
    close(weights, expected[0].numpy(), 1e-2 if is_native else 5e-2)
    close(biases, expected[1].numpy(), 1e-2)


def test_without_biases() -> None:
    layer = conv(use_bias=False)
    assert set(named_variables(layer)) == {"weights"}
    close(layer(tf.constant(X, tf.float32), training=False), reference.conv2d(X, layer.weights.numpy(), 0, 1, "same"))


def test_shapes_and_the_start_of_the_biases() -> None:
    layer = Conv2D(3, 4, 5, name="conv_1", seed=0)
    assert {path: tuple(v.shape) for path, v in named_variables(layer).items()} == {
        "weights": (5, 5, 3, 4),
        "biases": (4,),
    }
    np.testing.assert_array_equal(layer.biases, np.zeros(4, np.float32))


@pytest.mark.parametrize("initializer", [*initializers.INITIALIZERS, "constant:0.25"])
def test_weights_are_drawn_by_the_initializer_for_seed_and_name(initializer: str) -> None:
    words = seeds.words(3, "initial value", "conv_2.weights")
    expected = initializers.find(initializer)((3, 3, 3, 4), words)
    layer = conv(name="conv_2", seed=3, initializer=initializer)
    np.testing.assert_array_equal(layer.weights, expected)


def test_the_kernel_is_not_flipped() -> None:
    layer = Conv2D(1, 1, 3, name="conv_1", seed=0, padding="valid")
    layer.weights.assign(np.eye(1, 9).reshape(3, 3, 1, 1))  # 1 at the top left
    picture = np.arange(9, dtype=np.float32).reshape(1, 3, 3, 1)
    assert layer(picture, training=False).numpy().item() == 0


def test_pictures_of_unknown_size_pass() -> None:
    layer = conv(padding="valid")
    call = tf.function(lambda x: layer(x, training=False), input_signature=[tf.TensorSpec([None, None, None, 3])])
    x = tf.constant(X, tf.float32)
    np.testing.assert_allclose(call(x), layer(x, training=False), atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 6, 7, 4), (6, 7, 3), (2, 126), (2, 6, 7, 3, 1)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"Layer 'conv_1' takes x of shape \[N, H, W, 3\]. Received \(") as error:
        conv()(tf.zeros(shape), training=False)
    assert str(shape) in str(error.value)


@pytest.mark.parametrize("sides", [(4, 7), (7, 4)])
def test_a_picture_smaller_than_the_filters_is_refused_unless_it_is_padded(sides: tuple[int, int]) -> None:
    with pytest.raises(ShapeError, match=r"has filters of 5×5 and no padding.*Take fewer layers, or padding 'same'"):
        conv(5, padding="valid")(tf.zeros([1, *sides, 3]), training=False)
    assert conv(5)(tf.zeros([1, *sides, 3]), training=False).shape == (1, *sides, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_channels": 0}, "`in_channels` must be an integer of at least 1. Received 0"),
        ({"out_channels": -1}, "`out_channels` must be an integer of at least 1. Received -1"),
        ({"size": 0}, "`size` must be an integer of at least 1. Received 0"),
        ({"stride": 1.5}, "`stride` must be an integer of at least 1. Received 1.5"),
        ({"padding": "SAME"}, "`padding` must be one of same, symmetric, valid. Received 'SAME'"),
        ({"padding": "symmetric", "size": 4}, "symmetric takes windows of odd size.*Received size 4. Take .*'same'"),
        ({"initializer": "glorot"}, "`initializer` must be one of zeros, .*Received 'glorot'"),
    ],
)
def test_a_bad_argument_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Conv2D(**{"in_channels": 3, "out_channels": 4, "size": 3, "name": "conv_1", "seed": 0} | arguments)
