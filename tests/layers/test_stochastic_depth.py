"""Stochastic depth: what is dropped, how the rest is scaled, and what the draw depends on."""

import itertools
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from reference import layers as reference

from tfcore import seeds
from tfcore.errors import ConfigError
from tfcore.layers import Activation, Dropout, Residual, Sequential, StochasticDepth
from tfcore.modules import named_variables
from tfcore.seeds import Key

LEVELS = 2**32
each_rate = pytest.mark.parametrize("rate", [0.5, 0.1, 1 / 3, 0.9])
each_shape = pytest.mark.parametrize("shape", [(64,), (64, 3), (64, 2, 3, 1)])


def dropped(x: tf.Tensor, rate: float = 0.5, *, name: str = "drop_1", seed: int = 0, position: Any = 0) -> tf.Tensor:
    return StochasticDepth(rate, name=name)(x, training=True, key=Key(seed, 0, position))


def mask(examples: int, **arguments: Any) -> np.ndarray:
    """Which examples are kept."""
    return dropped(tf.ones([examples, 2]), **arguments).numpy()[:, 0] > 0


@each_rate
@each_shape
def test_whole_examples_are_dropped_or_scaled_by_the_share_kept(rate: float, shape: tuple[int, ...]) -> None:
    x = tf.random.stateless_normal(shape, [1, 2])
    kept_levels = round((1 - rate) * LEVELS)
    key = seeds.integer(9, "stochastic depth", "drop_1")
    kept = reference.dropout_mask(key, 2**40, (64, 1), kept_levels).reshape(64, *[1] * (len(shape) - 1))
    assert 0 < kept.sum() < 64
    expected = x.numpy() * np.where(kept, np.float32(LEVELS / kept_levels), 0)
    np.testing.assert_array_equal(dropped(x, rate, seed=9, position=2**40), expected)


@each_rate
def test_the_share_that_is_kept_and_the_mean(rate: float) -> None:
    found = mask(20_000, rate=rate).mean()
    assert abs(found - (1 - rate)) < 4 * np.sqrt(rate * (1 - rate) / 20_000)
    mean = tf.reduce_mean(dropped(tf.ones([20_000, 1]), rate)).numpy()
    np.testing.assert_allclose(mean, found / (1 - rate), rtol=1e-5)


def test_a_divided_batch_drops_what_the_whole_does() -> None:
    edges = [0, 3, 4, 11, 20]
    parts = [mask(end - start, position=7 + start) for start, end in itertools.pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate(parts), mask(20, position=7))


def test_draws_differ_between_layers_seeds_and_positions_and_from_those_of_dropout() -> None:
    dropout = Dropout(0.5, name="drop_1")(tf.ones([200, 1]), training=True, key=Key(0, 0, 0)).numpy()[:, 0] > 0
    masks = [mask(200), mask(200, name="drop_2"), mask(200, seed=1), mask(200, position=200), dropout]
    for one, other in itertools.combinations(masks, 2):
        assert 0.3 < np.mean(one != other) < 0.7


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16], ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("examples", [None, 9], ids=["unknown_size", "known_size"])
def test_compiled_values_and_gradients_have_the_draw_of_eager_calls(dtype: tf.DType, examples: int | None) -> None:
    def run(x: tf.Tensor, position: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = dropped(x, 0.3, position=position)
        return y, tape.gradient(y, x)

    specs = [tf.TensorSpec([examples, 5, 3], dtype), tf.TensorSpec([], tf.int64)]
    x, position = tf.ones([9, 5, 3], dtype), tf.constant(2**40, tf.int64)
    kept = mask(9, rate=0.3, position=2**40)
    for result in (*run(x, position), *tf.function(run, input_signature=specs)(x, position)):
        assert result.dtype == dtype
        wide = tf.cast(result, tf.float32).numpy()
        np.testing.assert_allclose(wide, np.where(kept, 1 / 0.7, 0)[:, None, None] * np.ones((9, 5, 3)), rtol=2**-8)


def test_a_dropped_example_passes_a_residual_by_its_shortcut_alone() -> None:
    body = Sequential({"tanh": Activation("tanh"), "drop": StochasticDepth(0.5, name="drop_1")})
    x = tf.random.stateless_normal([20, 3], [1, 2])
    y = Residual(body)(x, training=True, key=Key(0, 0, 0)).numpy()
    kept = mask(20)
    np.testing.assert_array_equal(y[~kept], x.numpy()[~kept])
    np.testing.assert_allclose(y[kept], (x + 2 * tf.tanh(x)).numpy()[kept], rtol=1e-6)


def test_what_is_not_a_number_shows() -> None:
    x = np.ones((20, 3), np.float32)
    x[:, 1] = np.nan
    assert np.isnan(dropped(tf.constant(x)).numpy()[:, 1]).all()


@pytest.mark.parametrize(("rate", "training"), [(0.0, True), (0.5, False)])
def test_where_nothing_is_dropped_no_operation_is_left(rate: float, training: bool) -> None:
    x = tf.random.stateless_normal([3, 5], [1, 2])
    assert StochasticDepth(rate, name="drop_1")(x, training=training) is x


def test_a_rate_that_rounds_to_zero_keeps_everything() -> None:
    assert mask(1000, rate=2**-34).all()


def test_it_has_no_variables() -> None:
    assert named_variables(StochasticDepth(0.5, name="drop_1")) == {}


def test_training_without_a_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="Layer 'drop_1' draws at random: call the model with `key`"):
        StochasticDepth(0.5, name="drop_1")(tf.ones([2, 3]), training=True)


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_a_rate_out_of_range_is_refused(rate: float) -> None:
    with pytest.raises(ConfigError, match=r"`stochastic_depth` must be at least 0 and below 1. Received"):
        StochasticDepth(rate, name="drop_1")
