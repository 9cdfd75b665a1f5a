"""The training loop: as many steps as possible inside one compiled call, Python only at events."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import tensorflow as tf

from tfcore.training.events import Event, Moment
from tfcore.training.step import TrainingStep

_CALL_SECS = 1.0  # a Python signal handler waits for the call to return, and so does the progress line
_GROWTH = 4


class Batches(Protocol):
    """What the loop needs of its data."""

    def from_step(self, step: int) -> Iterator[Any]: ...


class Loop:
    """Runs steps up to the next event, calls the events that are due, in their order, and goes on.

    Args:
        step: trains on one batch.
        batches: gives the batches from any step on.
        events: in the order in which they happen at a step.
        max_call_steps: never more steps in one compiled call; None for about a second's worth. How the steps are cut
            into calls does not change a bit of any result.
        clock: seconds, for the pace of the calls only.
        after_call: called with the completed steps after each compiled call, for a progress line.
    """

    def __init__(
        self,
        step: TrainingStep,
        batches: Batches,
        events: Sequence[Event] = (),
        *,
        max_call_steps: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        after_call: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.events = tuple(events)
        self._step, self._batches = step, batches
        self._max_call_steps, self._clock, self._after_call = max_call_steps, clock, after_call
        self._call_steps = 1
        self.train_secs = 0.0  # in compiled calls so far, tracing included
        # One trace each: `steps` is a tensor, and every iterator has the same element spec.
        self.run_steps = tf.function(self._run_steps)
        self.run_observed = tf.function(self._run_observed)

    def run(
        self, last_step: int, *, pause_step: int | None = None, should_stop: Callable[[], bool] = lambda: False
    ) -> str | None:
        """Trains from the optimizer's step up to `last_step`.

        Args:
            last_step: completed steps at the end of the run; events that are due at the last step look at it.
            pause_step: leave earlier, after so many completed steps, as a signal would make it.
            should_stop: asked after every call.

        Returns:
            None at `last_step`, "interrupted" where it was paused or stopped, or the status that an event gave.
        """
        done = int(self._step.optimizer.step.numpy())
        end = last_step if pause_step is None else min(last_step, pause_step)
        iterator = self._batches.from_step(done)
        while done < end:
            target = min([end, *(event.schedule.next_after(done, last_step) for event in self.events)])
            due = [event for event in self.events if event.schedule.is_due(target, last_step)]
            observe = any(event.observed for event in due)
            done = self._advance(iterator, done, target - observe, should_stop)
            if done < target - observe:
                return "interrupted"
            moment = Moment(target, last_step)
            if observe:
                moment.observed = self._timed(self._observe, iterator)[0]
                done = target
            for event in due:
                event.action(moment)
            if moment.ended_by is not None:
                return moment.ended_by
            if should_stop() and done < last_step:
                return "interrupted"
        return None if done >= last_step else "interrupted"

    def _advance(self, iterator: Iterator[Any], done: int, target: int, should_stop: Callable[[], bool]) -> int:
        """Plain steps up to `target`, in calls of about a second; the steps completed when it ends or is stopped."""
        while done < target and not should_stop():
            steps = min(target - done, self._max_call_steps or self._call_steps)
            secs = self._timed(self.run_steps, iterator, tf.constant(steps, tf.int64))[1]
            self._set_pace(steps, secs)
            done += steps
            self._after_call(done)
        return done

    def _observe(self, iterator: Iterator[Any]) -> dict[str, float]:
        return {name: float(value.numpy()) for name, value in self.run_observed(iterator).items()}

    def _timed(self, call: Callable[..., Any], *args: Any) -> tuple[Any, float]:
        """What the call returns, and the seconds that it took."""
        start = self._clock()
        result = call(*args)
        secs = self._clock() - start
        self.train_secs += secs
        return result, secs

    def _set_pace(self, steps: int, secs: float) -> None:
        """Aims the next call at a second, and grows at most fourfold: the first call's time includes tracing."""
        fitting = int(steps * _CALL_SECS / max(secs, 1e-6))
        self._call_steps = max(1, min(fitting, _GROWTH * max(steps, 1)))

    def _run_steps(self, iterator: Iterator[Any], steps: tf.Tensor) -> None:
        for _ in tf.range(steps):
            images, labels = next(iterator)
            self._step(images, labels)

    def _run_observed(self, iterator: Iterator[Any]) -> dict[str, tf.Tensor]:
        """One step that also tells what it saw: the same update to the bit."""
        learning_rate = self._step.optimizer.learning_rate(self._step.optimizer.step.read_value())
        images, labels = next(iterator)
        result = self._step(images, labels)
        return {
            "loss": result.loss,
            "total_loss": result.total_loss,
            "accuracy": result.accuracy,
            "learning_rate": learning_rate,
            "gradient_norm": tf.linalg.global_norm(result.gradients),
        }
