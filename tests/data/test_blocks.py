"""The shuffle of blocks: each example once an epoch, few shards at a time, a function of (seed, position)."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcore.data.augmentation.draws import Draws
from tfcore.data.batches import Examples, TrainingBatches
from tfcore.data.dataset import Split
from tfcore.data.order import Blocks, indices
from tfcore.seeds import Key


def sequence(blocks: Blocks, count: int, *, seed: int = 1, first: int = 0) -> np.ndarray:
    position = tf.constant(first, tf.int64)
    compute = tf.function(lambda: indices(seed, position, count, int(blocks.sizes.sum()), blocks), autograph=False)
    return (compute() if count > 1000 else indices(seed, position, count, int(blocks.sizes.sum()), blocks)).numpy()


def shards(blocks: Blocks, places: np.ndarray) -> np.ndarray:
    return np.searchsorted(np.cumsum(blocks.sizes), places, side="right")


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    at_once=st.integers(1, 14),
    seed=st.integers(0, 2**63),
    first_epoch=st.sampled_from([0, 1, 10**9]),
)
def test_an_epoch_has_each_example_once_and_few_shards_at_a_time(
    sizes: list[int], at_once: int, seed: int, first_epoch: int
) -> None:
    blocks, total = Blocks(np.array(sizes), at_once), sum(sizes)
    epochs = sequence(blocks, 2 * total, seed=seed, first=first_epoch * total).reshape(2, total)
    for epoch in epochs:
        assert sorted(epoch) == list(range(total))
        found = shards(blocks, epoch)
        opened = {shard: (np.argmax(found == shard), total - np.argmax(found[::-1] == shard)) for shard in set(found)}
        open_at = [sum(start <= place < end for start, end in opened.values()) for place in range(total)]
        assert max(open_at) <= at_once


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, 46), min_size=1, max_size=5))
def test_the_order_does_not_depend_on_the_cuts(cuts: list[int]) -> None:
    blocks = Blocks(np.array([3, 1, 5, 2, 4, 7, 1]), 3)
    edges = [0, *sorted(set(cuts) - {0}), 60]
    parts = [sequence(blocks, end - start, first=start) for start, end in pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate(parts), sequence(blocks, 60))


@pytest.mark.parametrize("size", [2**16 + 1, 2**16])
def test_sizes_at_which_the_op_repeats_an_index(size: int) -> None:
    blocks = Blocks(np.array([size, 5]), 1)
    assert len(np.unique(sequence(blocks, size + 5))) == size + 5


def test_groups_are_other_shards_in_each_epoch() -> None:
    blocks, epochs = Blocks(np.full(6, 4), 2), 200
    found = shards(blocks, sequence(blocks, 24 * epochs)).reshape(epochs, 3, 8)
    groups = Counter(tuple(sorted(set(group))) for epoch in found for group in epoch)
    assert len(groups) == 15  # all pairs of six shards
    assert min(groups.values()) > 15  # of 40 each
    assert max(groups.values()) < 75


def test_places_inside_a_group_are_uniform() -> None:
    blocks, epochs = Blocks(np.full(4, 3), 2), 300
    found = sequence(blocks, 12 * epochs).reshape(epochs, 12)
    counts = np.zeros((12, 12), int)
    for epoch in found:
        counts[epoch, np.arange(12)] += 1
    assert counts.min() > 6  # of 25 each
    assert counts.max() < 55


def test_seeds_and_epochs_differ() -> None:
    blocks = Blocks(np.full(10, 10), 3)
    one, two = sequence(blocks, 200).reshape(2, 100)
    assert (one == two).mean() < 0.1
    assert (one == sequence(blocks, 100, seed=2)).mean() < 0.1


def test_batches_and_draws_follow_the_blocks() -> None:
    labels = np.arange(23, dtype=np.int32)
    blocks = Blocks(np.array([3, 1, 5, 2, 4, 7, 1]), 3)
    examples = Examples(Split(np.zeros((23, 1, 1, 1), np.uint8), labels).batch_reader(), blocks=blocks)
    batches = TrainingBatches(examples, batch_size=5, seed=1)
    _, found = next(batches.from_step(4))
    np.testing.assert_array_equal(np.ravel(found), sequence(blocks, found.shape[0] * 5, first=20))
    assert batches.numbers(4) == sequence(blocks, 5, first=20).tolist()
    draws = Draws(Key(1, 4, tf.constant(20, tf.int64)), "a", count=5, batch_size=5, examples=23, blocks=blocks)
    assert draws.numbers.numpy().tolist() == batches.numbers(4)


def test_the_rows_of_the_next_block_are_told_ahead() -> None:
    labels, blocks, told = np.arange(40, dtype=np.int32), Blocks(np.full(8, 5), 2), []

    def note(rows: tf.Tensor) -> tf.Tensor:
        told.append(rows.numpy())
        return tf.zeros([], tf.int64)

    reader = Split(np.zeros((50, 1, 1, 1), np.uint8), np.zeros(50, np.int32)).batch_reader()
    examples = Examples(reader, labels + 10, blocks=blocks, read_ahead=note)
    np.testing.assert_array_equal(examples.in_order(1, tf.constant(35, tf.int64), 7), sequence(blocks, 7, first=35))
    np.testing.assert_array_equal(told, [sequence(blocks, 7, first=45) + 10])


def test_the_cost_does_not_grow_with_the_examples() -> None:
    blocks = Blocks(np.full(1000, 10**6), 20)
    found = sequence(blocks, 256, first=123_456_789_012)
    assert len(set(found)) == 256
    assert len(set(shards(blocks, found))) <= 20
