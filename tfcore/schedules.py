"""Learning rates as functions of the step: frozen dataclasses that an optimizer calls once per update.

`step` is always the number of updates completed before this one, 0 for the first. Ratios of steps are computed in
float64: float32 cannot represent every step past 2^24 and is coarse well before.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import tensorflow as tf

from tfcore import checks
from tfcore.errors import ConfigError


class Schedule(Protocol):
    """A learning rate as a function of the step."""

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Computes the rate, a float32 scalar, of the update after `step` (int64 scalar) completed ones."""


def _progress(step: tf.Tensor, steps: int) -> tf.Tensor:
    """The completed fraction of `steps`, float64 in [0, 1]."""
    return tf.cast(tf.minimum(tf.convert_to_tensor(step, tf.int64), steps), tf.float64) / steps


@dataclass(frozen=True)
class Constant:
    """A constant learning rate.

        rate(t) = learning_rate

    Args:
        learning_rate: above 0.

    Raises:
        ConfigError: the rate is out of range.
    """

    learning_rate: float

    def __post_init__(self) -> None:
        checks.positive("learning_rate", self.learning_rate)

    def __call__(self, step: tf.Tensor) -> tf.Tensor:  # noqa: ARG002 - every schedule takes the step
        """Returns a constant; nothing is computed in the graph."""
        return tf.constant(self.learning_rate, tf.float32)


@dataclass(frozen=True)
class StepWise:
    """A rate that is multiplied by the same factor at each boundary.

        rate(t) = learning_rate · factor^n,  n = the number of boundaries b with b <= t

    The first b updates have the old rate and update b + 1 the new one, as in PyTorch's `MultiStepLR`. Keras'
    `PiecewiseConstantDecay` changes one update later and takes the values instead of a factor.

    Args:
        learning_rate: above 0.
        boundaries: steps at which the rate changes, at least 1, strictly ascending.
        factor: above 0; usually 0.1.

    Raises:
        ConfigError: an argument is out of range, or the boundaries do not ascend.
    """

    learning_rate: float
    boundaries: tuple[int, ...]
    factor: float

    def __post_init__(self) -> None:
        checks.positive("learning_rate", self.learning_rate)
        checks.positive("factor", self.factor)
        for boundary in self.boundaries:
            checks.positive_integer("boundaries", boundary)
        if list(self.boundaries) != sorted(set(self.boundaries)):
            raise ConfigError(f"`boundaries` must ascend. Received {self.boundaries!r}.")

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Looks the rate up in a table computed in float64."""
        rates = tf.constant([self.learning_rate * self.factor**n for n in range(len(self.boundaries) + 1)], tf.float32)
        passed = tf.convert_to_tensor(step, tf.int64) >= tf.constant(self.boundaries, tf.int64)
        return tf.gather(rates, tf.math.count_nonzero(passed))


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
        left = tf.pow(1 - _progress(step, self.decay_steps), self.power)
        return tf.cast(self.end_learning_rate + (self.learning_rate - self.end_learning_rate) * left, tf.float32)


@dataclass(frozen=True)
class Cosine:
    """A rate that falls to its end value along half a cosine.

        rate(t) = end + (learning_rate - end) · (1 + cos(pi · min(t, decay_steps) / decay_steps)) / 2

    No restarts. Keras' `CosineDecay` takes the end value as a fraction `alpha` of the rate; PyTorch's
    `CosineAnnealingLR` rises again past its last step, where this one stays at its end value.

    Args:
        learning_rate: above 0.
        decay_steps: steps until the end, at least 1.
        end_learning_rate: at least 0.

    Raises:
        ConfigError: an argument is out of range.

    Source: Loshchilov & Hutter 2016, arXiv 1608.03983, eq. 5.
    """

    learning_rate: float
    decay_steps: int
    end_learning_rate: float

    def __post_init__(self) -> None:
        checks.positive("learning_rate", self.learning_rate)
        checks.positive_integer("decay_steps", self.decay_steps)
        checks.not_negative("end_learning_rate", self.end_learning_rate)

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Evaluates the formula in float64 and rounds once."""
        left = (1 + tf.cos(math.pi * _progress(step, self.decay_steps))) / 2
        return tf.cast(self.end_learning_rate + (self.learning_rate - self.end_learning_rate) * left, tf.float32)


@dataclass(frozen=True)
class WarmUp:
    """Scales another schedule by a factor that rises linearly over the first updates.

        rate(t) = schedule(t) · min(1, (t + 1) / warmup_steps)

    The first update has schedule(0) / warmup_steps, never zero. Update number warmup_steps (t = warmup_steps - 1) is
    the first with the full rate of the inner schedule, so the rate is continuous there. The inner schedule counts from
    step 0 of the run: the warm-up does not delay it, and a run of N steps uses `decay_steps` = N with or without a
    warm-up. Over a `Constant` the rate rises linearly.

    Args:
        schedule: the schedule to scale.
        warmup_steps: updates until the full rate, at least 1 (which has no effect).

    Raises:
        ConfigError: `warmup_steps` is out of range.

    Source: Goyal et al. 2017, arXiv 1706.02677, section 2.2 (gradual warm-up).
    """

    schedule: Schedule
    warmup_steps: int

    def __post_init__(self) -> None:
        checks.positive_integer("warmup_steps", self.warmup_steps)

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Multiplies the inner rate by the factor, which is rounded to float32 once."""
        factor = _progress(tf.convert_to_tensor(step, tf.int64) + 1, self.warmup_steps)
        return self.schedule(step) * tf.cast(factor, tf.float32)
