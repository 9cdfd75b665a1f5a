"""Rates that are constant, or between two boundaries."""

from dataclasses import dataclass

import tensorflow as tf

from tfcore import checks
from tfcore.errors import ConfigError


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
