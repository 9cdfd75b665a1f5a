"""Constraints against NumPy float64 and Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from reference.optimizer_rules import max_norm

from tfcore.errors import ConfigError
from tfcore.optimizers import MaxNorm

SHAPES = {"dense": (7, 5), "one input": (1, 5), "convolution": (3, 3, 4, 6), "biases": (5,)}
random = np.random.default_rng(8)


def weights(shape: tuple[int, ...]) -> np.ndarray:
    """Units of norms from a tenth of 1 to ten times 1, and one of zeros."""
    drawn = random.standard_normal(shape) * np.logspace(-1, 1, shape[-1])
    drawn[..., 1] = 0
    return drawn.astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("limit", [0.5, 3.0])
def test_max_norm_against_float64(shape: tuple[int, ...], limit: float) -> None:
    given_weights = weights(shape)
    ours = MaxNorm(limit)(tf.constant(given_weights))
    assert ours.dtype == tf.float32
    np.testing.assert_allclose(ours, max_norm(given_weights.astype(np.float64), limit), rtol=5e-7)
    units = given_weights.reshape(-1, shape[-1])
    within = np.linalg.norm(units, axis=0) < 0.999 * limit
    assert within.any()
    assert not within.all()
    np.testing.assert_array_equal(ours.numpy().reshape(-1, shape[-1])[:, within], units[:, within])


@pytest.mark.parametrize(("shape", "axis"), [((7, 5), 0), ((3, 3, 4, 6), (0, 1, 2))])
def test_max_norm_against_keras(shape: tuple[int, ...], axis: int | tuple[int, ...]) -> None:
    given_weights = weights(shape)
    theirs = keras.constraints.MaxNorm(0.8, axis=axis)(given_weights)
    np.testing.assert_allclose(MaxNorm(0.8)(tf.constant(given_weights)), theirs, rtol=2e-6)  # but for Keras' 1e-7
    once = keras.constraints.MaxNorm(0.8)(weights((3, 3, 4, 6)))
    assert np.linalg.norm(np.reshape(once, (-1, 6)), axis=0).max() > 0.9  # over the height alone, its default


@given(
    rows=st.integers(1, 4), columns=st.integers(1, 4), limit=st.floats(1e-3, 1e3), scale=st.floats(0, 1e6),
    seed=st.integers(0, 999),
)  # fmt: skip
def test_max_norm_lands_within_the_limit_and_stays(
    rows: int, columns: int, limit: float, scale: float, seed: int
) -> None:
    drawn = np.random.default_rng(seed).standard_normal((rows, columns)) * scale
    once = MaxNorm(limit)(tf.constant(drawn, tf.float32))
    assert np.all(np.linalg.norm(once, axis=0) <= limit * (1 + 1e-6))
    np.testing.assert_allclose(MaxNorm(limit)(once), once, rtol=1e-6)


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan"), float("inf")])
def test_a_limit_must_be_above_zero(limit: float) -> None:
    with pytest.raises(ConfigError, match="`limit` must be above 0"):
        MaxNorm(limit)
