"""Phases of a run: stretches of steps, each with one training step and one shape of batches."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from tfcore.training.step import TrainingStep


class Batches(Protocol):
    """Training data as blocks of the batches of K steps: `(images [K, B, …], labels [K, B, …])`, and maybe weights."""

    def from_step(self, step: int) -> Iterator[Any]: ...


class Phase(NamedTuple):
    """A stretch of a run, which ends where the next one begins; all phases train the same variables.

    Attributes:
        first_step: completed steps at its beginning; 0 for the first phase.
        step: trains on one batch.
        batches: yields the batches from any step of the phase on.
    """

    first_step: int
    step: TrainingStep
    batches: Batches


def phase_at(phases: Sequence[Phase], step: int) -> Phase:
    """Returns the phase of the step that follows `step` completed ones."""
    return max((phase for phase in phases if phase.first_step <= step), key=lambda phase: phase.first_step)


def end_of_phase(phases: Sequence[Phase], step: int, last_step: int) -> int:
    """Returns the completed steps at the end of that phase, at most `last_step`."""
    return min([last_step, *(phase.first_step for phase in phases if phase.first_step > step)])
