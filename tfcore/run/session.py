"""Restores, trains, logs, saves and scores a run within one process."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from rich.console import Console

from tfcore.build.data import check_validation, load_dataset
from tfcore.config import RunConfig
from tfcore.data.dataset import Dataset
from tfcore.data.examples import data_errors
from tfcore.errors import DiskError, TfcoreError
from tfcore.look.observer import Observer
from tfcore.machine import machine
from tfcore.modules import BrokenModelError
from tfcore.run import memory, messages
from tfcore.run.diagnose import Replay, diagnose
from tfcore.run.events import run_events, score_averages, steps_per_epoch
from tfcore.run.parts import Parts, build_parts
from tfcore.run.provenance import Provenance
from tfcore.run.restore import check_length, how_to_go_on, restore, restore_best
from tfcore.run.together import REPLAY_ALONE, agree_on_facts, answered_by_chief, restore_for_all
from tfcore.run.unwritten import UnwrittenCheckpoints, UnwrittenLog, UnwrittenObserver, UnwrittenTime
from tfcore.terminal import progress, tables
from tfcore.training import divergence, run_log
from tfcore.training.checkpoints import Checkpoints
from tfcore.training.divergence import DivergedError
from tfcore.training.events import Event, Moment
from tfcore.training.loop import Loop, NextStep
from tfcore.training.run_folder import RunFolder
from tfcore.training.run_time import RunTime
from tfcore.training.signals import StopSignals
from tfcore.workers import ALONE, Workers

_SIGNAL_STATUS = 128
Events = Callable[[Parts], Sequence[Event]]


class Session:
    """Builds the run of `config` in `folder`, and runs it from its newest checkpoint, if there is one.

    Args:
        config: resolved.
        folder: locked by this process.
        console: prints the log.
        data: the data set to train on, or what `tfcore.dataset` takes; None for the one that the configuration names.
        model: the model's class; None for the one that the configuration names.
        events: returns custom events, each called after the standard ones of its step and before its checkpoint;
            passive ones are called before both.
        max_call_steps: see `Loop`.
        quiet: only warnings and the last block go to the console.
        workers: of the run. The chief alone reads and writes the folder.

    Attributes:
        details: a console for the lines that `quiet` omits.
        parts, checkpoints: of the run.
    """

    def __init__(
        self,
        config: RunConfig,
        folder: RunFolder,
        console: Console,
        *,
        data: Any = None,
        model: type | None = None,
        events: Events = lambda _: (),
        max_call_steps: int | None = None,
        quiet: bool = False,
        workers: Workers = ALONE,
    ) -> None:
        self.folder, self.console, self.workers = folder, console, workers
        self.details = Console(quiet=True) if quiet else console
        self._run_time = (RunTime if workers.is_chief else UnwrittenTime)(folder.path)
        self._max_call_steps, self._custom_events = max_call_steps, events
        self._model = model
        self.parts = self._built(config, load_dataset(config, data, for_training=True, say=self.details.print))
        self.config = self.parts.config
        if not folder.is_started:
            check_validation(self.config, self.parts.data)
        data, teacher = self.parts.data, self.parts.teacher
        self._provenance = Provenance(
            self.config,
            data.train,
            weights=data.train_weights,
            teacher=teacher.fingerprint if teacher else "",
            workers=workers.count,
        )
        self.checkpoints = self._checkpoints_of(self.parts)

    def _built(self, config: RunConfig, data: Dataset) -> Parts:
        """Builds the parts; if a layer of the model fails, prints the layers before it to standard error."""
        try:
            return build_parts(config, data=data, model=self._model, workers=self.workers)
        except BrokenModelError as error:
            if error.rows:
                terminal = tables.console(to_stderr=True, quiet=self.console.quiet)
                terminal.print(tables.model_table(error.rows, title="The layers before"))
            raise

    def _checkpoints_of(self, parts: Parts) -> Checkpoints:
        """Returns the folder's checkpoints for the variables of `parts`."""
        config = self.config
        return (Checkpoints if self.workers.is_chief else UnwrittenCheckpoints)(
            self.folder.checkpoints, parts.state(), about=self._provenance.facts, keep=config.keep_checkpoints or None,
            keep_best=config.keep_best, lower_is_better=config.monitor == "loss", warn=self.console.print,
        )  # fmt: skip

    def run(
        self, *, pause_step: int | None = None, max_secs: float = math.inf, on_start: Callable[[], None] = lambda: None
    ) -> tuple[int, dict[str, Any]]:
        """Trains to the end, to `pause_step`, to a signal, or for `max_secs`.

        Args:
            pause_step: see `Loop.run`.
            max_secs: checked after each call, like signals.
            on_start: called once the logs are trimmed to the restored step; in a new run before anything is written.

        Returns:
            The exit status, and the content of `result.json`.
        """
        deadline = time.monotonic() + max_secs
        self._introduce()
        self.folder.sweep()
        self.checkpoints.sweep()
        first_step = self._restore()
        # The process may have been killed before the last rotation.
        self.checkpoints.rotate(keep_step=self.parts.early_stopping.best_step)
        is_new = not self.folder.is_started
        if is_new:
            on_start()
        try:
            # The configuration comes first: it marks the folder as a run's, and removes the old result.
            self.folder.write_config(self.config.flags())
            self.folder.write_architecture(self.parts.architecture.to_json())
            if self.workers.is_chief:
                run_log.trim(self.folder.path, first_step or -1)
            if untimed_steps := self._run_time.resume(first_step):
                self.details.print(messages.untimed(untimed_steps))
            if not is_new:
                on_start()
            make_log = run_log.RunLog if self.workers.is_chief else UnwrittenLog
            with make_log(self.folder.path) as log, data_errors(self.parts.splits.values()):
                if first_step == 0:
                    self._observer(log).begin()
                return self._diagnosed(log, lambda: self._train(log, first_step, pause_step, deadline))
        except TfcoreError as error:
            self._write_failure(error)
            if isinstance(error, DiskError):
                raise DiskError(f"{error} {how_to_go_on(self.folder, self.newest_step())}") from error
            raise

    def _introduce(self) -> None:
        """Prints the start-up block, and a warning if a batch will not fit into memory."""
        for line in messages.introduction(self.parts, self.folder.path):
            self.details.print(line)
        if words := memory.warning(self.parts, memory.free_bytes()):
            self.console.print(words)

    def _restore(self) -> int:
        """Restores the newest checkpoint, prints messages about it, and returns its step; 0 for a new run."""
        parts = self.parts
        agree_on_facts(self.workers, self._provenance.facts)
        check_length(parts, self.folder, self.newest_step())
        restored = restore_for_all(parts, lambda: restore(parts, self.folder, self.checkpoints, self._provenance))
        for line in messages.warnings_of_restore(restored):
            self.console.print(line)
        if restored.step:
            self.details.print(f"Resuming {self.folder.path} at step {restored.step} of {self.parts.total_steps}.")
        if restored.weights_from:
            self.details.print(messages.started_from(restored.weights_from, restored.drawn))
        return restored.step

    def _diagnosed(self, log: run_log.RunLog, train: Callable[[], tuple[int, dict[str, Any]]]) -> Any:
        """Returns the result of `train`; on NaN or infinity, replays the run and raises an error with the origin."""
        try:
            return train()
        except DivergedError as error:
            if self.workers.count > 1:
                raise DivergedError(f"{error} {REPLAY_ALONE}", error.step) from error
            first = self.newest_step()
            self.console.print(f"{error} Replaying the run from step {first}, step by step, to find the origin.")
            diagnosis = diagnose(error, self.new_replay, first)
            for point in diagnosis.history:
                log.write(point.step, "train", {"total_loss": point.loss, "gradient_norm": point.gradient_norm})
                self.console.print(
                    f"step {point.step}: total loss {point.loss:.6g}, gradient norm {point.gradient_norm:.6g}"
                )
            raise diagnosis.error from error

    def new_replay(self) -> Replay:
        """Builds the run again with separate variables; it writes nothing."""
        parts = build_parts(self.config, data=self.parts.data, model=self._model, teacher=self.parts.teacher)
        checkpoints = self._checkpoints_of(parts)
        return Replay(parts, lambda: restore(parts, self.folder, checkpoints, self._provenance).step)

    def _write_failure(self, error: TfcoreError) -> None:
        """Writes the result of a run that failed; if the disk fails too, only the error is reported."""
        result: dict[str, Any] = {"status": "failed", "steps": self.parts.completed_steps}
        if isinstance(error, DivergedError):
            result |= {"steps": error.step, **error.found}
        with suppress(DiskError):
            if self.folder.is_started:
                self.folder.write_result(result)

    def _train(
        self, log: run_log.RunLog, first_step: int, pause_step: int | None, deadline: float
    ) -> tuple[int, dict[str, Any]]:
        """Runs the loop, then saves, tests and writes the result."""
        best = self.parts.early_stopping
        with StopSignals() as stop, progress.following(self.details, self._progress(first_step)) as show_progress:
            loop = self.loop(log, show_progress)
            ended_by = "stopped_early" if best.exhausted else None
            ended_by = ended_by or loop.run(
                self.parts.total_steps,
                pause_step=pause_step,
                should_stop=lambda: stop() or time.monotonic() >= deadline,
            )
            steps = self.parts.completed_steps
            self._save(log, steps, train_secs=loop.train_secs)
            result: dict[str, Any] = {"status": ended_by or "finished", "steps": steps, "machine": machine()}
            result |= self._run_time.elapsed(steps, loop.train_secs).result(self.config.batch_size)
            if best.best_step is not None:
                result["best"] = {"step": best.best_step, "validation": best.best_scores}
            if ended_by != "interrupted":
                result |= self._test(log, loop, steps)
        log.commit()  # before the result marks the run as complete
        self._run_time.commit(steps, loop.train_secs)
        self.folder.write_result(result)
        elapsed = self._run_time.elapsed(steps, loop.train_secs)
        for line in messages.conclusion(result, elapsed, folder=self.folder.path, total_steps=self.parts.total_steps):
            self.console.print(line)
        received = max(number or 0 for number in self.workers.exchange(stop.received))
        return (_SIGNAL_STATUS + received if ended_by == "interrupted" and received else 0), result

    def _progress(self, first_step: int) -> progress.ProgressLine:
        """Returns the progress line."""
        best = self.parts.early_stopping
        return progress.ProgressLine(
            first_step=first_step, total_steps=self.parts.total_steps, batch_size=self.config.batch_size,
            per_epoch=steps_per_epoch(self.parts), means=self.parts.sums.of_epoch,
            best=lambda: None if best.best_step is None else best.best_scores,
        )  # fmt: skip

    def _observer(self, log: run_log.RunLog) -> Observer:
        return (Observer if self.workers.is_chief else UnwrittenObserver)(self.parts, self.folder.path, log)

    def loop(self, log: run_log.RunLog, show_progress: Callable[[int], None] = lambda _: None) -> Loop:
        """Returns the loop with its events in their order at a step."""
        parts = self.parts

        def next_step() -> NextStep:
            return loop.next_step()

        def save(moment: Moment, score: float | None) -> None:
            self._save(log, moment.step, score, train_secs=moment.train_secs)

        events = run_events(
            parts, log, self._observer(log), next_step=next_step, save=save,
            is_among_best=answered_by_chief(self.workers, self.checkpoints.is_among_best),
            say=self.details.print, custom=self._custom_events(parts),
        )  # fmt: skip
        loop = Loop(
            parts.phases(), events, xla=self.config.xla == "on", max_call_steps=self._max_call_steps,
            after_call=show_progress, workers=self.workers,
        )  # fmt: skip
        return loop

    def _save(self, log: run_log.RunLog, step: int, score: float | None = None, *, train_secs: float) -> None:
        """Commits the logs, checks that the state is finite, and saves a checkpoint: the logs never lag behind it."""
        log.commit()
        if self.workers.broadcast(step not in self.checkpoints.steps()):
            divergence.check_finite(divergence.state(self.parts.model, self.parts.step), step)
            self._run_time.commit(step, train_secs)
            self.parts.renew_statistics()
            self.checkpoints.save(step, score=score, keep_step=self.parts.early_stopping.best_step)

    def _test(self, log: run_log.RunLog, loop: Loop, step: int) -> dict[str, dict[str, float]]:
        """Scores the test split with the best weights if `patience` is set, else the last ones; also with averages."""
        best, tested = self.parts.early_stopping.best_step, step
        if self.config.patience is not None and best is not None and best != step:
            tested = best
            restore_for_all(self.parts, lambda: restore_best(self.checkpoints, best))
        observer = self._observer(log)
        scores, predictions = observer.test(self.parts.evaluation_batches("test"))
        found = {"test": tables.headline(scores)}
        observer.conclude(step, scores, predictions, *loop.next_batch())
        averaged = score_averages(self.parts, self.parts.evaluation_batches("test"), tested)
        if averaged is not None:
            found["test_average"] = tables.headline(averaged)
        averages = {f"average_{name}": value for name, value in found.get("test_average", {}).items()}
        log.write(step, "test", found["test"] | averages)
        return found

    def newest_step(self) -> int:
        """Returns the step of the newest checkpoint; 0 before the first."""
        return max(self.checkpoints.steps(), default=0)
