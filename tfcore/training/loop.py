"""The training loop: many steps in one compiled call, Python only between calls."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tfcore.training.events import Event, Moment
from tfcore.training.feed import Block, Feed, whole_block
from tfcore.training.phases import Phase, end_of_phase, phase_at
from tfcore.training.step import Optimizer, StepResult, TrainingStep
from tfcore.workers import ALONE, Workers

_CALL_SECS = 1.0  # the time of a call: Python runs signal handlers and updates the progress line only after it
_GROWTH = 4

# The numbers of a step in `Moment.observed`, computed from its result and the optimizer after the update.
_OBSERVED: dict[str, Callable[[StepResult, Optimizer], tf.Tensor]] = {
    "loss": lambda result, _: result.loss,
    "total_loss": lambda result, _: result.total_loss,
    "accuracy": lambda result, _: result.accuracy,
    "learning_rate": lambda _, optimizer: optimizer.learning_rate(optimizer.step - 1),
    "gradient_norm": lambda result, _: tf.linalg.global_norm(result.gradients),
}


class Loop:
    """Runs steps up to the next event that is not passive, calls all due events in order, and continues.

    The numbers for passive events are collected inside the compiled call, so a point of a curve costs almost nothing.
    No call reaches from one phase into the next. The first call of a phase traces its step.

    Args:
        phases: of the run, the first from step 0 on; one for a run that trains in the same way throughout.
        events: in the order of their calls at a step; passive ones are called before all others.
        xla: compile the steps with XLA. It pays for small matrix products, and never for convolutions on a CPU.
        max_call_steps: the most steps in one compiled call; None for about a second of them. Results do not depend, to
            the bit, on how steps are divided into calls.
        clock: seconds, for the pace of the calls and `Moment.train_secs`.
        after_call: called with the completed steps after each compiled call, for a progress line.
        workers: run the same steps together: the chief's clock sets the pace of all, and any of them stops all.
    """

    def __init__(
        self,
        phases: Sequence[Phase],
        events: Sequence[Event] = (),
        *,
        xla: bool = False,
        max_call_steps: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        after_call: Callable[[int], None] = lambda _: None,
        workers: Workers = ALONE,
    ) -> None:
        self._workers = workers
        self.events = tuple(events)
        self._phases, self._xla = tuple(phases), xla
        self._max_call_steps, self._clock, self._after_call = max_call_steps, clock, after_call
        self.train_secs = 0.0  # in compiled calls so far, tracing included
        self._begin(self._phases[0])

    def _begin(self, phase: Phase) -> None:
        """Begins a phase: with a trace and batches of its own, and a call of one step, as at the start of a run."""
        self._phase = phase
        self._call_steps = 1
        self._feed: Feed | None = None
        self._trace: Callable[..., Any] | None = None
        # What sums over workers is not compiled with XLA as a whole: the step compiles its parts.
        whole = self._workers.count == 1
        self._run_part = tf.function(self._part, autograph=False, jit_compile=(self._xla and whole) or None)

    def _enter(self, done: int) -> None:
        """Begins the phase of the step that follows `done` completed ones, unless it is the current one."""
        phase = phase_at(self._phases, done)
        if phase is not self._phase:
            self._begin(phase)

    @property
    def _step(self) -> TrainingStep:
        return self._phase.step

    @property
    def _done(self) -> int:
        """The completed steps."""
        return int(self._step.optimizer.step.numpy())

    def run(
        self, last_step: int, *, pause_step: int | None = None, should_stop: Callable[[], bool] = lambda: False
    ) -> str | None:
        """Trains from the optimizer's step up to `last_step`.

        Args:
            last_step: completed steps at the end of the run; schedules with `also_last` refer to it.
            pause_step: stop earlier, after this many completed steps, as after a signal.
            should_stop: called after every compiled call; True, at any worker, stops.

        Returns:
            None at `last_step`, "interrupted" if paused or stopped, or the status set by an event.
        """
        stops = should_stop if self._workers.count == 1 else lambda: any(self._workers.exchange(should_stop()))
        done = self._done
        end = last_step if pause_step is None else min(last_step, pause_step)
        self._feed = None
        stopping = [event for event in self.events if not event.passive]
        while done < end:
            self._enter(done)
            next_due = (event.schedule.next_after(done, last_step) for event in stopping)
            target = min([end_of_phase(self._phases, done, end), *next_due])
            moment = self._advance(Moment(done, last_step), target, stops)
            done = moment.step
            if done < target:
                return "interrupted"
            _call(stopping, moment)
            if moment.ended_by is not None:
                return moment.ended_by
            if stops() and done < last_step:
                return "interrupted"
        return None if done >= last_step else "interrupted"

    def next_step(self) -> "NextStep":
        """Runs the next step on its own, for an event that is not passive.

        The event must restore every variable afterwards; the loop then continues as if the step had not been run.
        """
        images, labels = self.next_batch()
        ran = self._run_traced(self._fed(), tf.constant([1]))
        return NextStep(images, labels, ran.gradients)

    def next_batch(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Images `[B, …]` and labels, `[B]` or `[B, classes]`, of the next step."""
        self._enter(self._done)
        block = self._fed().unused()
        place = int(block.used)
        return block.images[place], block.labels[place]

    def _fed(self) -> Feed:
        """The feed, positioned at the batch of the next step."""
        if self._feed is None:
            self._feed = Feed(self._phase.batches.from_step(self._done))
        return self._feed

    def _advance(self, moment: Moment, target: int, should_stop: Callable[[], bool]) -> Moment:
        """Runs steps up to `target`, in calls of about a second; calls passive events after each.

        Returns:
            The moment of the last step run.
        """
        passive = [event for event in self.events if event.passive]
        while moment.step < target and not should_stop():
            end = moment.step + min(target - moment.step, self._max_call_steps or self._call_steps)
            moments = self._moments(moment, end, passive)
            for moment in moments:
                _call(passive, moment)
                if moment.ended_by is not None:
                    raise ValueError("A passive event cannot end the run, which is past it. Leave out `passive`.")
            self._after_call(moment.step)
        return moment

    def _moments(self, start: Moment, end: int, passive: list[Event]) -> list[Moment]:
        """Runs steps up to `end` in one call; returns the moments at which a passive event is due, and the last."""
        last_step, before_secs = start.last_step, self.train_secs
        due = (step for event in passive for step in event.schedule.between(start.step, end, last_step))
        points = sorted({*due, end})
        seen, secs = self._timed([point - start.step for point in points])
        self._set_pace(end - start.step, secs)
        step_secs = secs / (end - start.step)
        return [
            Moment(
                point,
                last_step,
                observed=dict(zip(_OBSERVED, observed, strict=True)),
                sums=tuple(sums),
                train_secs=before_secs + step_secs * (point - start.step),
            )
            for point, observed, sums in zip(points, *seen, strict=True)
        ]

    def _timed(self, points: list[int]) -> tuple["_Seen", float]:
        """Runs one call; returns the numbers of the steps at `points`, as lists, and the seconds it took."""
        feed, start = self._fed(), self._clock()
        ran = self._run_traced(feed, tf.constant(points))
        feed.block = ran.block
        seen = _Seen(*(numbers.numpy().tolist() for numbers in ran.seen))
        secs = self._clock() - start
        self.train_secs += secs
        return seen, secs

    def _run_traced(self, feed: Feed, points: tf.Tensor) -> "_Ran":
        """Calls `_run_steps`, traced once in a phase: counts are tensors, and iterators have one element spec."""
        if self._trace is None:
            # AutoGraph would take longer to rewrite the sources than tracing takes.
            traced = tf.function(self._run_steps, autograph=False)
            self._trace = traced.get_concrete_function(feed.iterator, feed.block, tf.TensorSpec([None], tf.int32))
        return _Ran(*self._trace(feed.iterator, feed.block, points))

    def _set_pace(self, steps: int, secs: float) -> None:
        """Sets the steps of the next call for about a second, at most fourfold: the first call includes tracing."""
        fitting = int(steps * _CALL_SECS / max(secs, 1e-6))
        self._call_steps = self._workers.broadcast(max(1, min(fitting, _GROWTH * max(steps, 1))))

    def _run_steps(self, iterator: Iterator[Any], block: Block, points: tf.Tensor) -> "_Ran":
        """Runs as many steps as the last of `points`.

        Args:
            iterator: yields the blocks after this one.
            block: its remaining batches are used first.
            points: int32 [P], numbers of steps from here, ascending.
        """

        def advance(block: Block, done: tf.Tensor, number: tf.Tensor, seen: _Seen, _: Any) -> Any:
            block_steps = block.images.shape[0]
            block = tf.cond(block.used == block_steps, lambda: whole_block(iterator), lambda: block)
            end = tf.minimum(block.used + points[number] - done, block_steps)
            result = self._run_part(block, end)
            done += end - block.used
            at_point = done == points[number]
            seen = tf.cond(at_point, lambda: self._with_point(seen, number, result), lambda: seen)
            return block._replace(used=end), done, number + tf.cast(at_point, tf.int32), seen, result.gradients

        count = tf.size(points)
        shapes = ([len(_OBSERVED)], self._step.sums.shape)
        seen = _Seen(*(tf.TensorArray(tf.float64, count, element_shape=shape) for shape in shapes))
        block, _, _, seen, gradients = tf.while_loop(
            lambda _block, _done, number, *_: number < count,
            advance,
            (block, 0, 0, seen, self._step.nothing().gradients),
        )
        return _Ran(block, _Seen(*(array.stack() for array in seen)), gradients)

    def _part(self, block: Block, end: tf.Tensor) -> StepResult:
        """Runs the unused steps of a block up to number `end` - 1; returns the result of the last."""
        wholes = (block.images, block.labels, *block.weights)
        _, result = tf.while_loop(
            lambda number, _: number < end,
            lambda number, _: (number + 1, self._step(*(whole[number] for whole in wholes))),
            (block.used, self._step.nothing()),
        )
        return result

    def _with_point(self, seen: "_Seen", number: tf.Tensor, result: StepResult) -> "_Seen":
        """Writes the numbers of the step just completed into the arrays."""
        optimizer = self._step.optimizer
        observed = [tf.cast(number_of(result, optimizer), tf.float64) for number_of in _OBSERVED.values()]
        return _Seen(seen.observed.write(number, tf.stack(observed)), seen.sums.write(number, self._step.sums))


class NextStep(NamedTuple):
    """The batch and gradients of a step that was run on its own."""

    images: tf.Tensor  # [B, …], its batch
    labels: tf.Tensor  # [B] or [B, classes]
    gradients: tuple[tf.Tensor, ...]  # one for each parameter


class _Seen(NamedTuple):
    """The numbers of the step at each point of a call, in an array while it runs."""

    observed: Any  # float64 [P, len(_OBSERVED)]
    sums: Any  # float64 [P, 4], of all steps up to it; see TrainingSums


class _Ran(NamedTuple):
    """The results of a call."""

    block: Block  # the rest of it
    seen: _Seen
    gradients: tuple[tf.Tensor, ...]  # of the last step


def _call(events: Sequence[Event], moment: Moment) -> None:
    """Calls the events that are due, in order."""
    for event in events:
        if event.schedule.is_due(moment.step, moment.last_step):
            event.action(moment)
