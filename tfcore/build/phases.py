"""Plans the phases of a run: stretches of steps that train the same parameters."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from tfcore.build.groups import frozen_after
from tfcore.config import RunConfig
from tfcore.errors import ConfigError


class PhasePlan(NamedTuple):
    """What distinguishes a phase of a run from the others.

    Attributes:
        first_step: completed steps at its beginning.
        frozen: the paths of the parameters that `freeze_after` has frozen by then.
    """

    first_step: int
    frozen: frozenset[str] = frozenset()


def refuse(config: RunConfig, command: str) -> None:
    """Raises ConfigError if the run has several phases, which a command that measures steps would mix."""
    for name in ("freeze_after",):
        if getattr(config, name):
            raise ConfigError(f"`tfcore {command}` takes no --{name}: all its steps must be alike. Leave it out.")


def plan_phases(config: RunConfig, paths: Sequence[str], *, examples: int) -> tuple[PhasePlan, ...]:
    """Returns the phases of a run, in order: a function of its configuration.

    A parameter is frozen from step ceil(epochs · N/B) on, where that number of epochs ends.

    Args:
        config: the run's.
        paths: of all parameters.
        examples: N, of the training split.

    Raises:
        ConfigError: a pattern that no parameter matches or needs, everything frozen in the end, or a parameter frozen
            at the end of the run or later.
    """
    frozen = {
        path: math.ceil(Fraction(str(epochs)) * config.steps_per_epoch(examples))
        for path, epochs in frozen_after(config, paths).items()
    }
    total = config.total_steps(examples)
    if late := {path: step for path, step in frozen.items() if step >= total}:
        path, step = next(iter(late.items()))
        raise ConfigError(
            f"`freeze_after` must freeze parameters before the end of the run, {total:,} steps. '{path}' would be "
            f"frozen after {step:,}."
        )
    return tuple(
        PhasePlan(start, frozenset(path for path, step in frozen.items() if step <= start))
        for start in sorted({0, *frozen.values()})
    )
