"""Initial values: distribution, fans, and that they depend on the words alone."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfcore import initializers
from tfcore.errors import ConfigError, ShapeError
from tfcore.initializers import INITIALIZERS

CUT = 0.87962566  # the deviation of a standard normal cut at two sigma


@dataclass(frozen=True)
class Case:
    """A distribution: its variance is `scale` divided by the fan-in, or by the mean of both fans."""

    scale: float
    of_both_fans: bool
    uniform: bool
    keras_name: str | None

    def stddev_and_bound(self, fan_in: int, fan_out: int) -> tuple[float, float]:
        """The standard deviation of the values as drawn, and the largest."""
        fans = (fan_in + fan_out) / 2 if self.of_both_fans else fan_in
        stddev = np.sqrt(self.scale / fans)
        return stddev, stddev * (np.sqrt(3) if self.uniform else 2 / CUT)


DRAWN = {
    "truncated_normal": Case(CUT**2, False, False, None),
    "glorot_uniform": Case(1, True, True, "GlorotUniform"),
    "glorot_normal": Case(1, True, False, "GlorotNormal"),
    "he_uniform": Case(2, False, True, "HeUniform"),
    "he_normal": Case(2, False, False, "HeNormal"),
    "lecun_uniform": Case(1, False, True, "LecunUniform"),
    "lecun_normal": Case(1, False, False, "LecunNormal"),
    "fan_in_uniform": Case(1 / 3, False, True, None),
}
CONSTANTS = {"zeros": 0.0, "ones": 1.0, "constant:0.25": 0.25, "constant:-3": -3.0, "constant:1e-2": 0.01}
SHAPES = {(200, 300): (200, 300), (3, 5, 40, 60): (600, 900)}  # to (fan in, fan out)

each_drawn = pytest.mark.parametrize("name", DRAWN)
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def test_every_initializer_is_in_the_table() -> None:
    assert INITIALIZERS.keys() == DRAWN.keys() | {"zeros", "ones", "partial_identity"}
    for name, initializer in INITIALIZERS.items():
        assert initializers.find(name) is initializer is getattr(initializers, name)


@each_drawn
@each_shape
def test_distribution(name: str, shape: tuple[int, ...]) -> None:
    values = INITIALIZERS[name](shape, (1, 2))
    assert values.dtype == tf.float32
    assert values.shape == shape
    values = values.numpy()
    stddev, bound = DRAWN[name].stddev_and_bound(*SHAPES[shape])
    assert abs(values.std() / stddev - 1) < 0.015  # five standard errors at 36 000 values
    assert abs(values.mean()) < 5 * stddev / np.sqrt(values.size)
    assert 0.99 * bound < np.abs(values).max() <= bound * (1 + 1e-6)


@each_drawn
@each_shape
def test_keras_draws_from_the_same_distribution(name: str, shape: tuple[int, ...]) -> None:
    keras_name = DRAWN[name].keras_name
    stddev = 1 / np.sqrt(SHAPES[shape][0])
    theirs: Any
    if keras_name:
        theirs = getattr(keras.initializers, keras_name)(seed=3)
    elif DRAWN[name].uniform:
        theirs = keras.initializers.RandomUniform(-stddev, stddev, seed=3)
    else:
        theirs = keras.initializers.TruncatedNormal(stddev=stddev, seed=3)
    ours, expected = (np.sort(values, axis=None) for values in (INITIALIZERS[name](shape, (1, 2)), theirs(shape)))
    # Quantile by quantile; the largest distance between two samples of 36 000 is about 1 % of a standard deviation.
    assert np.abs(ours - expected)[600:-600].max() < 0.05 * ours.std()


@each_drawn
def test_values_depend_on_the_words_and_on_nothing_else(name: str) -> None:
    draw = INITIALIZERS[name]
    tf.random.set_seed(5)
    first = draw((4, 3), (-7, 2**31 - 1)).numpy()
    tf.random.set_seed(6)
    np.testing.assert_array_equal(first, draw((4, 3), (-7, 2**31 - 1)))
    np.testing.assert_array_equal(first, tf.function(lambda: draw((4, 3), (-7, 2**31 - 1)))())
    for words in [(-8, 2**31 - 1), (-7, 2**31 - 2), (2**31 - 1, -7)]:
        assert np.all(first != draw((4, 3), words).numpy())


@pytest.mark.parametrize(("name", "value"), CONSTANTS.items())
@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4), (0, 3)])
def test_constants_take_any_shape(name: str, value: float, shape: tuple[int, ...]) -> None:
    values = initializers.find(name)(shape, (1, 2))
    assert values.dtype == tf.float32
    np.testing.assert_array_equal(values, np.full(shape, value, np.float32))


@each_drawn
@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4), (0, 3), (3, 3, 0, 8)])
def test_other_shapes_are_refused(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"\[height, width, in, out\]"):
        INITIALIZERS[name](shape, (1, 2))


@pytest.mark.parametrize(
    ("name", "hint"), [("he_norml", " Did you mean 'he_normal'?"), ("", ""), ("zeros:1", " Did you mean 'zeros'?")]
)
def test_an_unknown_name_is_refused(name: str, hint: str) -> None:
    with pytest.raises(ConfigError) as error:
        initializers.find(name)
    known = ", ".join(INITIALIZERS)
    assert str(error.value) == f"`initializer` must be one of {known}, constant:VALUE. Received '{name}'.{hint}"


@pytest.mark.parametrize(
    "name", ["constant", "constant:", "constant:x", "constant:0,1", "constant:nan", "constant:inf"]
)
def test_a_constant_without_a_finite_number_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"`initializer` must name its value, as in constant:0.1. Received '{name}'"):
        initializers.find(name)


@pytest.mark.parametrize(("channels", "filters"), [(3, 8), (8, 3), (4, 4)])
def test_a_partial_identity_copies_its_input_and_draws_the_rest(channels: int, filters: int) -> None:
    weights = initializers.partial_identity((3, 3, channels, filters), (1, 2))
    x, copies = np.random.default_rng(0).normal(size=(2, 5, 4, channels)).astype(np.float32), min(channels, filters)
    y = tf.nn.conv2d(x, weights, 1, "SAME")
    np.testing.assert_array_equal(y[..., :copies], x[..., :copies])
    drawn = initializers.fan_in_uniform((3, 3, channels, filters), (1, 2))
    np.testing.assert_array_equal(weights[..., copies:], drawn[..., copies:])


def test_a_partial_identity_of_a_matrix_is_drawn() -> None:
    drawn = initializers.fan_in_uniform((3, 4), (1, 2))
    np.testing.assert_array_equal(initializers.partial_identity((3, 4), (1, 2)), drawn)
