"""Whitening: what the filters do to the patches they were made from, against NumPy, and their limits."""

import numpy as np
import pytest
import tensorflow as tf
from reference import layers as reference

from tfcore.errors import ConfigError, ShapeError
from tfcore.layers import Whitening
from tfcore.modules import named_parameters

RNG = np.random.default_rng(0)
SMOOTH = np.cumsum(np.cumsum(RNG.normal(size=(300, 9, 8, 3)), axis=1), axis=2) + 5  # neighbours are alike


def adapted(x: np.ndarray = SMOOTH, size: int = 2, **arguments: float) -> Whitening:
    layer = Whitening(x.shape[3], size, name="whitening", **arguments)
    layer.adapt(tf.constant(x, tf.float32))
    return layer


def outputs(layer: Whitening, x: np.ndarray) -> np.ndarray:
    return (
        tf.reshape(layer(tf.constant(x, tf.float32), training=False), [-1, layer.features]).numpy().astype(np.float64)
    )


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_numbers_of_a_patch_become_uncorrelated_without_a_mean(size: int) -> None:
    y = outputs(adapted(size=size, epsilon=1e-9), SMOOTH)[:, : size * size * 3]
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-2)
    np.testing.assert_allclose(np.cov(y.T, bias=True), np.eye(size * size * 3), atol=1e-3)


def test_a_direction_with_less_variance_than_epsilon_is_not_amplified() -> None:
    x = SMOOTH.copy()
    x[..., 2] = x[..., 0] + 1e-4 * RNG.normal(size=x.shape[:3])
    y = outputs(adapted(x, epsilon=1.0), x)[:, :12]
    patches = np.lib.stride_tricks.sliding_window_view(x, (2, 2), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)
    eigenvalues = np.linalg.eigvalsh(np.cov(patches.reshape(-1, 12).T, bias=True))
    np.testing.assert_allclose(np.sort(y.var(axis=0)), np.sort(eigenvalues / (eigenvalues + 1)), atol=1e-3)


def test_a_call_is_a_convolution_and_its_opposite() -> None:
    layer = adapted()
    y = layer(tf.constant(SMOOTH[:4], tf.float32), training=True)
    weights, biases = layer.weights.numpy(), layer.biases.numpy()
    expected = reference.conv2d(SMOOTH[:4], weights, biases, 1, "valid")
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_array_equal(y[..., :12], -y[..., 12:])


def test_before_it_adapts_it_gives_the_patch_itself() -> None:
    y = Whitening(1, 2, name="whitening")(tf.constant([[[[1.0], [2.0]], [[3.0], [4.0]]]]), training=False)
    np.testing.assert_array_equal(tf.squeeze(y), [1, 2, 3, 4, -1, -2, -3, -4])


def test_only_the_biases_are_trained() -> None:
    assert list(named_parameters(adapted())) == ["biases"]


def test_pictures_without_any_variance_leave_finite_filters() -> None:
    layer = adapted(np.full((10, 4, 4, 1), 7.0))
    np.testing.assert_allclose(outputs(layer, np.full((1, 4, 4, 1), 7.0)), 0, atol=1e-4)


@pytest.mark.parametrize("shape", [(2, 1, 5, 3), (2, 5, 5, 1), (2, 12)])
def test_pictures_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"'whitening' takes x of shape \[N, H, W, 3\], H and W at least 2\. Received"):
        Whitening(3, 2, name="whitening").adapt(tf.zeros(shape))


def test_an_epsilon_of_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match="`epsilon` must be above 0"):
        Whitening(3, 2, name="whitening", epsilon=0.0)
