"""Averages of the weights: their updates."""

import math
from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple, Self

import tensorflow as tf

from tfcore.errors import ConfigError

Steps = int | Fraction  # an epoch of N examples is N/B steps
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


class EqualAverage(NamedTuple):
    """Settings of stochastic weight averaging: the weights after updates ceil(s + k·c), k = 0, 1, … count alike."""

    from_steps: Fraction  # s
    every_steps: Fraction  # c

    @classmethod
    def given(cls, from_steps: Steps | None, every_steps: Steps | None) -> Self | None:
        """Checks the chain's arguments; None for no such average.

        Raises:
            ConfigError: an argument out of range, or `every_steps` without `from_steps`.
        """
        if from_steps is None:
            if every_steps is not None:
                raise ConfigError("`average_every_steps` belongs to `average_from_steps`, which is not given.")
            return None
        every_steps = 1 if every_steps is None else every_steps
        for name, steps in (("average_from_steps", from_steps), ("average_every_steps", every_steps)):
            if not 0 < steps < math.inf:
                raise ConfigError(f"`{name}` must be above 0. Received {steps}.")
        return cls(Fraction(from_steps), Fraction(every_steps))

    def models_after(self, updates: tf.Tensor) -> tf.Tensor:
        """Returns how many weights are in the average after so many updates: 0 before s. Scalars, int64."""
        common = math.lcm(self.from_steps.denominator, self.every_steps.denominator)  # exact, in whole numbers
        start, every = int(self.from_steps * common), int(self.every_steps * common)
        return tf.maximum(tf.math.floordiv(updates * common - start, every) + 1, 0)


def update_equal_averages(pairs: Pairs, settings: EqualAverage, step: tf.Tensor) -> None:
    """Takes the updated parameters into the equal-weight average, if they are due.

        a ← w                        up to update s, the first of the average
        a ← a + (w - a) / (n + 1)    after updates ceil(s + n·c), n = 1, 2, …

    The average of n + 1 weights, as in the paper, whose formula (a·n + w) / (n + 1) rounds twice. Before s the average
    is the weights themselves, so that a checkpoint always holds a usable one.

    Args:
        pairs: each parameter with its average.
        settings: s and c.
        step: completed updates before this one.

    Source: Izmailov, Podoprikhin, Garipov, Vetrov & Wilson 2018, arXiv 1803.05407, algorithm 1.
    """
    pairs = list(pairs)
    before, now = settings.models_after(step), settings.models_after(step + 1)

    def take_in() -> tf.Tensor:
        share = tf.cast(1 / tf.maximum(now, 1), tf.float32)
        for parameter, average in pairs:
            average.assign(tf.where(now <= 1, parameter, average + share * (parameter - average)))
        return tf.constant(True)

    tf.cond((now > before) | tf.equal(now, 0), take_in, lambda: tf.constant(False))
