"""The order of examples: a pure function of (seed, step), computed in the memory of one batch.

An epoch is a permutation of all examples keyed by (seed, epoch). Epochs are laid end to end: position p of the endless
sequence is place p mod N of epoch p div N, and step t takes positions tB … tB + B - 1. So batches are never short, no
example is dropped, a run resumes mid-epoch from one integer, and nothing is shuffled in a buffer.
"""

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfcore import seeds

ALGORITHM = "index cipher of 16 rounds, BLAKE2b keys"  # rename it with every change of the order
_ROUNDS = 16  # 4, the op's public default, makes consecutive epochs almost shifted copies of each other
# The op's cipher works on an even number of bits. Where N - 1 is an even power of two it returns one index twice.
_BROKEN_SIZES = frozenset(2**bits + 1 for bits in range(16, 63, 2))


def indices(
    seed: int, first_position: tf.Tensor, count: int, examples: int, rows: NDArray[np.int64] | None = None
) -> tf.Tensor:
    """Returns the examples at positions `first_position … first_position + count - 1` of the endless sequence.

    Args:
        seed: the run's seed.
        first_position: int64 scalar tensor, at least 0.
        count: number of positions, at least 1.
        examples: N, the number of examples in an epoch, at least 1.
        rows: those of the `count` positions that are wanted; None for all.

    Returns:
        int64 `[count]`, or one for each of `rows`, each in [0, N).
    """
    if examples == 1:
        return tf.zeros([count if rows is None else len(rows)], tf.int64)
    positions = first_position + (tf.range(count, dtype=tf.int64) if rows is None else rows)
    first_epoch = first_position // examples
    most_epochs = 1 + -(-count // examples)  # that begin or end in `count` positions
    epochs = first_epoch + tf.range(most_epochs, dtype=tf.int64)
    keys = tf.map_fn(lambda epoch: _epoch_key(seed, epoch), epochs, fn_output_signature=tf.TensorSpec([3], tf.int32))
    return _permuted(positions % examples, tf.gather(keys, positions // examples - first_epoch), examples)


def _epoch_key(seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """Mixes seed and epoch into three words: the op's cipher is weak where keys differ in few bits."""
    low, high = seeds.words(seed, "order")
    mixed = tf.stack([tf.cast(low, tf.int64) * 2**32 + (high % 2**32), epoch])
    return tf.random.stateless_uniform([3], seed=mixed, minval=None, maxval=None, dtype=tf.int32)


def _permuted(places: tf.Tensor, keys: tf.Tensor, examples: int) -> tf.Tensor:
    """Permutes each place `[n]` by its key `[n, 3]`."""
    if examples not in _BROKEN_SIZES:
        return _shuffle_op(places, keys, examples)
    # Permutes one place more, and replaces the index that does not exist by its image.
    shuffled = _shuffle_op(places, keys, examples + 1)
    return tf.where(shuffled == examples, _shuffle_op(shuffled, keys, examples + 1), shuffled)


def _shuffle_op(places: tf.Tensor, keys: tf.Tensor, examples: int) -> tf.Tensor:
    return tf.raw_ops.RandomIndexShuffle(
        index=places, seed=keys, max_index=tf.constant(examples - 1, tf.int64), rounds=_ROUNDS
    )
