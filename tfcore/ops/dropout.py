"""Dropout with a mask hashed from each element's index, and recomputed in the backward pass."""

import math
from typing import Any

import tensorflow as tf

from tfcore.ops.fused import fused, with_gradient
from tfcore.ops.words import mixed

LEVELS = 2**32  # number of values of a random word


def kept_levels(rate: float) -> int:
    """The number of hash values that keep an element: at least 1, and all `LEVELS` where the rate rounds to 0."""
    return max(1, round((1 - rate) * LEVELS))


def dropout(x: tf.Tensor, words: tf.Tensor, rate: float) -> tf.Tensor:
    """y = x · LEVELS / kept_levels where hash(index) < kept_levels, else 0.

    The hash of an element's index e within its example, from the example's two random words a and b:

        h = e · 0x9E3779B1 + a
        h = (h ^ h >> 16) · 0x7FEB352D ^ b
        h = (h ^ h >> 15) · 0x846CA68B
        h ^ h >> 16                                     all modulo 2^32

    Args:
        x: [N, …], any floating dtype; every dimension except N is known.
        words: uint32 [N, 2].
        rate: fraction that is dropped, 0 <= rate < 1.

    Source of the constants: Knuth, The Art of Computer Programming, 6.4 (the multiplier, made odd) and Wellons'
        `lowbias32`, https://nullprogram.com/blog/2018/07/31, whose rounds are used here.
    """
    kept = kept_levels(rate)
    return _dropped(x, words, kept) if kept < LEVELS else x


def relu_dropout(x: tf.Tensor, words: tf.Tensor, rate: float) -> tf.Tensor:
    """dropout(relu(x)), in one pass forward and one backward; arguments as for `dropout`."""
    kept = kept_levels(rate)
    return _dropped_where_active(x, words, kept) if kept < LEVELS else tf.nn.relu(x)


def drop_examples(x: tf.Tensor, words: tf.Tensor, rate: float) -> tf.Tensor:
    """Whole examples of x, dropped or scaled as `dropout` does with elements: the hash is that of index 0.

    One pass over x; what is not a number stays so, in dropped examples too.
    """
    kept = kept_levels(rate)
    if kept == LEVELS:
        return x
    one_each = tf.TensorShape([None, *[1] * (x.shape.rank - 1)])
    factor = tf.where(_is_kept(words, one_each, kept), LEVELS / kept, 0.0)
    return x * tf.cast(factor, x.dtype)


@with_gradient
def _dropped(x: tf.Tensor, words: tf.Tensor, kept: int) -> Any:
    return _masked(x, words, kept), lambda upstream: (_masked(upstream, words, kept), None)


@with_gradient
def _dropped_where_active(x: tf.Tensor, words: tf.Tensor, kept: int) -> Any:
    return _masked_where_active(x, words, x, kept), lambda upstream: (
        _masked_where_active(upstream, words, x, kept),
        None,
    )


@fused
def _masked(values: tf.Tensor, words: tf.Tensor, kept: int) -> tf.Tensor:
    """Scales the kept values and sets the others to 0."""
    return _scaled_where(_is_kept(words, values.shape, kept), values, kept)


@fused
def _masked_where_active(values: tf.Tensor, words: tf.Tensor, x: tf.Tensor, kept: int) -> tf.Tensor:
    """Scales the values that are kept and whose x is above 0, and sets the others to 0.

    NaN passes, and so does the dtype's lowest value, which is max pooling's result for a window of NaN: otherwise the
    loss of a model whose weights have diverged could stay finite.
    """
    active = tf.logical_or(tf.logical_not(x <= 0), x <= x.dtype.min)
    return _scaled_where(tf.logical_and(_is_kept(words, values.shape, kept), active), values, kept)


def _scaled_where(passed: tf.Tensor, values: tf.Tensor, kept: int) -> tf.Tensor:
    return tf.where(passed, values * tf.constant(LEVELS / kept, values.dtype), tf.zeros([], values.dtype))


def _is_kept(words: tf.Tensor, shape: tf.TensorShape, kept: int) -> tf.Tensor:
    """Tells whether the hash of each index is below `kept`, bool [N, …]."""
    place = tf.cast(tf.reshape(tf.range(math.prod(shape[1:])), [1, *shape[1:]]), tf.uint32)
    a, b = (tf.reshape(words[:, word], [-1, *[1] * (len(shape) - 1)]) for word in (0, 1))
    h = place * _u32(0x9E3779B1) + a
    h = tf.bitwise.bitwise_xor(mixed(h, 16) * _u32(0x7FEB352D), b)
    h = mixed(h, 15) * _u32(0x846CA68B)
    return mixed(h, 16) <= _u32(kept - 1)


def _u32(value: int) -> tf.Tensor:
    return tf.constant(value, tf.uint32)
