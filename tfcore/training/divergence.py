"""Numbers gone bad: NaN or infinity in loss, gradients or variables, and the step and the place where it began.

A run is a function of its configuration, so the steps since its newest checkpoint can be done once more, one at a time,
with the same bits.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import tensorflow as tf

from tfcore.data.batches import TrainingBatches
from tfcore.errors import RunError
from tfcore.modules import named_parameters, named_variables, outputs, variables_by_call
from tfcore.seeds import Key
from tfcore.training.events import Event, Moment, Schedule
from tfcore.training.loop import Loop
from tfcore.training.step import TrainingStep

_HISTORY_STEPS = 6


class DivergedError(RunError):
    """A run whose numbers are no longer finite.

    Attributes:
        step: where that was noticed.
        found: what `result.json` is to say of where it began, once that is known.
    """

    def __init__(self, text: str, step: int, found: Mapping[str, Any] | None = None) -> None:
        super().__init__(text)
        self.step, self.found = step, dict(found or {})


class Run(Protocol):
    """What a replay needs of a run."""

    model: tf.Module
    step: TrainingStep
    batches: TrainingBatches

    def loop(self, events: list[Event]) -> Loop: ...

    def go_back(self) -> int:
        """Puts every variable where the newest checkpoint (or the start) has it, and gives back its step."""
        ...


class Point(NamedTuple):
    """What a step saw on its batch before its update."""

    step: int
    loss: float
    gradient_norm: float


@dataclass(frozen=True)
class Finding:
    """The first step that made a number which is not finite.

    Attributes:
        step: completed steps after it.
        where: the layer or variable, in words.
        examples: of its batch, by their number in the training part of the data set.
        checkpoint: the step that the replay began at.
        history: the steps up to it.
    """

    step: int
    where: str
    examples: list[int]
    checkpoint: int
    history: list[Point]


def state(model: tf.Module, step: TrainingStep) -> dict[str, tf.Variable]:
    """Every variable that has to stay finite, by name: the model's, then the optimizer's."""
    kept = {f"the optimizer's {name}": variable for name, variable in step.optimizer.variables.items()}
    return named_variables(model) | kept


def check_finite(variables: Mapping[str, tf.Variable], step: int) -> None:
    """Raises DivergedError unless every number in variables of floating point is finite."""
    bad = _bad(variables)
    if bad:
        raise DivergedError(f"There is NaN or infinity in {bad[0]} at step {step}.", step)


def find(new_run: Callable[[], Run], last_step: int) -> Finding | None:
    """Replays from the newest checkpoint, one step a call, up to `last_step` completed ones.

    Args:
        new_run: gives the run anew, with variables of its own.
        last_step: where the numbers are known to be bad.

    Returns:
        What went bad first; None where all stays finite, as the machine does not repeat itself to the bit.
    """
    run = new_run()
    history: deque[Point] = deque(maxlen=_HISTORY_STEPS)

    def look(moment: Moment) -> None:
        seen = moment.observed
        history.append(Point(moment.step, seen["total_loss"], seen["gradient_norm"]))
        if _bad(state(run.model, run.step)) or not _is_finite(history[-1]):
            moment.end_run("diverged")

    first = run.go_back()
    if run.loop([Event("look", Schedule(1), look)]).run(last_step) != "diverged":
        return None
    bad = history[-1]
    changed = _bad(state(run.model, run.step))
    run = new_run()
    run.go_back()
    run.loop([]).run(bad.step - 1)
    where = _where(run, bad, changed)
    return Finding(bad.step, where, run.batches.numbers(bad.step - 1), first, list(history))


def _where(run: Run, bad: Point, changed: list[str]) -> str:
    """The layer or variable where the next step first makes a bad number: forward, then backward, then the update.

    Layers are ordered by their calls: names sort otherwise. The backward pass goes from the last one called to the
    first.
    """
    images, labels = (block[0] for block in next(run.batches.from_step(bad.step - 1)))
    position = run.step.optimizer.step * run.batches.batch_size
    key = Key(run.batches.seed, run.step.optimizer.step, position)
    if not math.isfinite(bad.loss):
        made = outputs(run.model, images, training=True, key=key)
        layers = [path for path, output in made.items() if not _all_finite(output)]
        return f"in the output of {layers[0]}" if layers else "in the loss"
    ordered = variables_by_call(run.model, images, training=True, key=key)
    if not math.isfinite(bad.gradient_norm):
        *_, gradients = run.step.gradients(images, labels)
        pairs = zip(named_parameters(run.model), gradients, strict=True)
        wrong = [name for name, gradient in pairs if not _all_finite(gradient)]
        if not wrong:
            return "in the norm of the gradients, each of which is finite"
        return f"in the gradient of {max(wrong, key=ordered.index)}"
    first = next((name for name in ordered if name in changed), changed[0])
    return f"in the update of {first}"


def _is_finite(point: Point) -> bool:
    return math.isfinite(point.loss) and math.isfinite(point.gradient_norm)


def _bad(variables: Mapping[str, tf.Variable]) -> list[str]:
    """The names of those with a number that is not finite."""
    return [name for name, variable in variables.items() if not _all_finite(variable)]


def _all_finite(numbers: Any) -> bool:
    return not numbers.dtype.is_floating or bool(tf.reduce_all(tf.math.is_finite(numbers)))
