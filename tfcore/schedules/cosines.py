"""Rates that follow half a cosine: once, again and again, or up and down."""

import math
from dataclasses import dataclass

import tensorflow as tf

from tfcore import checks
from tfcore.schedules.base import progress

_FAR = 2**62  # steps, more than any run has


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
        left = (1 + tf.cos(math.pi * progress(step, self.decay_steps))) / 2
        return tf.cast(self.end_learning_rate + (self.learning_rate - self.end_learning_rate) * left, tf.float32)


@dataclass(frozen=True)
class CosineRestarts:
    """A rate that falls along half a cosine again and again, each time from its full value.

        rate(t) = end + (learning_rate - end) · (1 + cos(pi · (t - start_i) / period_i)) / 2
        period_i = period_steps · period_factor^i
        start_i = period_0 + … + period_(i-1),  i the last period with start_i <= t

    The update after start_i completed ones has the full rate; the one before it is a step short of the end value, which
    the rate never reaches. PyTorch's `CosineAnnealingWarmRestarts` (T_0, T_mult, eta_min), and Keras'
    `CosineDecayRestarts` with `m_mul=1`, which takes the end value as a fraction `alpha` of the rate and whose `t_mul`
    need not be an integer. The starts are computed in integers, so no restart is late or early by rounding. To stop
    just before a restart, a run has period_0 + … + period_i steps: with a factor of 2, 1, 3 or 7 times `period_steps`.

    Args:
        learning_rate: at the start of each period, above 0.
        period_steps: length of the first period, at least 1.
        period_factor: length of a period in lengths of the one before, an integer of at least 1.
        end_learning_rate: at least 0.

    Raises:
        ConfigError: an argument is out of range.

    Source: Loshchilov & Hutter 2016, arXiv 1608.03983, section 3 and eq. 5.
    """

    learning_rate: float
    period_steps: int
    period_factor: int
    end_learning_rate: float

    def __post_init__(self) -> None:
        checks.positive("learning_rate", self.learning_rate)
        checks.positive_integer("period_steps", self.period_steps)
        checks.positive_integer("period_factor", self.period_factor)
        checks.not_negative("end_learning_rate", self.end_learning_rate)

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Evaluates the formula in float64 and rounds once."""
        step = tf.convert_to_tensor(step, tf.int64)
        start = self._start(step)
        period = self.period_steps + (self.period_factor - 1) * tf.cast(start, tf.float64)
        left = (1 + tf.cos(math.pi * (tf.cast(step - start, tf.float64) / period))) / 2
        return tf.cast(self.end_learning_rate + (self.learning_rate - self.end_learning_rate) * left, tf.float32)

    def _start(self, step: tf.Tensor) -> tf.Tensor:
        """The step at which the period of `step` began."""
        if self.period_factor == 1:
            return step - step % self.period_steps
        starts = [0]
        while (following := self.period_steps + self.period_factor * starts[-1]) < _FAR:
            starts.append(following)
        table = tf.constant(starts, tf.int64)
        return tf.reduce_max(tf.where(table <= step, table, tf.zeros_like(table)))


@dataclass(frozen=True)
class OneCycle:
    """A rate that rises along half a cosine to its peak, and falls along another to its end value.

        p = min(t, decay_steps) / decay_steps,  s = warmup_share,  start = learning_rate / start_divisor
        rate(t) = start + (learning_rate - start) · (1 + cos(pi · (p - s) / s)) / 2           where p < s
        rate(t) = end + (learning_rate - end) · (1 + cos(pi · (p - s) / (1 - s))) / 2         elsewhere

    PyTorch's `OneCycleLR` (max_lr, total_steps, pct_start, div_factor) with `anneal_strategy="cos"` and two phases, but
    for three things. Its peak is one update earlier and the update `decay_steps` - 1 has the end value, where this one
    is a step short of it. It takes the end value as a fraction `final_div_factor` of the start. Its momentum falls and
    rises against the rate, unless told not to; here it stays. The paper has straight lines of equal length up and down,
    and a further fall in the steps that are left. Keras has no such schedule. Past `decay_steps` the rate stays at its
    end value.

    Args:
        learning_rate: at the peak, above 0.
        decay_steps: steps until the end, at least 1.
        warmup_share: share of `decay_steps` in which the rate rises, above 0 and below 1; 0.3 in PyTorch.
        start_divisor: the peak in units of the first rate, at least 1; 25 in PyTorch.
        end_learning_rate: at least 0.

    Raises:
        ConfigError: an argument is out of range.

    Source: Smith & Topin 2017, arXiv 1708.07120, section 3.
    """

    learning_rate: float
    decay_steps: int
    warmup_share: float
    start_divisor: float
    end_learning_rate: float

    def __post_init__(self) -> None:
        checks.positive("learning_rate", self.learning_rate)
        checks.positive_integer("decay_steps", self.decay_steps)
        checks.share("warmup_share", self.warmup_share)
        checks.at_least_one("start_divisor", self.start_divisor)
        checks.not_negative("end_learning_rate", self.end_learning_rate)

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Evaluates the formula in float64 and rounds once."""
        past_peak = progress(step, self.decay_steps) - self.warmup_share  # below 0 before it
        rises = past_peak < 0
        shares_past_peak = past_peak / _either(rises, self.warmup_share, 1 - self.warmup_share)  # from -1 to 1
        low = _either(rises, self.learning_rate / self.start_divisor, self.end_learning_rate)
        left = (1 + tf.cos(math.pi * shares_past_peak)) / 2
        return tf.cast(low + (self.learning_rate - low) * left, tf.float32)


def _either(condition: tf.Tensor, there: float, elsewhere: float) -> tf.Tensor:
    """One of two numbers, float64."""
    return tf.where(condition, tf.constant(there, tf.float64), tf.constant(elsewhere, tf.float64))
