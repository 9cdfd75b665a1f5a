"""Plans the phases of a run: stretches of steps that train the same parameters on pictures of one size."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from tfcore.build.groups import frozen_after
from tfcore.config import RunConfig
from tfcore.config.network import picture_heights
from tfcore.errors import ConfigError


class PhasePlan(NamedTuple):
    """What distinguishes a phase of a run from the others.

    Attributes:
        first_step: completed steps at its beginning.
        frozen: the paths of the parameters that `freeze_after` has frozen by then.
        image_size: (H, W) that `progressive_resizing` has the pictures resized to; None for their own.
    """

    first_step: int
    frozen: frozenset[str] = frozenset()
    image_size: tuple[int, int] | None = None


def refuse(config: RunConfig, command: str) -> None:
    """Raises ConfigError if the run has several phases, which a command that measures steps would mix."""
    for name in ("freeze_after", "progressive_resizing"):
        if getattr(config, name):
            raise ConfigError(f"`tfcore {command}` takes no --{name}: all its steps must be alike. Leave it out.")


def plan_phases(
    config: RunConfig, paths: Sequence[str], *, examples: int, image_shape: tuple[int, int, int]
) -> tuple[PhasePlan, ...]:
    """Returns the phases of a run, in order: a function of its configuration.

    Args:
        config: the run's.
        paths: of all parameters.
        examples: N, of the training split.
        image_shape: (H, W, C) of the pictures.

    Raises:
        ConfigError: a pattern that no parameter matches or needs, everything frozen in the end, a parameter frozen at
            the end of the run or later, or a size that is not below that of the pictures.
    """
    total = config.total_steps(examples)
    frozen, sizes = _frozen(config, paths, examples, total), _sizes(config, total, image_shape)
    return tuple(
        PhasePlan(
            start,
            frozenset(path for path, step in frozen.items() if step <= start),
            next((size for end, size in sizes if start < end), None),
        )
        for start in sorted({0, *frozen.values(), *(end for end, _ in sizes)})
    )


def _frozen(config: RunConfig, paths: Sequence[str], examples: int, total: int) -> dict[str, int]:
    """Returns the completed steps from which on each parameter is frozen: ceil(epochs · N/B), where its epochs end."""
    found = {
        path: math.ceil(Fraction(str(epochs)) * config.steps_per_epoch(examples))
        for path, epochs in frozen_after(config, paths).items()
    }
    if late := {path: step for path, step in found.items() if step >= total}:
        path, step = next(iter(late.items()))
        raise ConfigError(
            f"`freeze_after` must freeze parameters before the end of the run, {total:,} steps. '{path}' would be "
            f"frozen after {step:,}."
        )
    return found


def _sizes(config: RunConfig, total: int, image_shape: tuple[int, int, int]) -> tuple[tuple[int, tuple[int, int]], ...]:
    """Returns the sizes in order, each with the completed steps at its end: ceil(share · steps of the run).

    The width follows from the height in proportion, rounded.
    """
    height, width = image_shape[:2]
    found = []
    for rows, share in picture_heights("progressive_resizing", config.progressive_resizing):
        if rows >= height:
            raise ConfigError(
                f"`progressive_resizing` takes heights below that of the pictures, {height}, at which every run ends. "
                f"Received {rows}."
            )
        if (end := math.ceil(share * total)) >= total:
            raise ConfigError(
                f"`progressive_resizing` must leave steps for the full size. {rows}:{float(share):g} ends at step "
                f"{end:,} of {total:,}."
            )
        found.append((end, (rows, max(1, round(Fraction(rows * width, height))))))
    return tuple(found)
