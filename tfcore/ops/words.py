"""Random words of examples, and a round of the hash that spreads them."""

from typing import Any

import tensorflow as tf

from tfcore import seeds
from tfcore.seeds import Key

_PHILOX = 1
_WORDS_PER_BLOCK = 4


def example_words(key: Key, count: Any, *purpose: str) -> tf.Tensor:
    """Draws the words of `count` examples from the key's position on, uint32 `[count, 4]`.

    Philox with (seed, purpose) as the key and the example's position as the counter: one block an example.
    """
    return tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=[count, _WORDS_PER_BLOCK],
        key=[seeds.integer(key.seed, *purpose)],
        counter=[tf.cast(key.position, tf.uint64), tf.zeros([], tf.uint64)],
        alg=_PHILOX,
        dtype=tf.uint32,
    )


def mixed(h: tf.Tensor, bits: int) -> tf.Tensor:
    """Computes h ^ h >> bits of uint32."""
    return tf.bitwise.bitwise_xor(h, tf.bitwise.right_shift(h, tf.constant(bits, tf.uint32)))
