"""The order is one permutation an epoch, a function of (seed, position) alone, and as random as a true shuffle."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcore.data import order

RAW_OP_FAILS = 65_537  # N - 1 is an even power of two
MANY = 50_000
EPOCHS = 4
BINS = 20
SEEDS = st.integers(0, 2**63 - 1)
Order = Callable[[int, int], np.ndarray]  # (seed, epoch) -> [MANY]


def indices(seed: int, first_position: int, count: int, examples: int) -> np.ndarray:
    return order.indices(seed, tf.constant(first_position, tf.int64), count, examples).numpy()


def epoch(seed: int, number: int, examples: int) -> np.ndarray:
    return indices(seed, number * examples, examples, examples)


@given(examples=st.integers(1, 400), seed=SEEDS, number=st.integers(0, 10**9))
def test_every_epoch_visits_every_index_once(examples: int, seed: int, number: int) -> None:
    visited = epoch(seed, number, examples)
    assert visited.dtype == np.int64
    np.testing.assert_array_equal(np.sort(visited), np.arange(examples))


def test_the_raw_op_repeats_an_index_at_some_sizes() -> None:
    places = tf.range(RAW_OP_FAILS, dtype=tf.int64)
    shuffled = tf.raw_ops.RandomIndexShuffle(index=places, seed=[1, 2, 3], max_index=places[-1], rounds=16)
    assert len(np.unique(shuffled)) == RAW_OP_FAILS - 1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("examples", [RAW_OP_FAILS - 1, RAW_OP_FAILS, RAW_OP_FAILS + 1])
def test_no_index_is_repeated_where_the_raw_op_fails(examples: int, seed: int) -> None:
    np.testing.assert_array_equal(np.sort(epoch(seed, 1, examples)), np.arange(examples))


@pytest.mark.thorough
@settings(max_examples=50)
@given(examples=st.integers(1, 60), batch_size=st.integers(1, 40), start=st.integers(0, 10**6), seed=SEEDS)
def test_batches_laid_end_to_end_are_the_epochs_laid_end_to_end(
    examples: int, batch_size: int, start: int, seed: int
) -> None:
    first = start * examples  # any epoch may be the first
    batches = [indices(seed, first + step * batch_size, batch_size, examples) for step in range(4)]
    epochs = [epoch(seed, start + number, examples) for number in range(-(-4 * batch_size // examples))]
    np.testing.assert_array_equal(np.concatenate(batches), np.concatenate(epochs)[: 4 * batch_size])


@settings(max_examples=50)
@given(examples=st.integers(1, 400), count=st.integers(2, 1000), seed=SEEDS, data=st.data())
def test_a_resumed_order_is_the_tail_of_the_whole(examples: int, count: int, seed: int, data: st.DataObject) -> None:
    resumed = data.draw(st.integers(1, count - 1))
    whole = indices(seed, 0, count, examples)
    np.testing.assert_array_equal(indices(seed, resumed, count - resumed, examples), whole[resumed:])


def test_the_order_is_the_same_in_a_graph() -> None:
    compiled = tf.function(lambda position: order.indices(3, position, 25, 10))
    np.testing.assert_array_equal(compiled(tf.constant(17, tf.int64)), indices(3, 17, 25, 10))


def test_seeds_and_epochs_have_orders_of_their_own() -> None:
    orders = [epoch(seed, number, 1000) for seed in (0, 1, 2**32, 2**32 + 1) for number in (0, 1, 2, 2**32)]
    for i, one in enumerate(orders):
        for other in orders[:i]:
            assert (one == other).sum() < 12  # of two true permutations one place agrees on average


def test_the_pinned_order() -> None:
    # Changing these numbers changes the results of every seed, and breaks the resuming of every run.
    pinned = [0, 2, 1, 4, 8, 3, 9, 7, 6, 5, 0, 7, 9, 3, 6, 8, 1, 5, 2, 4]
    assert indices(0, 0, 20, 10).tolist() == pinned
    assert indices(7, 8, 8, 5).tolist() == [0, 3, 4, 0, 1, 3, 2, 0]


def ours(seed: int, number: int) -> np.ndarray:
    return epoch(seed, number, MANY)


def public_function(seed: int, number: int) -> np.ndarray:
    places = tf.range(MANY, dtype=tf.int64)
    return tf.random.experimental.index_shuffle(places, seed=[seed, number], max_index=MANY - 1).numpy()


def true_permutation(seed: int, number: int) -> np.ndarray:
    return np.random.default_rng((seed, number)).permutation(MANY)


def chi_square_z(differences: np.ndarray) -> float:
    """Computes by how many sigmas the differences modulo MANY deviate from an even spread over the bins."""
    counts = np.bincount(differences % MANY * BINS // MANY, minlength=BINS)
    expected = len(differences) / BINS
    return (((counts - expected) ** 2 / expected).sum() - (BINS - 1)) / np.sqrt(2 * (BINS - 1))


def neighbour_z(take: Order, seed: int) -> float:
    return chi_square_z(np.diff(take(seed, 0)))


def next_epoch_z(take: Order, seed: int) -> float:
    return chi_square_z(take(seed, 1) - take(seed, 0))


def class_count_variance(take: Order, seed: int) -> float:
    """Tests how often a class occurs in a batch of 100, when the examples are sorted by ten classes."""
    classes = np.stack([take(seed, number) for number in range(EPOCHS)]) // (MANY // 10)
    counts = [np.bincount(batch, minlength=10) for batch in classes.reshape(-1, 100)]
    return float(np.square(np.array(counts) - 10).mean())


def class_count_z(take: Order, seed: int) -> float:
    variances = [class_count_variance(true_permutation, sample) for sample in range(1000, 1020)]
    return (class_count_variance(take, seed) - np.mean(variances)) / np.std(variances, ddof=1)


STATISTICS = [neighbour_z, next_epoch_z, class_count_z]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("statistic", STATISTICS)
def test_an_order_is_as_random_as_a_true_permutation(statistic: Callable[[Order, int], float], seed: int) -> None:
    assert abs(statistic(ours, seed)) < 5
    assert abs(statistic(true_permutation, seed)) < 5


@pytest.mark.parametrize("statistic", STATISTICS)
def test_the_public_index_shuffle_fails_the_same_test(statistic: Callable[[Order, int], float]) -> None:
    assert abs(statistic(public_function, 0)) > 5


@pytest.mark.thorough
def test_in_a_small_set_every_index_comes_to_every_place() -> None:
    examples, epochs = 10, 1000
    orders = indices(0, 0, examples * epochs, examples).reshape(epochs, examples)
    counts = np.stack([np.bincount(orders[:, place], minlength=examples) for place in range(examples)])
    expected, freedom = epochs / examples, (examples - 1) ** 2
    assert abs(((counts - expected) ** 2 / expected).sum() - freedom) < 5 * np.sqrt(2 * freedom)
