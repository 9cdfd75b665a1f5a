"""The training loop: as many steps as possible inside one compiled call, Python only at events."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import tensorflow as tf

from tfcore.training.events import Event, Moment
from tfcore.training.step import StepResult, TrainingStep

_CALL_SECS = 1.0  # a Python signal handler waits for the call to return, and so does the progress line
_GROWTH = 4


class Batches(Protocol):
    """What the loop needs of its data: `(images [K, B, …], labels [K, B])`, blocks of the batches of K steps."""

    def from_step(self, step: int) -> Iterator[Any]: ...


class Loop:
    """Runs steps up to the next event, calls the events that are due, in their order, and goes on.

    Args:
        step: trains on one batch.
        batches: gives the batches from any step on, in blocks.
        events: in the order in which they happen at a step.
        xla: compile the steps by XLA. It pays for small matrix products, and never for convolutions on a CPU.
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
        xla: bool = False,
        max_call_steps: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        after_call: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.events = tuple(events)
        self._step, self._batches = step, batches
        self._max_call_steps, self._clock, self._after_call = max_call_steps, clock, after_call
        self._call_steps = 1
        self.train_secs = 0.0  # in compiled calls so far, tracing included
        # One trace each: counts of steps are tensors, and every iterator has the same element spec. AutoGraph would
        # take longer to rewrite the sources than the trace takes.
        self.run_steps = tf.function(self._run_steps, autograph=False)
        self._run_part = tf.function(self._part, autograph=False, jit_compile=xla or None)

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
        feed = _Feed(self._batches.from_step(done)) if done < end else None
        while feed and done < end:
            target = min([end, *(event.schedule.next_after(done, last_step) for event in self.events)])
            done, seen = self._advance(feed, done, target, should_stop)
            if done < target:
                return "interrupted"
            due = [event for event in self.events if event.schedule.is_due(target, last_step)]
            moment = Moment(target, last_step, observed=_as_floats(seen) if due else {})
            for event in due:
                event.action(moment)
            if moment.ended_by is not None:
                return moment.ended_by
            if should_stop() and done < last_step:
                return "interrupted"
        return None if done >= last_step else "interrupted"

    def _advance(self, feed: "_Feed", done: int, target: int, should_stop: Callable[[], bool]) -> tuple[int, Any]:
        """Steps up to `target`, in calls of about a second.

        Returns:
            The steps completed when it ends or is stopped, and what the last of them saw.
        """
        seen: dict[str, tf.Tensor] = {}
        while done < target and not should_stop():
            steps = min(target - done, self._max_call_steps or self._call_steps)
            (feed.block, seen), secs = self._timed(self.run_steps, feed.iterator, feed.block, tf.constant(steps))
            self._set_pace(steps, secs)
            done += steps
            self._after_call(done)
        return done, seen

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

    def _run_steps(self, iterator: Iterator[Any], block: "Block", steps: tf.Tensor) -> tuple["Block", Any]:
        """So many steps; what is left of the block then, and what the last step saw."""

        def advance(block: Block, left: tf.Tensor, _: StepResult) -> tuple[Block, tf.Tensor, StepResult]:
            block_steps = block.images.shape[0]
            block = tf.cond(block.used == block_steps, lambda: _whole_block(iterator), lambda: block)
            end = tf.minimum(block.used + left, block_steps)
            result = self._run_part(block.images, block.labels, block.used, end)
            return block._replace(used=end), left - (end - block.used), result

        start = (block, steps, self._step.nothing())
        block, _, result = tf.while_loop(lambda _block, left, _result: left > 0, advance, start)
        return block, self._seen(result)

    def _part(self, images: tf.Tensor, labels: tf.Tensor, first: tf.Tensor, end: tf.Tensor) -> StepResult:
        """The steps `first` … `end` - 1 of a block; the result of the last."""
        _, result = tf.while_loop(
            lambda number, _: number < end,
            lambda number, _: (number + 1, self._step(images[number], labels[number])),
            (first, self._step.nothing()),
        )
        return result

    def _seen(self, result: StepResult) -> dict[str, tf.Tensor]:
        """What events are told of the step that has just been completed."""
        return {
            "loss": result.loss,
            "total_loss": result.total_loss,
            "accuracy": result.accuracy,
            "learning_rate": self._step.optimizer.learning_rate(self._step.optimizer.step - 1),
            "gradient_norm": tf.linalg.global_norm(result.gradients),
        }


class Block(NamedTuple):
    """The batches of some steps, and how many of them are used up."""

    images: tf.Tensor  # [K, B, …]
    labels: tf.Tensor  # [K, B]
    used: tf.Tensor  # int32 []


def _whole_block(iterator: Iterator[Any]) -> Block:
    images, labels = next(iterator)
    return Block(images, labels, tf.constant(0))


class _Feed:
    """An iterator over blocks, and the block that is being used."""

    def __init__(self, iterator: Iterator[Any]) -> None:
        self.iterator = iterator
        self.block = _whole_block(iterator)


def _as_floats(tensors: dict[str, tf.Tensor]) -> dict[str, float]:
    return {name: float(value.numpy()) for name, value in tensors.items()}
