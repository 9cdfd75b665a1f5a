"""The moving average of the weights: its update, and the exchange with the weights for an evaluation."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import tensorflow as tf

Pairs = Iterable[tuple[tf.Variable, tf.Variable]]  # each parameter with its average


def average_share(average_decay: float, step: tf.Tensor) -> tf.Tensor:
    """1 - d_t, what the new weights weigh in the average after the update that follows `step` completed ones.

    With d_t = min(d, (1 + t) / (10 + t)) that is max(1 - d, 9 / (10 + t)), where nothing cancels. Scalar, float32.
    """
    return tf.cast(tf.maximum(9 / (10 + tf.cast(step, tf.float64)), 1 - average_decay), tf.float32)


def update_averages(pairs: Pairs, average_decay: float, step: tf.Tensor) -> None:
    """Moves every average towards its parameter, which has been updated.

        a ← a + (1 - d_t) · (w - a),  d_t = min(d, (1 + t) / (10 + t)) after t completed updates

    As d_t is small at first, the weights that an average starts at are soon forgotten: with d = 0.999 they weigh 1e-5
    after 10 updates. This is the average of `tf.train.ExponentialMovingAverage(d, num_updates=t)`. Keras' `use_ema`
    starts at the weights after the first update and has d at once.
    """
    share = average_share(average_decay, step)
    for parameter, average in pairs:
        average.assign_add(share * (parameter - average))


@contextmanager
def exchanged(pairs: Pairs) -> Iterator[None]:
    """While it lasts, parameters hold the averages and averages the weights; pair by pair, to need little memory."""
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
