"""Measures one built session with its own training loop."""

import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf

from tfcore import graphs, machine
from tfcore.bench import machine_limits
from tfcore.build.optimizer import build_step, training_loss
from tfcore.data.batches import TrainingBatches
from tfcore.run.parts import Parts
from tfcore.run.session import Session
from tfcore.training.events import Event, Moment, Schedule
from tfcore.training.loop import Loop
from tfcore.training.phases import Phase
from tfcore.training.run_log import RunLog

_REPEATS = 5
_SAVES = 3
_WARM_UP_SECS = 0.5
_LOSS_STEPS = 20  # over which a loss is averaged
_UNPROFILED_STEPS = 3  # before the profile, to fill the pipeline
Figures = dict[str, Any]


class Rate(NamedTuple):
    """Units of work per second: median, minimum and maximum of the repeats."""

    median: float
    least: float
    most: float


class Measurement:
    """Measures a session; each method is called at most once, in the order of their definition.

    Args:
        session: built, untrained, with more steps than the measurement takes.
        log: open in the session's folder.
        secs: duration of each repeat.
    """

    def __init__(self, session: Session, log: RunLog, secs: float) -> None:
        self._parts, self._secs = session.parts, secs
        self._batch_size = self._parts.config.batch_size
        self._batches = self._parts.training_batches()
        self._loop = session.loop(log)
        self._events = self._loop.events

    def start_up(self, process_start: float) -> Figures:
        """Measures process start to the end of the first step; tracing time is first minus second step."""
        first_secs = _secs(lambda: self._train(1, ()))
        first_step_secs = time.monotonic() - process_start
        second_secs = _secs(lambda: self._train(1, ()))
        return {"trace_secs": max(0.0, first_secs - second_secs), "first_step_secs": first_step_secs}

    def training(self) -> tuple[Figures, Figures, int]:
        """Measures training end to end with all events: the rate, the change of the loss, and the peak memory."""
        self._train(1, tuple(replace(event, schedule=Schedule(1)) for event in self._events))  # traces, opens files
        loss_first = self._mean_loss()
        rate = _rate(lambda steps: self._train(steps, self._events), self._secs)
        memory_bytes = machine.peak_bytes()
        loss_last = self._mean_loss()
        speed = {"steps_per_sec": rate.median, "steps_per_sec_range": [rate.least, rate.most]}
        loss = {"loss_first": loss_first, "loss_last": loss_last, "loss_fell": loss_last < loss_first}
        return {**speed, "examples_per_sec": rate.median * self._batch_size}, loss, memory_bytes

    def logging(self) -> Figures:
        """Measures the cost of curves and checkpoints.

        Alternates steps that log a point to TensorBoard and `metrics.jsonl` at every second step with as many steps
        without events: at the run's own logging interval, the noise of the steps would hide the cost of the points.

            scalars_secs    (median of with − without) / points: ending the call, gathering and writing a point
            logging_share   scalars_secs / (log_every_steps · seconds per step + scalars_secs)

        Other events are not included. `checkpoint_secs` is the time that a checkpoint, including its flushes, blocks
        training: the median of three.
        """
        schedule = Schedule(2)
        points = tuple(replace(event, schedule=schedule) for event in self._events if event.name == "scalars")
        pairs = _fitting(lambda pairs: self._train(2 * pairs, points), min(self._secs, _WARM_UP_SECS))
        without, extra = [], []
        for _ in range(_REPEATS):
            without.append(_secs(lambda: self._train(2 * pairs, ())))
            extra.append(_secs(lambda: self._train(2 * pairs, points)) - without[-1])
        scalars_secs = max(0.0, statistics.median(extra) / pairs)
        between_secs = self._parts.config.log_every_steps * statistics.median(without) / (2 * pairs)
        return {
            "logging_share": scalars_secs / (between_secs + scalars_secs),
            "scalars_secs": scalars_secs,
            "checkpoint_secs": statistics.median(self._save_secs() for _ in range(_SAVES)),
        }

    def parts(self) -> Figures:
        """Measures examples per second of the computation alone and of the input pipeline alone."""
        one_batch = Loop([Phase(0, self._parts.step, _OneElement(self._batches))], xla=self._parts.config.xla == "on")
        compute = _rate(lambda steps: self._run(one_batch, steps), self._secs)
        inputs = _rate(_reading(self._batches), self._secs)
        element_examples = math.prod(next(self._batches.from_step(0))[1].shape[:2])  # labels may be rows
        return {"compute_only": compute.median * self._batch_size, "input_only": inputs.median * element_examples}

    def evaluation(self) -> Figures:
        """Measures test examples scored per second."""
        test = self._parts.evaluation_batches("test")
        rate = _rate(lambda times: [self._parts.evaluation(test) for _ in range(times)], self._secs)
        return {"evaluation": rate.median * len(self._parts.splits["test"])}

    def computation(self, steps_per_sec: float) -> Figures:
        """Counts the floating-point operations of a step; returns them with their share of the machine's peak."""
        step_flops = _flops(self._parts)
        peaks = {name: machine_limits.peak_flops_per_sec(name) for name in ("float32", "bfloat16")}
        reached = step_flops * steps_per_sec
        return {
            "flops_per_step": step_flops,
            "flops_per_sec": reached,
            **{f"peak_flops_per_sec_{name}": peak for name, peak in peaks.items()},
            "peak_share": reached / peaks[self._parts.config.precision],
        }

    def profile(self, folder: Path, steps: int) -> str:
        """Writes a profile of `steps` more steps, one per call, into `folder`; returns the table of ops by time."""
        from tfcore.training import profile  # must not delay the first step

        first_step = self._done() + _UNPROFILED_STEPS
        with profile.StepProfiler(folder, first_step=first_step, steps=steps) as profiler:
            every_step = Event("profile", Schedule(1), lambda moment: profiler(moment.step))
            self._train(_UNPROFILED_STEPS + steps, (every_step,))
        return profile.op_table(profile.read(folder))

    def _train(self, steps: int, events: tuple[Event, ...]) -> None:
        self._loop.events = events
        self._run(self._loop, steps)

    def _run(self, loop: Loop, steps: int) -> None:
        """Trains `steps` steps of a run without end."""
        end = self._done() + steps
        loop.run(self._parts.total_steps, pause_step=end)
        assert self._done() == end, "an event has ended the run"

    def _done(self) -> int:
        return int(self._parts.step.optimizer.step.numpy())

    def _mean_loss(self) -> float:
        """Returns the mean loss of the next steps' examples, each before its update."""
        before = self._parts.step.sums.numpy()
        self._train(_LOSS_STEPS, ())
        loss, _, _, examples = (self._parts.step.sums.numpy() - before).tolist()
        return loss / examples

    def _save_secs(self) -> float:
        """Measures one checkpoint, a step after the previous one."""
        self._train(1, ())
        save = next(event.action for event in self._events if event.name == "checkpoint")
        return _secs(lambda: save(Moment(self._done(), self._parts.total_steps)))


class _OneElement:
    """Repeats one element, so that only the computation is measured."""

    def __init__(self, batches: TrainingBatches) -> None:
        self._element = next(batches.from_step(0))

    def from_step(self, _: int) -> Iterator[Any]:
        return iter(tf.data.Dataset.from_tensors(self._element).repeat())


def _reading(batches: TrainingBatches) -> Callable[[int], None]:
    """Returns a function that reads elements and uses one number of each, so that none is optimised away."""

    @tf.function
    def read(iterator: Any, elements: tf.Tensor) -> tf.Tensor:
        total = tf.zeros([])
        for _ in tf.range(elements):
            images, labels = (tf.reshape(part, [-1]) for part in next(iterator)[:2])
            total += tf.cast(images[0], tf.float32) + tf.cast(labels[0], tf.float32)
        return total

    iterator = batches.from_step(0)
    return lambda elements: read(iterator, tf.constant(elements, tf.int64)).numpy()


def _flops(parts: Parts) -> int:
    """Counts the operations of one step: forward pass, backward pass and update."""
    images = tf.TensorSpec([parts.config.batch_size, *parts.data.image_shape], tf.uint8)
    labels = tf.TensorSpec([parts.config.batch_size], tf.int32)
    # Micro-batches do the same work in a loop, whose iterations cannot be counted in the graph.
    epoch_steps = parts.config.steps_per_epoch(len(parts.splits["train"]))
    loss = training_loss(parts.config, parts.splits["train"], parts.data.classes)
    step = build_step(
        replace(parts.config, microbatches=1), parts.model, parts.total_steps, loss=loss, teacher=parts.teacher,
        epoch_steps=epoch_steps,
    )  # fmt: skip
    return graphs.flops(tf.function(step.__call__, autograph=False).get_concrete_function(images, labels))


def _rate(work: Callable[[int], Any], secs: float) -> Rate:
    """Measures several repeats, after a warm-up that determines their size."""
    units = _fitting(work, secs)
    rates = [units / _secs(lambda: work(units)) for _ in range(_REPEATS)]
    return Rate(statistics.median(rates), min(rates), max(rates))


def _fitting(work: Callable[[int], Any], secs: float) -> int:
    """Returns how many units take `secs`; also warms up."""
    work(1)  # traces
    units = 1
    while (spent := _secs(partial(work, units))) < min(secs, _WARM_UP_SECS):
        units *= 2
    return max(1, round(units * secs / spent))


def _secs(work: Callable[[], Any]) -> float:
    """Measures the duration of a call."""
    start = time.monotonic()
    work()
    return time.monotonic() - start
