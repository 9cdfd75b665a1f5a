"""The events of every run: scalars, evaluation with early stopping, the epoch's line, the checkpoint."""

import math
import time
from collections.abc import Callable
from fractions import Fraction

from tfcore.metrics import Scores
from tfcore.training.divergence import DivergedError
from tfcore.training.early_stopping import EarlyStopping
from tfcore.training.events import Event, Moment, Schedule
from tfcore.training.run_log import RunLog
from tfcore.training.sums import TrainingSums


class StandardEvents:
    """Actions and their order. The checkpoint comes last: all that happens at a step is in the state it saves.

    Args:
        log: both logs of the run.
        sums: what the training step summed up.
        batch_size: examples a step, for the rate.
        validate: scores the validation split; None where there is none.
        validate_average: scores it with the averaged weights; None where there are none.
        early_stopping: takes in each validation.
        save: saves the state under a step, with the score of the validation at it, where there was one.
        is_among_best: whether a checkpoint of this score would be kept for it.
        say: prints a line.
        per_epoch: steps an epoch.
        print_every_epochs: epochs between two lines; a run's last one is always printed.
    """

    def __init__(
        self,
        *,
        log: RunLog,
        sums: TrainingSums,
        batch_size: int,
        validate: Callable[[], Scores] | None,
        validate_average: Callable[[], Scores] | None = None,
        early_stopping: EarlyStopping,
        save: Callable[[int, float | None], None],
        is_among_best: Callable[[float], bool],
        say: Callable[[str], None],
        per_epoch: Fraction,
        print_every_epochs: int = 1,
    ) -> None:
        self._log, self._sums, self._batch_size = log, sums, batch_size
        self._validate, self._validate_average, self._early_stopping = validate, validate_average, early_stopping
        self._save, self._is_among_best, self._say = save, is_among_best, say
        self._per_epoch, self._print_every_epochs = per_epoch, print_every_epochs
        self._last_scalars: tuple[int, float] | None = None
        self._validated: tuple[int, dict[str, float]] | None = None
        self._epoch_start = time.monotonic()

    def events(
        self,
        *,
        batch_accuracy: Schedule | None,
        scalars: Schedule,
        evaluation: Schedule,
        epoch: Schedule,
        checkpoint: Schedule,
    ) -> list[Event]:
        """The events in their order. tests/training/test_standard_events.py holds it."""
        validating = self._validate is not None
        events = [
            Event("batch_accuracy", batch_accuracy, self.say_batch_accuracy, passive=True) if batch_accuracy else None,
            Event("scalars", scalars, self.write_scalars, passive=True),
            Event("evaluation", evaluation, self.evaluate) if validating else None,  # may end the run
            Event("epoch", epoch, self.finish_epoch),  # reports the evaluation, resets the epoch's sums
            Event("checkpoint", checkpoint, self.save),  # saves what those before have changed
            Event("best", evaluation, self.save_best) if validating else None,  # whatever the checkpoint's schedule
        ]
        return [event for event in events if event is not None]

    def say_batch_accuracy(self, moment: Moment) -> None:
        """The accuracy on one batch, before its update. Steps count from 0 here, as loops in tutorials do."""
        self._say(f"Step {moment.step - 1}: training accuracy {moment.observed['accuracy']:.4f}")

    def write_scalars(self, moment: Moment) -> None:
        """A point of every training curve: means since the last one, norm and rate of this step."""
        means = self._sums.take_log(moment.sums)
        steps, secs = self._since_last_scalars(moment)
        numbers = {name: moment.observed[name] for name in ("learning_rate", "gradient_norm")}
        rate = {"examples_per_sec": steps * self._batch_size / secs} if secs > 0 else {}
        self._log.write(moment.step, "train", {**means, **numbers, **rate})
        if not math.isfinite(means["total_loss"]):
            raise DivergedError(f"The training loss is {means['total_loss']} at step {moment.step}.", moment.step)
        if not math.isfinite(moment.observed["gradient_norm"]):
            norm = moment.observed["gradient_norm"]
            raise DivergedError(f"The norm of the gradients is {norm} at step {moment.step}.", moment.step)

    def evaluate(self, moment: Moment) -> None:
        """Scores the validation split; ends the run where that has been waited on for too long."""
        assert self._validate is not None
        scores = self._validate()
        numbers = {"loss": scores.loss, "accuracy": scores.accuracy}
        if self._validate_average is not None:
            averaged = self._validate_average()
            numbers |= {"average_loss": averaged.loss, "average_accuracy": averaged.accuracy}
        self._validated = (moment.step, numbers)
        self._log.write(moment.step, "validation", numbers)
        self._early_stopping.update(moment.step, loss=scores.loss, accuracy=scores.accuracy)
        if self._early_stopping.exhausted:
            moment.end_run("stopped_early")

    def finish_epoch(self, moment: Moment) -> None:
        """The epoch's line, with the mean over its training batches, each before its update."""
        train = self._sums.take_epoch()
        self._log.write(moment.step, "train", {"epoch_loss": train["loss"], "epoch_accuracy": train["accuracy"]})
        if not self._is_printed(moment):
            return
        parts = [f"train loss {train['loss']:.4f} accuracy {train['accuracy']:.4f}"]
        scores = self._scores_at(moment.step)
        if scores is not None:
            parts.append(f"validation loss {scores['loss']:.4f} accuracy {scores['accuracy']:.4f}")
            if "average_loss" in scores:
                parts.append(f"averaged {scores['average_loss']:.4f} {scores['average_accuracy']:.4f}")
        now = time.monotonic()
        self._say("  ".join([f"epoch {self._number(moment.step)}:", *parts, f"{now - self._epoch_start:.1f} s"]))
        self._epoch_start = now

    def _is_printed(self, moment: Moment) -> bool:
        """Whether this epoch is one of those that get a line."""
        complete = math.floor(moment.step / self._per_epoch)
        return complete % self._print_every_epochs == 0 or moment.step == moment.last_step or bool(moment.ended_by)

    def save(self, moment: Moment) -> None:
        """Commits the run up to here."""
        scores = self._scores_at(moment.step)
        self._save(moment.step, None if scores is None else scores[self._early_stopping.monitor])

    def save_best(self, moment: Moment) -> None:
        """Commits where the evaluation at this step is among the best so far."""
        scores = self._scores_at(moment.step)
        if scores is not None and self._is_among_best(scores[self._early_stopping.monitor]):
            self.save(moment)

    def _scores_at(self, step: int) -> dict[str, float] | None:
        """What the validation at this step gave; None where there was none."""
        return self._validated[1] if self._validated is not None and self._validated[0] == step else None

    def _number(self, step: int) -> str:
        """`3` at the step that completes epoch 3; `3.25` where a run ends within one."""
        complete = math.floor(step / self._per_epoch)
        return (
            str(complete)
            if complete > math.floor((step - 1) / self._per_epoch)
            else f"{float(step / self._per_epoch):.2f}"
        )

    def _since_last_scalars(self, moment: Moment) -> tuple[int, float]:
        """Steps and training seconds since the last point; the first of a process has no rate."""
        now = (moment.step, moment.train_secs)
        before, self._last_scalars = self._last_scalars, now
        return (0, 0.0) if before is None else (now[0] - before[0], now[1] - before[1])
