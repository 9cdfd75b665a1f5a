"""One process's part of a run: everything built, restored, trained, logged, saved and scored."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from fractions import Fraction
from functools import cached_property, partial
from typing import Any

import tensorflow as tf
from rich.console import Console

from tfcore.build.data import load_dataset, make_splits, pixel_statistics
from tfcore.build.model import build_model, plan_model
from tfcore.build.optimizer import build_loss, build_step
from tfcore.config import RunConfig
from tfcore.data.batches import EvaluationBatches, TrainingBatches, data_errors
from tfcore.data.dataset import Dataset
from tfcore.errors import DiskError, TfcoreError
from tfcore.look.observer import Observer
from tfcore.machine import machine
from tfcore.metrics import Scores
from tfcore.modules import LayerRow, named_variables
from tfcore.run import diagnose, messages, restore
from tfcore.run.provenance import Provenance
from tfcore.terminal import progress, tables
from tfcore.training import divergence, run_log
from tfcore.training.checkpoints import Checkpoints
from tfcore.training.divergence import DivergedError
from tfcore.training.early_stopping import EarlyStopping
from tfcore.training.evaluation import Evaluation
from tfcore.training.events import Event, Schedule
from tfcore.training.loop import Loop, NextStep
from tfcore.training.run_folder import RunFolder
from tfcore.training.signals import StopSignals
from tfcore.training.standard_events import StandardEvents
from tfcore.training.sums import TrainingSums

_SIGNAL_STATUS = 128


class Session:
    """Builds the run of `config` in `folder`, restored to its newest checkpoint if there is one.

    Args:
        config: resolved.
        folder: held by this process.
        console: where the log goes.
        data: what to train on; None for what the configuration names.
        model: the model's class; None for what the configuration names.
        events: gives events of one's own, each called after the standard ones of its step and before its checkpoint,
            but passive ones before both.
        max_call_steps: see `Loop`.
        quiet: only warnings and the last block go to the console.

    Attributes:
        details: a console for what is left out where it is to be quiet.
        model, step, evaluation, sums, early_stopping, checkpoints: the parts of the run.
        data, splits: the data set, and the examples of `train`, `validation` and `test`.
    """

    def __init__(
        self,
        config: RunConfig,
        folder: RunFolder,
        console: Console,
        *,
        data: Dataset | None = None,
        model: type | None = None,
        events: Callable[["Session"], Sequence[Event]] = lambda _: (),
        max_call_steps: int | None = None,
        quiet: bool = False,
    ) -> None:
        self.config, self.folder, self.console = config, folder, console
        self.details = Console(quiet=True) if quiet else console
        self._start, self._max_call_steps, self._own_events = time.monotonic(), max_call_steps, events
        self._class = model
        self.data = load_dataset(config) if data is None else data
        self.splits = make_splits(config, self.data)
        self.architecture = plan_model(config, self.data)
        statistics = pixel_statistics(config, self.data)
        self.model = build_model(self.architecture, seed=config.seed, statistics=statistics, cls=model)
        self.total_steps = config.total_steps(len(self.splits["train"]))
        self.step = build_step(config, self.model, self.total_steps)
        self.evaluation = Evaluation(self.model, build_loss(config), classes=self.data.classes)
        self.sums = TrainingSums(self.step.sums)
        self.early_stopping = EarlyStopping(monitor=config.monitor, patience=config.patience)
        self.provenance = Provenance(config, self.data.train)
        self.checkpoints = Checkpoints(
            folder.checkpoints, self._state(), about=self.provenance.facts, keep=config.keep_checkpoints or None,
            keep_best=config.keep_best, lower_is_better=config.monitor == "loss", warn=console.print,
        )  # fmt: skip

    def twin(self) -> "Session":
        """The same run with variables of its own, as before its first step; nothing is restored or written."""
        return Session(self.config, self.folder, Console(quiet=True), data=self.data, model=self._class)

    def run(
        self, *, pause_step: int | None = None, max_secs: float = math.inf, on_start: Callable[[], None] = lambda: None
    ) -> tuple[int, dict[str, Any]]:
        """Trains to the end, to `pause_step`, to a signal, or until `max_secs` are over.

        Args:
            pause_step: see `Loop.run`.
            max_secs: looked at after each call, as a signal is.
            on_start: called once the logs are what the run goes on from; of a new run before it has left a trace.

        Returns:
            The exit status, and what `result.json` says.
        """
        deadline = time.monotonic() + max_secs
        messages.introduce(self)
        self.folder.sweep()
        self.checkpoints.sweep()
        first_step = restore.resume(self)
        self.checkpoints.rotate(keep_step=self.early_stopping.best_step)  # a kill may have come before the last one
        is_new = not self.folder.is_started
        if is_new:
            on_start()
        try:
            # The configuration is first: it makes the folder a run's, and takes the result back.
            self.folder.write_config(self.config.flags())
            self.folder.write_architecture(self.architecture.to_json())
            run_log.trim(self.folder.path, first_step or -1)
            if not is_new:
                on_start()
            with run_log.RunLog(self.folder.path) as log, data_errors(self.splits.values()):
                if first_step == 0:
                    Observer(self, log).begin()
                return self._diagnosed(log, lambda: self._train(log, first_step, pause_step, deadline))
        except TfcoreError as error:
            self._write_failure(error)
            if isinstance(error, DiskError):
                raise DiskError(f"{error} {restore.how_to_go_on(self)}") from error
            raise

    def _diagnosed(self, log: run_log.RunLog, train: Callable[[], tuple[int, dict[str, Any]]]) -> Any:
        """What `train` gives; where numbers go bad, the error says where that began."""
        try:
            return train()
        except DivergedError as error:
            raise diagnose.diagnosed(self, error, log) from error

    def _write_failure(self, error: TfcoreError) -> None:
        """The result of a run that an error ends; where that cannot be written, the error is what there is to tell."""
        result: dict[str, Any] = {"status": "failed", "steps": int(self.step.optimizer.step.numpy())}
        if isinstance(error, DivergedError):
            result |= {"steps": error.step, **error.found}
        with suppress(DiskError):
            if self.folder.is_started:
                self.folder.write_result(result)

    def _train(
        self, log: run_log.RunLog, first_step: int, pause_step: int | None, deadline: float
    ) -> tuple[int, dict[str, Any]]:
        """The loop, and what follows it."""
        with StopSignals() as stop, progress.following(self.details, self._progress(first_step)) as show_progress:
            loop = self.loop(log, show_progress)
            ended_by = "stopped_early" if self.early_stopping.exhausted else None
            ended_by = ended_by or loop.run(
                self.total_steps, pause_step=pause_step, should_stop=lambda: stop() or time.monotonic() >= deadline
            )
            steps = int(self.step.optimizer.step.numpy())
            self._save(log, steps)
            result: dict[str, Any] = {"status": ended_by or "finished", "steps": steps, "train_secs": loop.train_secs}
            result["machine"] = machine()
            result["examples_per_sec"] = (steps - first_step) * self.config.batch_size / max(loop.train_secs, 1e-9)
            if self.early_stopping.best_step is not None:
                result["best"] = {"step": self.early_stopping.best_step, "validation": self.early_stopping.best_scores}
            if ended_by != "interrupted":
                result |= self._test(log, loop, steps)
        log.commit()  # before the result says that there is nothing left to do
        self.folder.write_result(result)
        messages.conclude(self, result, loop.train_secs, time.monotonic() - self._start)
        return (_SIGNAL_STATUS + stop.received if ended_by == "interrupted" and stop.received else 0), result

    def _progress(self, first_step: int) -> progress.ProgressLine:
        """What the line that follows training is made of."""
        best = self.early_stopping
        return progress.ProgressLine(
            first_step=first_step, total_steps=self.total_steps, batch_size=self.config.batch_size,
            per_epoch=self.config.steps_per_epoch(len(self.splits["train"])), means=self.sums.of_epoch,
            best=lambda: None if best.best_step is None else best.best_scores,
        )  # fmt: skip

    def loop(self, log: run_log.RunLog, show_progress: Callable[[int], None] = lambda _: None) -> Loop:
        """The loop with its events, in the order in which they happen at a step."""
        validation = self.evaluation_batches("validation") if "validation" in self.splits else None
        observer = Observer(self, log)
        standard = StandardEvents(
            log=log, sums=self.sums, batch_size=self.config.batch_size,
            validate=None if validation is None else lambda: observer.validate(validation),
            validate_average=None if validation is None else self._with_averages(validation),
            early_stopping=self.early_stopping, save=lambda step, score: self._save(log, step, score),
            is_among_best=self.checkpoints.is_among_best,
            say=self.details.print, per_epoch=self.config.steps_per_epoch(len(self.splits["train"])),
            print_every_epochs=self.config.print_every_epochs,
        )  # fmt: skip

        def next_step() -> NextStep:
            return loop.next_step()

        events = self._events(standard, partial(observer.events, next_step))
        loop = Loop(
            self.step, self.training_batches(), events, xla=self.config.xla == "on",
            max_call_steps=self._max_call_steps, after_call=show_progress,
        )  # fmt: skip
        return loop

    def training_batches(self) -> TrainingBatches:
        """Those of every step."""
        return TrainingBatches(self.splits["train"], batch_size=self.config.batch_size, seed=self.config.seed)

    def _events(self, standard: StandardEvents, looks: Callable[[Schedule], list[Event]]) -> list[Event]:
        """The standard events; looks and one's own events before the checkpoint; and when each is due."""
        config = self.config
        per_epoch = config.steps_per_epoch(len(self.splits["train"]))
        every = config.batch_accuracy_every_steps
        evaluation = Schedule(Fraction(str(config.evaluate_every_epochs)) * per_epoch, also_last=True)
        events = standard.events(
            batch_accuracy=Schedule(Fraction(every), offset=1) if every else None,
            scalars=Schedule(Fraction(config.log_every_steps), also_last=True),
            evaluation=evaluation,
            epoch=Schedule(per_epoch, also_last=True),
            checkpoint=Schedule(Fraction(str(config.checkpoint_every_epochs)) * per_epoch),
        )
        place = next(number for number, event in enumerate(events) if event.name == "checkpoint")
        return [*events[:place], *looks(evaluation), *self._own_events(self), *events[place:]]

    def evaluation_batches(self, split: str) -> EvaluationBatches:
        """All of a split, padded to the evaluation's batch size."""
        return EvaluationBatches(self.splits[split], batch_size=self.config.eval_batch_size)

    @cached_property
    def layers(self) -> list[LayerRow]:
        """The model table's; see `messages.layers`."""
        return messages.layers(self)

    def _with_averages(self, batches: EvaluationBatches) -> Callable[[], Scores] | None:
        """An evaluation with the averaged weights; None where there are none."""
        if self.config.average_decay is None:
            return None

        def score() -> Scores:
            with self.step.optimizer.averaged_weights():
                return self.evaluation(batches)

        return score

    def _save(self, log: run_log.RunLog, step: int, score: float | None = None) -> None:
        """The checkpoint is the commit: what it stands for has to be in the logs before, and sound."""
        log.commit()
        if step not in self.checkpoints.steps():
            divergence.check_finite(divergence.state(self.model, self.step), step)
            self.checkpoints.save(step, score=score, keep_step=self.early_stopping.best_step)

    def _test(self, log: run_log.RunLog, loop: Loop, step: int) -> dict[str, dict[str, float]]:
        """Scores the test split with the best weights if there was a patience, else the last; averages beside them."""
        best = self.early_stopping.best_step
        if self.config.patience is not None and best is not None and best != step:
            for part in ("model.", "optimizer.average."):
                self.checkpoints.restore(best, only=part)
        batches = self.evaluation_batches("test")
        observer = Observer(self, log)
        scores, predictions = observer.test(batches)
        found = {"test": tables.headline(scores)}
        observer.conclude(step, scores, predictions, *loop.next_batch())
        averaged = self._with_averages(batches)
        if averaged is not None:
            found["test_average"] = tables.headline(averaged())
        averages = {f"average_{name}": value for name, value in found.get("test_average", {}).items()}
        log.write(step, "test", found["test"] | averages)
        return found

    def _state(self) -> dict[str, tf.Variable]:
        """Everything that a run is: names to variables."""
        parts = {
            "model": named_variables(self.model),
            "optimizer": self.step.optimizer.variables,
            "sums": self.sums.variables,
            "early_stopping": self.early_stopping.variables,
        }
        return {f"{part}.{name}": variable for part, variables in parts.items() for name, variable in variables.items()}

    def newest_step(self) -> int:
        """Of the newest checkpoint; 0 before the first."""
        return max(self.checkpoints.steps(), default=0)
