"""Rates that fall as an exponential, a power or a straight line."""

from dataclasses import dataclass

import tensorflow as tf

from tfcore import checks
from tfcore.schedules.base import progress


@dataclass(frozen=True)
class Exponential:
    """A rate that falls by the same proportion at every step.

        rate(t) = learning_rate · factor^(t / decay_steps)

    Keras' `ExponentialDecay` with `staircase=False`; computed in float64.

    Args:
        learning_rate: above 0.
        decay_steps: steps in which the rate is multiplied by `factor` once, at least 1.
        factor: above 0; below 1 for a falling rate.

    Raises:
        ConfigError: an argument is out of range.
    """

    learning_rate: float
    decay_steps: int
    factor: float

    def __post_init__(self) -> None:
        checks.positive("learning_rate", self.learning_rate)
        checks.positive_integer("decay_steps", self.decay_steps)
        checks.positive("factor", self.factor)

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Evaluates the formula in float64 and rounds once."""
        periods = tf.cast(step, tf.float64) / self.decay_steps
        return tf.cast(self.learning_rate * tf.pow(tf.constant(self.factor, tf.float64), periods), tf.float32)


@dataclass(frozen=True)
class Polynomial:
    """A rate that falls to its end value as a power of the remaining steps.

        rate(t) = end + (learning_rate - end) · (1 - min(t, decay_steps) / decay_steps)^power

    Keras' `PolynomialDecay` with `cycle=False`, and PyTorch's `PolynomialLR` where the end is 0. Past `decay_steps` the
    rate stays at its end value.

    Args:
        learning_rate: above 0.
        decay_steps: steps until the end, at least 1.
        power: above 0; 1 is a straight line.
        end_learning_rate: at least 0.

    Raises:
        ConfigError: an argument is out of range.
    """

    learning_rate: float
    decay_steps: int
    power: float
    end_learning_rate: float

    def __post_init__(self) -> None:
        checks.positive("learning_rate", self.learning_rate)
        checks.positive_integer("decay_steps", self.decay_steps)
        checks.positive("power", self.power)
        checks.not_negative("end_learning_rate", self.end_learning_rate)

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Evaluates the formula in float64 and rounds once."""
        left = tf.pow(1 - progress(step, self.decay_steps), self.power)
        return tf.cast(self.end_learning_rate + (self.learning_rate - self.end_learning_rate) * left, tf.float32)


@dataclass(frozen=True)
class Trapezoid:
    """A rate that is constant and then falls along a straight line: with a warm-up, a trapezoid.

        rate(t) = end + (learning_rate - end) · min(1, (1 - p) / cooldown_share),  p = min(t, decay_steps) / decay_steps

    Known as warm-up–stable–decay; the rise is that of `WarmUp(Trapezoid(…), warmup_steps)`. Hu et al. let the rate fall
    exponentially instead, over a tenth of the run; Hägele et al. compare lengths and shapes of the fall. Past
    `decay_steps` the rate stays at its end value.

    Args:
        learning_rate: of the flat part, above 0.
        decay_steps: steps until the end of the fall, at least 1.
        cooldown_share: share of `decay_steps`, the last one, in which the rate falls; above 0 and below 1.
        end_learning_rate: at least 0.

    Raises:
        ConfigError: an argument is out of range.

    Source: Zhai et al. 2021, arXiv 2106.04560, section 3.5; Hu et al. 2024, arXiv 2404.06395, section 4; Hägele et al.
    2024, arXiv 2405.18392, section 3 (linear cooldown).
    """

    learning_rate: float
    decay_steps: int
    cooldown_share: float
    end_learning_rate: float

    def __post_init__(self) -> None:
        checks.positive("learning_rate", self.learning_rate)
        checks.positive_integer("decay_steps", self.decay_steps)
        checks.share("cooldown_share", self.cooldown_share)
        checks.not_negative("end_learning_rate", self.end_learning_rate)

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Evaluates the formula in float64 and rounds once."""
        left = tf.minimum((1 - progress(step, self.decay_steps)) / self.cooldown_share, 1)
        return tf.cast(self.end_learning_rate + (self.learning_rate - self.end_learning_rate) * left, tf.float32)
