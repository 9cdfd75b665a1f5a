"""The events of every run: scalars, evaluation with early stopping, epoch summary, checkpoint."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from tfcore.metrics import Scores
from tfcore.training.divergence import DivergedError
from tfcore.training.early_stopping import EarlyStopping
from tfcore.training.events import Event, Moment, Schedule
from tfcore.training.run_log import RunLog
from tfcore.training.sums import TrainingSums


@dataclass(frozen=True)
class Schedules:
    """The schedules of the standard events; without `batch_accuracy`, the accuracy of single batches is not printed."""

    scalars: Schedule
    evaluation: Schedule
    epoch: Schedule
    checkpoint: Schedule
    batch_accuracy: Schedule | None = None


class NewestValidation:
    """The scores of the newest evaluation, which `Evaluate` sets and the actions after it read."""

    def __init__(self) -> None:
        self._step, self._scores = -1, dict[str, float]()

    def set(self, step: int, scores: dict[str, float]) -> None:
        """Keeps the scores of the evaluation at `step`."""
        self._step, self._scores = step, scores

    def at(self, step: int) -> dict[str, float] | None:
        """The scores of the evaluation at `step`; None if there was none."""
        return self._scores if step == self._step else None


class PrintBatchAccuracy:
    """Prints the accuracy on one batch, before its update. Steps count from 0 here, as in the loops of tutorials."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def __call__(self, moment: Moment) -> None:
        self._say(f"Step {moment.step - 1}: training accuracy {moment.observed['accuracy']:.4f}")


class WriteScalars:
    """Writes a point of every training curve: means since the last one, gradient norm and learning rate of this step.

    Args:
        log: both logs of the run.
        sums: of the training step.
        batch_size: examples a step, for the rate.

    Raises:
        DivergedError: when called, if the mean loss or the gradient norm is not finite; the point is written.
    """

    def __init__(self, log: RunLog, sums: TrainingSums, batch_size: int) -> None:
        self._log, self._sums, self._batch_size = log, sums, batch_size
        self._last: tuple[int, float] | None = None

    def __call__(self, moment: Moment) -> None:
        means = self._sums.take_log(moment.sums)
        steps, secs = self._since_last(moment)
        numbers = {name: moment.observed[name] for name in ("learning_rate", "gradient_norm")}
        rate = {"examples_per_sec": steps * self._batch_size / secs} if secs > 0 else {}
        self._log.write(moment.step, "train", {**means, **numbers, **rate})
        if not math.isfinite(means["total_loss"]):
            raise DivergedError(f"The training loss is {means['total_loss']} at step {moment.step}.", moment.step)
        if not math.isfinite(moment.observed["gradient_norm"]):
            norm = moment.observed["gradient_norm"]
            raise DivergedError(f"The norm of the gradients is {norm} at step {moment.step}.", moment.step)

    def _since_last(self, moment: Moment) -> tuple[int, float]:
        """Steps and training seconds since the last point; the first of a process has no rate."""
        now = (moment.step, moment.train_secs)
        before, self._last = self._last, now
        return (0, 0.0) if before is None else (now[0] - before[0], now[1] - before[1])


class Evaluate:
    """Scores the validation split; ends the run once early stopping has run out of patience.

    Args:
        log: both logs of the run.
        newest: is set to the scores.
        early_stopping: takes in each evaluation.
        validate: scores the validation split.
        validate_average: scores it with the averaged weights; returns None where there are none.
    """

    def __init__(
        self,
        log: RunLog,
        newest: NewestValidation,
        early_stopping: EarlyStopping,
        *,
        validate: Callable[[], Scores],
        validate_average: Callable[[], Scores | None] = lambda: None,
    ) -> None:
        self._log, self._newest, self._early_stopping = log, newest, early_stopping
        self._validate, self._validate_average = validate, validate_average

    def __call__(self, moment: Moment) -> None:
        scores = self._validate()
        numbers = {"loss": scores.loss, "accuracy": scores.accuracy}
        averaged = self._validate_average()
        if averaged is not None:
            numbers |= {"average_loss": averaged.loss, "average_accuracy": averaged.accuracy}
        self._newest.set(moment.step, numbers)
        self._log.write(moment.step, "validation", numbers)
        self._early_stopping.update(moment.step, loss=scores.loss, accuracy=scores.accuracy)
        if self._early_stopping.exhausted:
            moment.end_run("stopped_early")


class FinishEpoch:
    """Logs and prints the means over the epoch's training batches, each before its update, and resets their sums.

    Args:
        log: both logs of the run.
        sums: of the training step.
        newest: the evaluation that is printed beside them where it is of the same step.
        per_epoch: steps an epoch.
        say: prints a line.
        print_every: epochs between two lines; the last one of a run is always printed.
    """

    def __init__(
        self,
        log: RunLog,
        sums: TrainingSums,
        newest: NewestValidation,
        *,
        per_epoch: Fraction,
        say: Callable[[str], None],
        print_every: int = 1,
    ) -> None:
        self._log, self._sums, self._newest = log, sums, newest
        self._per_epoch, self._say, self._print_every = per_epoch, say, print_every
        self._start = time.monotonic()

    def __call__(self, moment: Moment) -> None:
        train = self._sums.take_epoch()
        self._log.write(moment.step, "train", {"epoch_loss": train["loss"], "epoch_accuracy": train["accuracy"]})
        if self._is_printed(moment):
            now = time.monotonic()
            parts = [f"epoch {self._number(moment.step)}:", *self._scores(moment.step, train)]
            self._say("  ".join([*parts, f"{now - self._start:.1f} s"]))
            self._start = now

    def _is_printed(self, moment: Moment) -> bool:
        """Whether this epoch is one of those that get a line."""
        complete = math.floor(moment.step / self._per_epoch)
        return complete % self._print_every == 0 or moment.step == moment.last_step or bool(moment.ended_by)

    def _number(self, step: int) -> str:
        """`3` at the step that completes epoch 3; `3.25` where a run ends within one."""
        complete = math.floor(step / self._per_epoch)
        is_whole = complete > math.floor((step - 1) / self._per_epoch)
        return str(complete) if is_whole else f"{float(step / self._per_epoch):.2f}"

    def _scores(self, step: int, train: dict[str, float]) -> list[str]:
        """The parts of the line for training, the evaluation of this step and that with averaged weights."""
        parts = [f"train loss {train['loss']:.4f} accuracy {train['accuracy']:.4f}"]
        scores = self._newest.at(step)
        if scores is not None:
            parts.append(f"validation loss {scores['loss']:.4f} accuracy {scores['accuracy']:.4f}")
            if "average_loss" in scores:
                parts.append(f"averaged {scores['average_loss']:.4f} {scores['average_accuracy']:.4f}")
        return parts


class SaveCheckpoint:
    """Saves a checkpoint.

    Args:
        save: saves the state at a moment, with the score of the evaluation at its step, where there was one.
        newest: the evaluation whose score it is.
        monitor: the name of that score, `loss` or `accuracy`.
    """

    def __init__(self, save: Callable[[Moment, float | None], None], newest: NewestValidation, monitor: str) -> None:
        self._save, self._newest, self._monitor = save, newest, monitor

    def __call__(self, moment: Moment) -> None:
        self._save(moment, self.score_at(moment.step))

    def score_at(self, step: int) -> float | None:
        """The score of the evaluation at `step`; None if there was none."""
        scores = self._newest.at(step)
        return None if scores is None else scores[self._monitor]


class SaveBest:
    """Saves a checkpoint where the evaluation at this step is among the best so far.

    Args:
        checkpoint: saves it.
        is_among_best: whether a checkpoint of a score would be kept for it.
    """

    def __init__(self, checkpoint: SaveCheckpoint, is_among_best: Callable[[float], bool]) -> None:
        self._checkpoint, self._is_among_best = checkpoint, is_among_best

    def __call__(self, moment: Moment) -> None:
        score = self._checkpoint.score_at(moment.step)
        if score is not None and self._is_among_best(score):
            self._checkpoint(moment)


def in_order(
    schedules: Schedules,
    *,
    batch_accuracy: PrintBatchAccuracy,
    scalars: WriteScalars,
    evaluation: Evaluate | None,
    epoch: FinishEpoch,
    others: Sequence[Event] = (),
    checkpoint: SaveCheckpoint,
    best: SaveBest,
) -> list[Event]:
    """Builds the events in the order of their calls at a step, which tests/training/test_standard_events.py checks.

    The checkpoint comes last, so that the saved state includes all changes made by the events before it.

    Args:
        schedules: of the standard events.
        batch_accuracy, scalars, epoch, checkpoint: actions.
        evaluation, best: actions, neither of them called where there is no `evaluation`.
        others: are called before the checkpoint.
    """
    each_batch = schedules.batch_accuracy
    return [
        *([Event("batch_accuracy", each_batch, batch_accuracy, passive=True)] if each_batch else []),
        Event("scalars", schedules.scalars, scalars, passive=True),
        *([Event("evaluation", schedules.evaluation, evaluation)] if evaluation else []),  # may end the run
        Event("epoch", schedules.epoch, epoch),  # prints the evaluation, resets the epoch's sums
        *others,
        Event("checkpoint", schedules.checkpoint, checkpoint),
        *([Event("best", schedules.evaluation, best)] if evaluation else []),  # whatever the checkpoint's schedule
    ]
