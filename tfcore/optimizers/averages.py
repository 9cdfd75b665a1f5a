"""Exponential moving averages of the weights: their update, and swapping them with the weights for evaluation."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import tensorflow as tf

Pairs = Iterable[tuple[tf.Variable, tf.Variable]]  # each parameter with its average


def average_share(average_decay: float, step: tf.Tensor) -> tf.Tensor:
    """Returns 1 - d_t, the share of the new weights in the average, for update number `step` + 1.

    With d_t = min(d, (1 + t) / (10 + t)) that is max(1 - d, 9 / (10 + t)), without cancellation. Scalar, float32.
    """
    return tf.cast(tf.maximum(9 / (10 + tf.cast(step, tf.float64)), 1 - average_decay), tf.float32)


def update_averages(pairs: Pairs, average_decay: float, step: tf.Tensor) -> None:
    """Moves every average towards its updated parameter.

        a ← a + (1 - d_t) · (w - a),  d_t = min(d, (1 + t) / (10 + t)) after t completed updates

    d_t is small at first, so the initial weights lose their influence quickly: with d = 0.999 their share is 1e-5
    after 10 updates. This is the average of `tf.train.ExponentialMovingAverage(d, num_updates=t)`. Keras' `use_ema`
    starts at the weights after the first update and uses d from the beginning.
    """
    share = average_share(average_decay, step)
    for parameter, average in pairs:
        average.assign_add(share * (parameter - average))


@contextmanager
def exchanged(pairs: Pairs) -> Iterator[None]:
    """Swaps parameters and averages inside the context, pair by pair to save memory."""
    pairs = list(pairs)
    _exchange(pairs)
    try:
        yield
    finally:
        _exchange(pairs)


def _exchange(pairs: Pairs) -> None:
    for parameter, average in pairs:
        weights = tf.identity(parameter)
        parameter.assign(average)
        average.assign(weights)
