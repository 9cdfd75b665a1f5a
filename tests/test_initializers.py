"""Initial values: distribution, fans, and that they depend on the words alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfcore import initializers
from tfcore.errors import ShapeError
from tfcore.initializers import INITIALIZERS

DRAWN = [name for name in INITIALIZERS if name != "zeros"]
# (shape, fan in, fan out)
SHAPES = [((200, 300), 200, 300), ((3, 5, 40, 60), 600, 900)]


def stddev_and_bound(name: str, fan_in: int, fan_out: int) -> tuple[float, float]:
    """The standard deviation of the values as drawn, and the largest."""
    cut = 0.87962566  # the deviation of a standard normal cut at two sigma
    if name == "glorot":
        return np.sqrt(2 / (fan_in + fan_out)), np.sqrt(6 / (fan_in + fan_out))
    stddev = np.sqrt(2 / fan_in) if name == "he" else cut / np.sqrt(fan_in)
    return stddev, 2 * stddev / cut


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize(("shape", "fan_in", "fan_out"), SHAPES)
def test_distribution(name: str, shape: tuple[int, ...], fan_in: int, fan_out: int) -> None:
    values = INITIALIZERS[name](shape, (1, 2))
    assert values.dtype == tf.float32
    assert values.shape == shape
    values = values.numpy()
    stddev, bound = stddev_and_bound(name, fan_in, fan_out)
    assert abs(values.std() / stddev - 1) < 0.015  # five standard errors at 36 000 values
    assert abs(values.mean()) < 5 * stddev / np.sqrt(values.size)
    assert 0.99 * bound < np.abs(values).max() <= bound * (1 + 1e-6)


@pytest.mark.parametrize(
    ("name", "keras_name"), [("truncated_normal", None), ("glorot", "GlorotUniform"), ("he", "HeNormal")]
)
def test_keras_draws_from_the_same_distribution(name: str, keras_name: str | None) -> None:
    initializer = (
        getattr(keras.initializers, keras_name)(seed=3)
        if keras_name
        else keras.initializers.TruncatedNormal(stddev=1 / np.sqrt(200), seed=3)
    )
    theirs, ours = (
        np.sort(initializer((200, 300)), axis=None),
        np.sort(INITIALIZERS[name]((200, 300), (1, 2)), axis=None),
    )
    # Quantile by quantile; the largest distance between two samples of 60 000 is about 1 % of a standard deviation.
    assert np.abs(ours - theirs)[600:-600].max() < 0.05 * ours.std()


@pytest.mark.parametrize("name", DRAWN)
def test_values_depend_on_the_words_and_on_nothing_else(name: str) -> None:
    draw = INITIALIZERS[name]
    tf.random.set_seed(5)
    first = draw((4, 3), (-7, 2**31 - 1)).numpy()
    tf.random.set_seed(6)
    np.testing.assert_array_equal(first, draw((4, 3), (-7, 2**31 - 1)))
    np.testing.assert_array_equal(first, tf.function(lambda: draw((4, 3), (-7, 2**31 - 1)))())
    for words in [(-8, 2**31 - 1), (-7, 2**31 - 2), (2**31 - 1, -7)]:
        assert np.all(first != draw((4, 3), words).numpy())


def test_zeros_takes_any_shape() -> None:
    for shape in [(), (3,), (2, 3, 4)]:
        np.testing.assert_array_equal(initializers.zeros(shape, (1, 2)), np.zeros(shape, np.float32))


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4), (0, 3), (3, 3, 0, 8)])
def test_other_shapes_are_refused(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"\[height, width, in, out\]"):
        INITIALIZERS[name](shape, (1, 2))
