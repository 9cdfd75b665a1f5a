"""Events: actions in Python during a run, and their schedules."""

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
        """The due steps after `step`, up to and including `end`."""
        while (step := self.next_after(step, last_step)) <= min(end, last_step):
            yield step

    def is_due(self, step: int, last_step: int) -> bool:
        """Whether the event is due at `step`."""
        return step <= last_step and self.next_after(step - 1, last_step) == step


@dataclass
class Moment:
    """The state of training that an event is called with: completed steps, and the numbers of the last of them.

    `end_run` ends the run after the other events of this step.

    Attributes:
        step: completed steps.
        last_step: completed steps at the end of the run.
        observed: `loss`, `total_loss` and `accuracy` of the batch before the update, `gradient_norm` (of the mean
            gradient, unclipped) and the update's `learning_rate`.
        sums: of the training step, see `TrainingSums`.
        train_secs: seconds in compiled calls so far, in this process; within a call, in proportion to its steps.
        ended_by: the status given to `end_run`; None while the run continues.
    """

    step: int
    last_step: int
    observed: dict[str, float] = field(default_factory=dict)
    sums: tuple[float, ...] = ()
    train_secs: float = 0.0
    ended_by: str | None = None

    def end_run(self, status: str) -> None:
        """Asks the loop to stop here; `status` becomes that of the run's result."""
        self.ended_by = status


@dataclass(frozen=True)
class Event:
    """An action and its schedule.

    Args:
        name: identifies it.
        schedule: the steps at which it is due.
        action: is called with the Moment of each due step, in order.
        passive: the action reads only its Moment and never ends the run. Training does not stop for it: it is called
            within about a second, before any event of the same or a later step that training does stop for.
    """

    name: str
    schedule: Schedule
    action: Callable[[Moment], None]
    passive: bool = False
