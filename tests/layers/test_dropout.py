"""Dropout: its exact rate, what its masks depend on, and that nothing else in them is regular."""

import itertools
from typing import Any

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st
from reference import layers as reference

from tfcore import seeds
from tfcore.errors import ConfigError, ShapeError
from tfcore.layers import Dropout
from tfcore.modules import named_variables
from tfcore.seeds import Key

LEVELS = 2**32
RATES = [0.5, 0.2, 0.25, 0.1, 1 / 3, 0.9, 0.999, 2**-16, 1 - 2**-16, 2**-32, 1 - 2**-32]
each_rate = pytest.mark.parametrize("rate", RATES)


def kept_levels(rate: float) -> int:
    return round((1 - rate) * LEVELS)


def dropped(x: tf.Tensor, rate: float = 0.5, *, name: str = "dropout_1", seed: int = 0, position: Any = 0) -> tf.Tensor:
    return Dropout(rate, name=name)(x, training=True, key=Key(seed, 0, position))


def mask(*shape: int, **arguments: Any) -> np.ndarray:
    """Where ones are kept."""
    return dropped(tf.ones(shape), **arguments).numpy() > 0


def centred(*shape: int, rate: float, **arguments: Any) -> np.ndarray:
    """The mask less its mean, divided by its standard deviation."""
    kept = kept_levels(rate) / LEVELS
    return (mask(*shape, rate=rate, **arguments) - kept) / np.sqrt(kept * (1 - kept))


def score(one: np.ndarray, other: np.ndarray) -> float:
    """How many standard errors the correlation of two centred masks is from zero."""
    return abs((one * other).mean()) * np.sqrt(one.size)


def scores_by_distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of the numbers of rows of `one` and of those 1, 2, 3 … places later in the same rows of `other`."""
    rows, numbers = one.shape
    spectra = [np.fft.rfft(centred_mask, 2 * numbers) for centred_mask in (other, one)]
    sums = np.fft.irfft((spectra[0] * spectra[1].conj()).sum(axis=0))[1:numbers]
    return sums / np.sqrt(rows * np.arange(numbers - 1, 0, -1))


@each_rate
def test_numbers_are_dropped_or_scaled_by_the_share_kept_to_the_nearest_level(rate: float) -> None:
    kept = kept_levels(rate) / LEVELS
    assert abs(kept - (1 - rate)) <= 0.5 / LEVELS
    x = tf.random.stateless_normal([50, 400], [1, 2])
    y = dropped(x, rate).numpy()
    where = y != 0
    np.testing.assert_array_equal(y[where], (x.numpy() * np.float32(1 / kept))[where])
    if 0.01 < rate < 0.99:
        assert 0 < where.mean() < 1


@pytest.mark.sampled(7)
@pytest.mark.parametrize("rate", [0.5, 0.1, 1 / 3, 0.999])
@pytest.mark.parametrize("shape", [(3, 8), (3, 13), (2, 3, 5, 1), (5, 7, 9, 3), (1, 1), (4,)])
@pytest.mark.parametrize("position", [0, 7, 2**32 - 2, 2**32 + 5, 2**53 - 1])
def test_the_mask_is_that_of_the_reference(rate: float, shape: tuple[int, ...], position: int) -> None:
    # Another order of the words or places, or a counter that overflows, would show here.
    key = seeds.integer(9, "dropout", "dropout_1")
    expected = reference.dropout_mask(key, position, shape, kept_levels(rate))
    np.testing.assert_array_equal(mask(*shape, rate=rate, seed=9, position=position), expected)


def test_a_number_is_kept_where_its_hash_is_below_the_threshold_and_not_at_it() -> None:
    # Among these numbers are some whose hash is the threshold: a threshold off by one level would show.
    key = seeds.integer(0, "dropout", "dropout_1")
    hashes = reference.dropout_hash(reference.philox(key, range(3)).reshape(3, 4)[:, :2], 50)
    for threshold in sorted(hashes.ravel().tolist())[::10]:
        rate = 1 - threshold / LEVELS
        assert kept_levels(rate) == threshold
        np.testing.assert_array_equal(mask(3, 50, rate=rate), hashes < threshold)


def test_large_examples_at_large_positions_do_not_overflow() -> None:
    # A million numbers an example, after 2^53 examples: more than any run sees.
    numbers, position = 2**20 + 1, 2**53
    expected = reference.dropout_mask(seeds.integer(0, "dropout", "dropout_1"), position, (1, numbers), LEVELS // 2)
    np.testing.assert_array_equal(mask(1, numbers, position=position), expected)


def test_the_reference_generator_gives_the_published_words() -> None:
    # The known-answer test of Random123 for a counter and a key of zeros.
    assert reference.philox(0, range(1)).tolist() == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]


@each_rate
def test_the_share_that_is_kept(rate: float) -> None:
    found = mask(1000, 1024, rate=rate).mean()
    kept = kept_levels(rate) / LEVELS
    assert abs(found - kept) <= 5 * np.sqrt(kept * (1 - kept) / 1_024_000)


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9])
def test_the_mean_is_preserved(rate: float) -> None:
    y = dropped(tf.ones([1000, 1024]), rate).numpy().astype(np.float64)
    assert abs(y.mean() - 1) < 5 * y.std() / np.sqrt(y.size)


@pytest.mark.parametrize("rate", [0.5, 0.2, 0.9])
@pytest.mark.parametrize("axis", [0, 1], ids=["places", "examples"])
def test_counts_by_place_and_by_example_scatter_as_those_of_coins(rate: float, axis: int) -> None:
    # Too little scatter, as of points spread evenly, is as wrong as too much.
    counts = mask(1000, 1000, rate=rate).sum(axis=axis)
    variance = 1000 * rate * (1 - rate)
    assert np.abs(counts - 1000 * (1 - rate)).max() < 5 * np.sqrt(variance)
    assert abs(counts.var() / variance - 1) < 5 * np.sqrt(2 / 1000)


@pytest.mark.parametrize("rate", [0.5, 0.2])
@pytest.mark.parametrize("numbers", [1023, 1024])
def test_masks_are_independent(rate: float, numbers: int) -> None:
    examples = 1000
    one, of_another_layer, of_another_seed = (
        centred(2 * examples, numbers, rate=rate, **other) for other in ({}, {"name": "dropout_2"}, {"seed": 1})
    )
    apart = {f"numbers {places} apart": (one[:, places:], one[:, :-places]) for places in (1, 2, 3, 4, 8, 16, 32, 64)}
    pairs = apart | {
        "neighbouring examples": (one[1:], one[:-1]),
        "neighbouring examples, a place later": (one[1:, 1:], one[:-1, :-1]),
        "neighbouring examples, a place earlier": (one[1:, :-1], one[:-1, 1:]),
        "consecutive steps": (one[:examples], one[examples:]),
        "layers": (one, of_another_layer),
        "seeds": (one, of_another_seed),
    }
    scores = {name: score(*pair) for name, pair in pairs.items()}
    assert max(scores.values()) < 4, scores


@pytest.mark.parametrize("rate", [0.5, 0.1])
def test_rows_columns_and_channels_of_pictures_are_independent(rate: float) -> None:
    pictures = centred(40, 32, 32, 32, rate=rate)
    below, above = np.tril_indices(32, -1)
    pairs = {
        "rows": (pictures[:, 1:], pictures[:, :-1]),
        "columns": (pictures[:, :, 1:], pictures[:, :, :-1]),
        "channels": (pictures[..., 1:], pictures[..., :-1]),
        "diagonals": (pictures[:, 1:, 1:], pictures[:, :-1, :-1]),
        "halves": (pictures[:, 16:], pictures[:, :16]),
        "transposed": (pictures[:, below, above], pictures[:, above, below]),
    }
    scores = {name: score(*pair) for name, pair in pairs.items()}
    assert max(scores.values()) < 4, scores


@pytest.mark.parametrize("rate", [0.5, 0.1, 0.9])
def test_numbers_at_every_distance_are_independent(rate: float) -> None:
    one = centred(24, 32 * 32 * 32, rate=rate)
    for name, scores in {
        "the same example": scores_by_distance(one, one),
        "the next example": scores_by_distance(one[:-1], one[1:]),
        "the example before": scores_by_distance(one[1:], one[:-1]),
    }.items():
        assert np.abs(scores).max() < 6, name  # of 32,767
        assert abs(np.mean(scores**2) - 1) < 5 * np.sqrt(2 / len(scores)), name


@pytest.mark.parametrize("rate", [0.5, 0.25])
@pytest.mark.parametrize("apart", [1, 32, 1024])
def test_three_places_have_every_pattern_as_often_as_coins(rate: float, apart: int) -> None:
    kept = mask(400, 3 * 1024, rate=rate).reshape(-1, 3, apart)
    counts = np.bincount((kept * [[1], [2], [4]]).sum(axis=1).ravel(), minlength=8)
    shares = [(1 - rate) ** number.bit_count() * rate ** (3 - number.bit_count()) for number in range(8)]
    expected = np.array(shares) * counts.sum()
    assert ((counts - expected) ** 2 / expected).sum() < 26  # chi-square, 7 degrees of freedom: 1 in 2,000


def test_masks_differ_between_layers_seeds_and_steps() -> None:
    masks = [
        mask(8, 100), mask(8, 100, name="dropout_2"), mask(8, 100, seed=1), mask(8, 100, position=8),
        mask(8, 100, position=2**32), mask(8, 100, position=2**53),
    ]  # fmt: skip
    for number, one in enumerate(masks):
        for other in masks[:number]:
            assert 0.4 < np.mean(one != other) < 0.6


def test_masks_depend_on_nothing_but_layer_seed_and_position() -> None:
    tf.random.set_seed(1)
    expected = mask(8, 100, position=24)
    tf.random.set_seed(2)
    np.testing.assert_array_equal(mask(8, 100, position=24), expected)
    layer = Dropout(0.5, name="dropout_1")
    for step in (3, 4):  # the position says all that the step does
        again = layer(tf.ones([8, 100]), training=True, key=Key(0, tf.constant(step), tf.constant(24, tf.int64)))
        np.testing.assert_array_equal(again.numpy() > 0, expected)


@hypothesis.given(
    cuts=st.lists(st.integers(0, 12), max_size=3), position=st.integers(0, 2**40), numbers=st.integers(1, 20)
)
@hypothesis.settings(max_examples=30)
def test_a_divided_batch_has_the_masks_of_the_whole(cuts: list[int], position: int, numbers: int) -> None:
    whole = mask(12, numbers, position=position)
    edges = [0, *sorted(cuts), 12]
    parts = [mask(end - start, numbers, position=position + start) for start, end in itertools.pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("examples", [None, 9], ids=["unknown_size", "known_size"])
@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16], ids=lambda dtype: dtype.name)
def test_graphs_plain_and_fused_have_the_mask_of_eager_calls_forward_and_backward(
    examples: int | None, dtype: tf.DType
) -> None:
    def run(x: tf.Tensor, position: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = dropped(x, 0.3, position=position)
        return y, tape.gradient(y, x)

    specs = [tf.TensorSpec([examples, 33, 3], dtype), tf.TensorSpec([], tf.int64)]
    x, position = tf.ones([9, 33, 3], dtype), tf.constant(2**40, tf.int64)
    for result in (*run(x, position), *tf.function(run, input_signature=specs)(x, position)):
        assert result.dtype == dtype
        np.testing.assert_array_equal(tf.cast(result, tf.float32) > 0, mask(9, 33, 3, rate=0.3, position=2**40))
        assert len(np.unique(tf.cast(result, tf.float32))) == 2


@each_rate
def test_bfloat16_has_the_mask_of_float32_and_its_scale_rounded(rate: float) -> None:
    low, full = (dropped(tf.ones([20, 333], dtype), rate) for dtype in (tf.bfloat16, tf.float32))
    assert low.dtype == tf.bfloat16
    np.testing.assert_array_equal(tf.cast(low, tf.float32), tf.cast(tf.cast(full, tf.bfloat16), tf.float32))


@pytest.mark.parametrize(("rate", "training"), [(0.0, True), (0.5, False)])
def test_where_nothing_is_dropped_no_operation_is_left(rate: float, training: bool) -> None:
    layer = Dropout(rate, name="dropout_1")
    traced = tf.function(lambda x: layer(x, training=training)).get_concrete_function(tf.TensorSpec([None, 5]))
    assert {operation.type for operation in traced.graph.get_operations()} == {"Placeholder", "Identity"}
    x = tf.random.stateless_normal([3, 5], [1, 2])
    assert layer(x, training=training) is x


@pytest.mark.parametrize("compiled", [False, True])
def test_a_rate_that_rounds_to_zero_keeps_everything(compiled: bool) -> None:
    x = tf.random.stateless_normal([1000, 500], [1, 2])
    call = tf.function(dropped) if compiled else dropped
    np.testing.assert_array_equal(call(x, 2**-34), x)


def test_one_trace_serves_every_size_and_position() -> None:
    layer = Dropout(0.5, name="dropout_1")
    specs = [tf.TensorSpec([None, 3, 5]), tf.TensorSpec([], tf.int64)]
    call = tf.function(lambda x, position: layer(x, training=True, key=Key(0, 0, position)), input_signature=specs)
    for size, position in [(1, 0), (4, 2**33), (0, 5)]:
        result = call(tf.ones([size, 3, 5]), tf.constant(position, tf.int64))
        np.testing.assert_array_equal(result.numpy() > 0, mask(size, 3, 5, position=position))
    assert call.experimental_get_tracing_count() == 1


def test_it_has_no_variables() -> None:
    assert named_variables(Dropout(0.5, name="dropout_1")) == {}


def test_training_without_a_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="Layer 'dropout_1' draws at random: call the model with `key`"):
        Dropout(0.5, name="dropout_1")(tf.ones([2, 3]), training=True)


def test_an_unknown_size_is_refused() -> None:
    traced = tf.function(dropped, autograph=False)
    with pytest.raises(ShapeError, match=r"takes x whose dimensions are known except N. Received \(None, None\)"):
        traced.get_concrete_function(tf.TensorSpec([None, None]))


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan"), float("inf")])
def test_a_rate_out_of_range_is_refused(rate: float) -> None:
    with pytest.raises(ConfigError, match=r"`dropout` must be at least 0 and below 1. Received"):
        Dropout(rate, name="dropout_1")
