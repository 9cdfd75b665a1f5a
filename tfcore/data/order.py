"""The order of examples: a pure function of (seed, step), computed in the memory of one batch.

An epoch is a permutation of all examples keyed by (seed, epoch). Epochs are laid end to end: position p of the endless
sequence is place p mod N of epoch p div N, and step t takes positions tB … tB + B - 1. So batches are never short, no
example is dropped, a run resumes mid-epoch from one integer, and nothing is shuffled in a buffer.
"""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfcore import seeds

ALGORITHM = "index cipher of 16 rounds, BLAKE2b keys"  # rename it with every change of the order
_ROUNDS = 16  # 4, the op's public default, makes consecutive epochs almost shifted copies of each other
# The op's cipher works on an even number of bits. Where N - 1 is an even power of two it returns one index twice.
_BROKEN_SIZES = frozenset(2**bits + 1 for bits in range(16, 63, 2))


@dataclass(frozen=True, eq=False)
class Blocks:
    """A shuffle of blocks, for data of which few shards are at hand at a time.

    In each epoch the shards are in another order; as many as are `at_once`, or one less, are a group, whose examples
    are permuted among themselves. So an epoch opens each shard once, and still has each example once.

    Args:
        sizes: int64 [K], the number of examples in each shard, at least 1.
        at_once: shards of a group.
    """

    sizes: NDArray[np.int64]
    at_once: int


def indices(seed: int, first_position: tf.Tensor, count: int, examples: int, blocks: Blocks | None = None) -> tf.Tensor:
    """Returns the examples at positions `first_position … first_position + count - 1` of the endless sequence.

    Args:
        seed: the run's seed.
        first_position: int64 scalar tensor, at least 0.
        count: number of positions, at least 1.
        examples: N, the number of examples in an epoch, at least 1.
        blocks: the shards of the examples, whose sizes sum to N; None for a permutation of all examples.

    Returns:
        int64 `[count]`, each in [0, N).
    """
    if examples == 1:
        return tf.zeros([count], tf.int64)
    positions = first_position + tf.range(count, dtype=tf.int64)
    first_epoch = first_position // examples
    most_epochs = 1 + -(-count // examples)  # that begin or end in `count` positions
    epochs = first_epoch + tf.range(most_epochs, dtype=tf.int64)
    if blocks is not None:
        return _in_blocks(seed, positions - first_epoch * examples, epochs, blocks)
    keys = tf.map_fn(lambda epoch: _epoch_key(seed, epoch), epochs, fn_output_signature=tf.TensorSpec([3], tf.int32))
    return _permuted(positions % examples, tf.gather(keys, positions // examples - first_epoch), examples)


def keyed(places: tf.Tensor, seed: int, purpose: str, examples: int) -> tf.Tensor:
    """Permutes 0 .. examples - 1 by a permutation of its own for each (seed, purpose).

    Args:
        places: int64 `[n]`, each in [0, examples).
        seed: the run's seed.
        purpose: a name for the draw.
        examples: N, at least 1.

    Returns:
        int64 `[n]`.
    """
    if examples == 1:
        return tf.zeros_like(places)
    key = tf.random.stateless_uniform([3], seed=seeds.words(seed, purpose), minval=None, maxval=None, dtype=tf.int32)
    return _permuted(places, key, examples)


def _in_blocks(seed: int, places: tf.Tensor, epochs: tf.Tensor, blocks: Blocks) -> tf.Tensor:
    """The examples at places that are counted from the beginning of the first of the epochs; see `Blocks`."""
    sizes = tf.constant(blocks.sizes, tf.int64)
    shards, groups = len(blocks.sizes), -(-len(blocks.sizes) // blocks.at_once)
    # The cipher would take longer: below 2^16 it tries again until an index is in range.
    words = _words_of_epochs(seed, "order of shards", epochs, [shards], tf.int64)
    order = tf.reshape(tf.argsort(words, stable=True), [-1])  # [E·K]
    ends = tf.cumsum(tf.gather(sizes, order))
    last_of_group = np.arange(1, groups + 1) * shards // groups - 1  # groups of equal size, or of one shard less
    last_ones = tf.range(epochs.shape[0])[:, tf.newaxis] * shards + last_of_group  # [E, groups]
    group_ends = tf.gather(ends, tf.reshape(last_ones, [-1]))
    group, start = _found(group_ends, places)
    keys = tf.reshape(_words_of_epochs(seed, "order in blocks", epochs, [groups, 3], tf.int32), [-1, 3])
    inside = _permuted_within(places - start, tf.gather(keys, group), tf.gather(group_ends, group) - start)
    turn, start_of_shard = _found(ends, start + inside)
    first_examples = tf.cumsum(sizes, exclusive=True)
    return tf.gather(first_examples, tf.gather(order, turn)) + start + inside - start_of_shard


def _found(ends: tf.Tensor, places: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The number of the run in which each place is, of runs laid end to end, and where that run starts."""
    number = tf.searchsorted(ends, places, side="right")
    return number, tf.gather(tf.concat([[0], ends], 0), number)


def _words_of_epochs(seed: int, purpose: str, epochs: tf.Tensor, shape: list[int], dtype: tf.DType) -> tf.Tensor:
    """Draws random integers for each epoch, `[E, *shape]`."""
    low, high = seeds.words(seed, purpose)
    first = tf.cast(low, tf.int64) * 2**32 + (high % 2**32)

    def of_epoch(epoch: tf.Tensor) -> tf.Tensor:
        return tf.random.stateless_uniform(shape, tf.stack([first, epoch]), None, None, dtype)

    return tf.map_fn(of_epoch, epochs, fn_output_signature=tf.TensorSpec(shape, dtype))


def _permuted_within(places: tf.Tensor, keys: tf.Tensor, sizes: tf.Tensor) -> tf.Tensor:
    """Permutes each place `[n]` by its key `[n, 3]` among as many as `sizes` `[n]` says."""
    broken = tf.reduce_any(sizes[:, tf.newaxis] == tf.constant(sorted(_BROKEN_SIZES), tf.int64), axis=1)
    largest = tf.where(broken, sizes, sizes - 1)  # as in `_permuted`

    def shuffle(index: tf.Tensor) -> tf.Tensor:
        return tf.raw_ops.RandomIndexShuffle(index=index, seed=keys, max_index=largest, rounds=_ROUNDS)

    shuffled = shuffle(places)
    is_outside = shuffled == sizes
    return tf.cond(
        tf.reduce_any(is_outside), lambda: tf.where(is_outside, shuffle(shuffled), shuffled), lambda: shuffled
    )


def _epoch_key(seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """Mixes seed and epoch into three words: the op's cipher is weak where keys differ in few bits."""
    low, high = seeds.words(seed, "order")
    mixed = tf.stack([tf.cast(low, tf.int64) * 2**32 + (high % 2**32), epoch])
    return tf.random.stateless_uniform([3], seed=mixed, minval=None, maxval=None, dtype=tf.int32)


def _permuted(places: tf.Tensor, keys: tf.Tensor, examples: int) -> tf.Tensor:
    """Permutes each place `[n]` by its key, `[n, 3]` or one for all `[3]`."""
    if examples not in _BROKEN_SIZES:
        return _shuffle_op(places, keys, examples)
    # Permutes one place more, and replaces the index that does not exist by its image.
    shuffled = _shuffle_op(places, keys, examples + 1)
    return tf.where(shuffled == examples, _shuffle_op(shuffled, keys, examples + 1), shuffled)


def _shuffle_op(places: tf.Tensor, keys: tf.Tensor, examples: int) -> tf.Tensor:
    return tf.raw_ops.RandomIndexShuffle(
        index=places, seed=keys, max_index=tf.constant(examples - 1, tf.int64), rounds=_ROUNDS
    )
