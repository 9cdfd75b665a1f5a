"""What has to happen in Python while a run goes on, and when."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from tfcore import checks


@dataclass(frozen=True)
class Schedule:
    """Due after `offset + ceil(n · every_steps)` completed steps, n = 1, 2, … (and n = 0 where there is an offset).

    `every_steps` may be a fraction: an epoch of N examples is N/B steps, and epoch n ends within step ceil(n·N/B).

    Args:
        every_steps: above 0.
        offset: 1 puts the first one after the very first step.
        also_last: also due at the run's last step, wherever that falls.
    """

    every_steps: Fraction | int
    offset: int = 0
    also_last: bool = False

    def __post_init__(self) -> None:
        checks.positive("every_steps", float(self.every_steps))
        checks.not_negative("offset", self.offset)

    def next_after(self, step: int, last_step: int) -> int:
        """The first due step after `step`, or one past `last_step` where there is none."""
        first = 0 if self.offset else 1
        number = max(first, math.floor(Fraction(step - self.offset) / self.every_steps) + 1)
        due = math.ceil(number * self.every_steps) + self.offset
        if due <= last_step:
            return due
        return last_step if self.also_last and step < last_step else last_step + 1

    def between(self, step: int, end: int, last_step: int) -> Iterator[int]:
        """The due steps after `step`, up to and with `end`."""
        while (step := self.next_after(step, last_step)) <= min(end, last_step):
            yield step

    def is_due(self, step: int, last_step: int) -> bool:
        """Whether `step` is one of the due ones."""
        return step <= last_step and self.next_after(step - 1, last_step) == step


@dataclass
class Moment:
    """What an event sees: the completed steps, and what the last of them found on its batch.

    `end_run` ends the run after the other events of this step.

    Attributes:
        step: completed steps.
        last_step: completed steps at the end of the run.
        observed: `loss`, `total_loss` and `accuracy` of the batch before the update, `gradient_norm` (of the mean
            gradient, unclipped) and the update's `learning_rate`.
        sums: what the training step had summed up, see `TrainingSums`.
        train_secs: seconds in compiled calls so far; within a call, the step's share of it.
    """

    step: int
    last_step: int
    observed: dict[str, float] = field(default_factory=dict)
    sums: tuple[float, ...] = ()
    train_secs: float = 0.0
    ended_by: str | None = None

    def end_run(self, status: str) -> None:
        """Asks the loop to stop here; `status` is what the run's result will say."""
        self.ended_by = status


@dataclass(frozen=True)
class Event:
    """An action and its schedule.

    Args:
        name: what it is found by.
        schedule: the steps at which it is due.
        action: is called with each of its moments, in their order.
        passive: the action needs no more than its Moment, and ends no run. Training does not stop for it: it is called
            within about a second, before any event of its step or a later one that training does stop for.
    """

    name: str
    schedule: Schedule
    action: Callable[[Moment], None]
    passive: bool = False
