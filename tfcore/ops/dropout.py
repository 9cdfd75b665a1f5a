"""Dropout with a mask that is worked out from the place of each number, and again in the backward pass."""

import math
from typing import Any

import tensorflow as tf

from tfcore.ops.fused import fused, with_gradient

LEVELS = 2**32  # of a random number


def kept_levels(rate: float) -> int:
    """How many of `LEVELS` keep what they decide over: at least one, and all of them where the rate rounds to 0."""
    return max(1, round((1 - rate) * LEVELS))


def dropout(x: tf.Tensor, words: tf.Tensor, rate: float) -> tf.Tensor:
    """y = x · LEVELS / kept_levels where hash(place) < kept_levels, else 0.

    The hash of a number's place e within its example, from two random words a and b of the example:

        h = e · 0x9E3779B1 + a
        h = (h ^ h >> 16) · 0x7FEB352D ^ b
        h = (h ^ h >> 15) · 0x846CA68B
        h ^ h >> 16                                     all modulo 2^32

    Args:
        x: [N, …], any floating dtype; sizes but N known.
        words: uint32 [N, 2].
        rate: share that is dropped, 0 <= rate < 1.

    Source of the constants: Knuth, The Art of Computer Programming, 6.4 (the multiplier, made odd) and Wellons'
        `lowbias32`, https://nullprogram.com/blog/2018/07/31, whose rounds these are.
    """
    kept = kept_levels(rate)
    return _dropped(x, words, kept) if kept < LEVELS else x


def relu_dropout(x: tf.Tensor, words: tf.Tensor, rate: float) -> tf.Tensor:
    """dropout(relu(x)), forward and backward in one pass each; arguments as for `dropout`."""
    kept = kept_levels(rate)
    return _dropped_where_active(x, words, kept) if kept < LEVELS else tf.nn.relu(x)


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
    """The values scaled where they are kept, else 0."""
    return _scaled_where(_is_kept(words, values.shape, kept), values, kept)


@fused
def _masked_where_active(values: tf.Tensor, words: tf.Tensor, x: tf.Tensor, kept: int) -> tf.Tensor:
    """The values scaled where they are kept and x is above 0, else 0.

    What is not a number passes too, so that weights which have diverged show in the loss: NaN, and the lowest number,
    which is what max pooling makes of a window of NaN.
    """
    active = tf.logical_or(tf.logical_not(x <= 0), x <= x.dtype.min)
    return _scaled_where(tf.logical_and(_is_kept(words, values.shape, kept), active), values, kept)


def _scaled_where(passed: tf.Tensor, values: tf.Tensor, kept: int) -> tf.Tensor:
    return tf.where(passed, values * tf.constant(LEVELS / kept, values.dtype), tf.zeros([], values.dtype))


def _is_kept(words: tf.Tensor, shape: tf.TensorShape, kept: int) -> tf.Tensor:
    """bool [N, …]: whether the hash of each place is below `kept`."""
    place = tf.cast(tf.reshape(tf.range(math.prod(shape[1:])), [1, *shape[1:]]), tf.uint32)
    a, b = (tf.reshape(words[:, word], [-1, *[1] * (len(shape) - 1)]) for word in (0, 1))
    h = place * _u32(0x9E3779B1) + a
    h = tf.bitwise.bitwise_xor(_mixed(h, 16) * _u32(0x7FEB352D), b)
    h = _mixed(h, 15) * _u32(0x846CA68B)
    return _mixed(h, 16) <= _u32(kept - 1)


def _mixed(h: tf.Tensor, bits: int) -> tf.Tensor:
    """h ^ h >> bits."""
    return tf.bitwise.bitwise_xor(h, tf.bitwise.right_shift(h, _u32(bits)))


def _u32(value: int) -> tf.Tensor:
    return tf.constant(value, tf.uint32)
