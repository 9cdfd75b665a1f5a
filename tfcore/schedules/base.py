"""What a schedule is, and the completed share of its steps."""

from typing import Protocol

import tensorflow as tf


class Schedule(Protocol):
    """A learning rate as a function of the step."""

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Computes the rate, a float32 scalar, of the update after `step` (int64 scalar) completed ones."""


def progress(step: tf.Tensor, steps: int) -> tf.Tensor:
    """The completed share of `steps`, float64 in [0, 1]."""
    return tf.cast(tf.minimum(tf.convert_to_tensor(step, tf.int64), steps), tf.float64) / steps
