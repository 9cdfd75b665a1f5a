"""The depthwise convolution against the loops of the full one in NumPy float64, with Keras as second witness."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from reference import layers as reference

from tfcore import initializers, seeds
from tfcore.errors import ConfigError, ShapeError
from tfcore.layers import DepthwiseConv2D

each_form = pytest.mark.parametrize(
    ("size", "stride", "padding"),
    [
        (3, 1, "same"),
        (3, 1, "valid"),
        (3, 2, "same"),
        (2, 2, "same"),
        (5, 3, "same"),
        (1, 2, "valid"),
        (3, 2, "symmetric"),
        (3, 1, "symmetric"),
        (5, 3, "symmetric"),
    ],
)
X = np.random.default_rng(0).normal(size=(2, 6, 7, 3))


def depthwise(size: int = 3, **arguments: Any) -> DepthwiseConv2D:
    layer = DepthwiseConv2D(3, size, **{"name": "conv_1", "seed": 0} | arguments)
    if layer.biases is not None:
        layer.biases.assign([-1.0, 0.5, 2.0])
    return layer


def full(layer: DepthwiseConv2D) -> np.ndarray:
    """The weights of the convolution that does the same: zero from one channel to another."""
    return layer.weights.numpy().astype(np.float64) * np.eye(3)


def close(result: Any, expected: np.ndarray, tolerance: float = 2e-6) -> None:
    np.testing.assert_allclose(tf.cast(result, tf.float64), expected, rtol=0, atol=tolerance * np.abs(expected).max())


@each_form
@pytest.mark.parametrize(("dtype", "tolerance"), [(tf.float32, 2e-6), (tf.bfloat16, 1e-2)])
def test_values(size: int, stride: int, padding: str, dtype: tf.DType, tolerance: float) -> None:
    layer = depthwise(size, stride=stride, padding=padding)
    result = layer(tf.cast(X, dtype), training=False)
    assert result.dtype == dtype
    close(result, reference.conv2d(X, full(layer), layer.biases.numpy(), stride, padding), tolerance)


@pytest.mark.sampled(5)
@each_form
@pytest.mark.parametrize(("dtype", "tolerance"), [(tf.float32, 4e-6), (tf.bfloat16, 2e-2)])
@pytest.mark.parametrize("is_compiled", [True, False])
def test_gradients(size: int, stride: int, padding: str, dtype: tf.DType, tolerance: float, is_compiled: bool) -> None:
    layer = depthwise(size, stride=stride, padding=padding)
    x = tf.cast(X, dtype)
    shape = layer(x, training=False).shape
    upstream = tf.cast(np.sin(np.arange(np.prod(shape))).reshape(shape), dtype)

    def run(x: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
        return tape.gradient(y, [x, layer.weights, layer.biases], upstream)

    from_x, from_weights, from_biases = (tf.function(run) if is_compiled else run)(x)
    exact = tf.cast(x, tf.float64).numpy(), full(layer), tf.cast(upstream, tf.float64).numpy()
    expected = reference.conv2d_gradients(*exact, stride, padding)
    close(from_x, expected[0], tolerance)
    close(from_weights, np.diagonal(expected[1], axis1=2, axis2=3)[..., np.newaxis], tolerance)
    close(from_biases, expected[2], tolerance)


@each_form
def test_keras_agrees(size: int, stride: int, padding: str) -> None:
    layer = depthwise(size, stride=stride, padding=padding)
    before = [keras.layers.ZeroPadding2D(size // 2)] if padding == "symmetric" else []
    inside = "valid" if padding == "symmetric" else padding
    theirs = keras.Sequential([*before, keras.layers.DepthwiseConv2D(size, stride, inside)])
    theirs.build(X.shape)
    theirs.set_weights([layer.weights.numpy(), layer.biases.numpy()])
    x = tf.constant(X, tf.float32)
    close(layer(x, training=False), theirs(x).numpy())


@pytest.mark.parametrize("initializer", ["he_normal", "glorot_uniform", "constant:0.25"])
def test_weights_are_drawn_for_the_inputs_of_one_filter(initializer: str) -> None:
    drawn = initializers.find(initializer)((3, 3, 1, 3), seeds.words(3, "initial value", "depthwise_2.weights"))
    layer = depthwise(name="depthwise_2", seed=3, initializer=initializer)
    np.testing.assert_array_equal(layer.weights, tf.transpose(drawn, [0, 1, 3, 2]))


def test_pictures_of_unknown_size_pass() -> None:
    layer = depthwise(padding="valid")
    call = tf.function(lambda x: layer(x, training=False), input_signature=[tf.TensorSpec([None, None, None, 3])])
    x = tf.constant(X, tf.float32)
    np.testing.assert_allclose(call(x), layer(x, training=False), atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 6, 7, 4), (6, 7, 3), (2, 126)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"Layer 'conv_1' takes x of shape \[N, H, W, 3\]. Received \("):
        depthwise()(tf.zeros(shape), training=False)


def test_a_picture_smaller_than_its_filters_is_refused_without_padding() -> None:
    with pytest.raises(ShapeError, match="filters of 3×3 and no padding"):
        depthwise(padding="valid")(tf.zeros([2, 2, 7, 3]), training=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": 0}, "`channels` must be an integer of at least 1"),
        ({"size": 0}, "`size` must be an integer of at least 1"),
        ({"stride": 0}, "`stride` must be an integer of at least 1"),
        ({"padding": "full"}, "`padding` must be"),
        ({"initializer": "xavier"}, "`initializer` must be"),
    ],
)
def test_a_bad_argument_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DepthwiseConv2D(**{"channels": 3, "size": 3, "name": "conv_1", "seed": 0} | arguments)
