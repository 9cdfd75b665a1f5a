"""A linear warm-up of any other schedule."""

from dataclasses import dataclass

import tensorflow as tf

from tfcore import checks
from tfcore.schedules.base import Schedule, progress


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
        factor = progress(tf.convert_to_tensor(step, tf.int64) + 1, self.warmup_steps)
        return self.schedule(step) * tf.cast(factor, tf.float32)
