"""Finds NaN and infinity in the loss, the gradients and the variables, and the step and layer where they first occur.

A run is a function of its configuration, so the steps since its newest checkpoint can be replayed one at a time, with
bit-identical results.
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
from tfcore.training.phases import Phase, phase_at
from tfcore.training.step import TrainingStep

_HISTORY_STEPS = 6


class DivergedError(RunError):
    """A run whose numbers are no longer finite.

    Attributes:
        step: at which it was noticed.
        found: entries for `result.json` on the first bad number, once it has been located.
    """

    def __init__(self, text: str, step: int, found: Mapping[str, Any] | None = None) -> None:
        super().__init__(text)
        self.step, self.found = step, dict(found or {})


class Run(Protocol):
    """A run that can be replayed."""

    model: tf.Module
    step: TrainingStep  # of the first phase
    batches: TrainingBatches  # of the same examples in every phase
    phases: tuple[Phase, ...]

    def loop(self, events: list[Event]) -> Loop: ...

    def go_back(self) -> int:
        """Restores all variables from the newest checkpoint, or their initial values, and returns its step."""
        ...


class Point(NamedTuple):
    """Loss and gradient norm of a step on its batch, before the update."""

    step: int
    loss: float
    gradient_norm: float


@dataclass(frozen=True)
class Finding:
    """The first step that produced a number that is not finite.

    Attributes:
        step: its number, counted from 1.
        where: the layer or variable, as a phrase.
        examples: of its batch, as indices into the training part of the data set.
        checkpoint: the step at which the replay began.
        history: the last steps up to and including it.
    """

    step: int
    where: str
    examples: list[int]
    checkpoint: int
    history: list[Point]


def state(model: tf.Module, step: TrainingStep) -> dict[str, tf.Variable]:
    """Collects the variables that must stay finite, by name: the model's, then the optimizer's."""
    kept = {f"the optimizer's {name}": variable for name, variable in step.optimizer.variables.items()}
    return named_variables(model) | kept


def check_finite(variables: Mapping[str, tf.Variable], step: int) -> None:
    """Raises DivergedError unless all numbers in floating-point variables are finite."""
    bad = _bad(variables)
    if bad:
        raise DivergedError(f"There is NaN or infinity in {bad[0]} at step {step}.", step)


def find(new_run: Callable[[], Run], last_step: int) -> Finding | None:
    """Replays from the newest checkpoint, one step a call, up to `last_step` completed ones.

    Args:
        new_run: builds the run again, with new variables.
        last_step: at which the numbers are known to be bad.

    Returns:
        The first bad number; None if all stay finite, since the machine does not reproduce results bit for bit.
    """
    run = new_run()
    history: deque[Point] = deque(maxlen=_HISTORY_STEPS)

    def record(moment: Moment) -> None:
        seen = moment.observed
        history.append(Point(moment.step, seen["total_loss"], seen["gradient_norm"]))
        if _bad(state(run.model, run.step)) or not _is_finite(history[-1]):
            moment.end_run("diverged")

    first = run.go_back()
    if run.loop([Event("record", Schedule(1), record)]).run(last_step) != "diverged":
        return None
    bad = history[-1]
    changed = _bad(state(run.model, run.step))
    run = new_run()
    run.go_back()
    run.loop([]).run(bad.step - 1)
    where = _where(run, bad, changed)
    return Finding(bad.step, where, run.batches.numbers(bad.step - 1), first, list(history))


def _where(run: Run, bad: Point, changed: list[str]) -> str:
    """Locates the first bad number of the next step: in the forward pass, then the backward pass, then the update.

    Layers are ordered by their calls, as `tf.Module` sorts by name. The backward pass runs from the last layer called
    to the first.
    """
    phase = phase_at(run.phases, bad.step - 1)
    batch = [block[0] for block in next(phase.batches.from_step(bad.step - 1))]
    with phase.step.optimizer.at_gradient_point():
        return _place(run, phase.step, bad, changed, batch)


def _place(run: Run, step: TrainingStep, bad: Point, changed: list[str], batch: list[tf.Tensor]) -> str:
    """Locates the bad number of the next step with the weights at which it takes its gradients."""
    images = batch[0]
    position = run.step.optimizer.step * run.batches.batch_size
    key = Key(run.batches.seed, run.step.optimizer.step, position)
    if not math.isfinite(bad.loss):
        made = outputs(run.model, images, training=True, key=key)
        layers = [path for path, output in made.items() if not _all_finite(output)]
        return f"in the output of {layers[0]}" if layers else "in the loss"
    ordered = variables_by_call(run.model, images, training=True, key=key)
    if not math.isfinite(bad.gradient_norm):
        *_, gradients = step.gradients(*batch)
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
    """The names of the variables with a number that is not finite."""
    return [name for name, variable in variables.items() if not _all_finite(variable)]


def _all_finite(numbers: Any) -> bool:
    return not numbers.dtype.is_floating or bool(tf.reduce_all(tf.math.is_finite(numbers)))
