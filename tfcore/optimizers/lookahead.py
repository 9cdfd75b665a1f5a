"""Lookahead: slow weights, to which the weights return every few steps."""

from collections.abc import Iterable
from typing import NamedTuple, Self

import tensorflow as tf

from tfcore import checks
from tfcore.errors import ConfigError
from tfcore.optimizers.chain import Constraint

# Each parameter with its slow weights and its constraint, if it has one.
Rows = Iterable[tuple[tf.Variable, tf.Variable, Constraint | None]]


class Lookahead(NamedTuple):
    """The settings of the link: k and alpha in the paper."""

    steps: int
    share: float

    @classmethod
    def given(cls, steps: int | None, share: float | None) -> Self | None:
        """Checks the chain's arguments; None for no slow weights.

        Raises:
            ConfigError: an argument out of range, or a share without steps.
        """
        if steps is None:
            if share is not None:
                raise ConfigError(f"`lookahead_share` belongs to `lookahead_steps`. Received {share!r} without them.")
            return None
        checks.positive_integer("lookahead_steps", steps)
        share = 0.5 if share is None else share
        checks.share_or_one("lookahead_share", share)
        return cls(steps, share)


def look_ahead(rows: Rows, settings: Lookahead, step: tf.Tensor) -> None:
    """Every k updates, moves the slow weights towards the weights, and the weights to them.

        slow ← constraint(slow + alpha · (w - slow)),  w ← slow        after updates number k, 2k, …

    The constraint matters where the initial weights did not obey it. The method's slots stay as they are, as in the
    paper's experiments, which keep the velocity of momentum.

    Args:
        rows: slow weights start as the weights.
        settings: k and alpha.
        step: completed updates before this one.

    Source: Zhang, Lucas, Hinton & Ba 2019, arXiv 1907.08610, algorithm 1.
    """

    def synchronize() -> tf.Tensor:
        for parameter, slow, constraint in rows:
            moved = slow + settings.share * (parameter - slow)
            slow.assign(moved if constraint is None else constraint(moved))
            parameter.assign(slow)
        return tf.constant(True)

    tf.cond(tf.equal((step + 1) % settings.steps, 0), synchronize, lambda: tf.constant(False))
