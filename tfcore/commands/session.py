"""One process's part of a run: everything built, restored, trained, logged, saved and scored."""

import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import tensorflow as tf
from rich.console import Console

from tfcore import __version__
from tfcore.commands import builders, display, loading, runtime
from tfcore.config import RunConfig, describe
from tfcore.data.batches import EvaluationBatches, TrainingBatches, data_errors
from tfcore.data.dataset import Dataset
from tfcore.errors import ConfigError, TfcoreError
from tfcore.metrics import Scores
from tfcore.modules import layer_table, named_variables
from tfcore.training import run_log
from tfcore.training.checkpoints import Checkpoints
from tfcore.training.early_stopping import EarlyStopping
from tfcore.training.evaluation import Evaluation
from tfcore.training.events import Event, Schedule
from tfcore.training.loop import Loop
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

    Attributes:
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
    ) -> None:
        self.config, self.folder, self.console = config, folder, console
        self._start, self._max_call_steps, self._own_events = time.monotonic(), max_call_steps, events
        self.data = builders.dataset(config) if data is None else data
        self.splits = builders.splits(config, self.data)
        self.architecture = builders.architecture(config, self.data)
        statistics = builders.statistics(config, self.data)
        self.model = builders.model(self.architecture, seed=config.seed, statistics=statistics, cls=model)
        self.total_steps = config.total_steps(len(self.splits["train"]))
        self.step = builders.training_step(config, self.model, self.total_steps)
        self.evaluation = Evaluation(self.model, builders.loss(config), classes=self.data.classes)
        self.sums = TrainingSums(self.step.sums)
        self.early_stopping = EarlyStopping(monitor=config.monitor, patience=config.patience)
        self.checkpoints = Checkpoints(
            folder.checkpoints, self._state(), about=self._about(), keep=config.keep_checkpoints or None
        )

    def run(self, *, pause_step: int | None = None) -> tuple[int, dict[str, Any]]:
        """Trains to the end, to `pause_step` or to a signal.

        Returns:
            The exit status, and what `result.json` says.
        """
        self._introduce()
        self.checkpoints.sweep()
        first_step = self._restore()
        self.checkpoints.rotate(keep_step=self.early_stopping.best_step)  # a kill may have come before the last one
        self.folder.write_config(self.config.flags())  # first: it is what tells a run from a folder of other files
        self.folder.write_architecture(self.architecture.to_json())
        log = run_log.RunLog(self.folder.path)
        try:
            if first_step == 0:
                log.text("configuration", _as_markdown(self.config))
            with data_errors(self.splits.values()):
                return self._train(log, first_step, pause_step)
        except TfcoreError:
            self.folder.write_result({"status": "failed", "steps": int(self.step.optimizer.step.numpy())})
            raise
        finally:
            log.close()

    def _train(self, log: run_log.RunLog, first_step: int, pause_step: int | None) -> tuple[int, dict[str, Any]]:
        """The loop, and what follows it."""
        bar = display.progress(self.console, first_step, self.total_steps, self.sums.of_epoch)
        with StopSignals() as stop, bar as show_progress:
            loop = self.loop(log, show_progress)
            ended_by = "stopped_early" if self.early_stopping.exhausted else None
            ended_by = ended_by or loop.run(self.total_steps, pause_step=pause_step, should_stop=stop)
            steps = int(self.step.optimizer.step.numpy())
            self._save(log, steps)
            result: dict[str, Any] = {"status": ended_by or "finished", "steps": steps, "train_secs": loop.train_secs}
            result["examples_per_sec"] = (steps - first_step) * self.config.batch_size / max(loop.train_secs, 1e-9)
            if self.early_stopping.best_step is not None:
                result["best"] = {"step": self.early_stopping.best_step, "validation": self.early_stopping.best_scores}
            if ended_by != "interrupted":
                result |= self._test(log, steps)
        log.flush()  # before the result, after which nothing that is lacking would ever be written
        self.folder.write_result(result)
        self._say_result(result, loop.train_secs)
        return (_SIGNAL_STATUS + stop.received if ended_by == "interrupted" and stop.received else 0), result

    def loop(self, log: run_log.RunLog, show_progress: Callable[[int], None] = lambda _: None) -> Loop:
        """The loop with its events, in the order in which they happen at a step."""
        batches = TrainingBatches(self.splits["train"], batch_size=self.config.batch_size, seed=self.config.seed)
        validation = self.evaluation_batches("validation") if "validation" in self.splits else None
        standard = StandardEvents(
            log=log, sums=self.sums, batch_size=self.config.batch_size,
            validate=None if validation is None else lambda: self.evaluation(validation),
            validate_average=None if validation is None else self._with_averages(validation),
            early_stopping=self.early_stopping, save=lambda step: self._save(log, step),
            say=self.console.print, per_epoch=self.config.steps_per_epoch(len(self.splits["train"])),
            print_every_epochs=self.config.print_every_epochs,
        )  # fmt: skip
        config, events = self.config, self._events(standard)
        return Loop(
            self.step, batches, events, xla=config.xla == "on", max_call_steps=self._max_call_steps,
            after_call=show_progress,
        )  # fmt: skip

    def _events(self, standard: StandardEvents) -> list[Event]:
        """The standard events with one's own before the checkpoint, and when each is due."""
        config = self.config
        per_epoch = config.steps_per_epoch(len(self.splits["train"]))
        every = config.batch_accuracy_every_steps
        events = standard.events(
            batch_accuracy=Schedule(Fraction(every), offset=1) if every else None,
            scalars=Schedule(Fraction(config.log_every_steps), also_last=True),
            evaluation=Schedule(Fraction(str(config.evaluate_every_epochs)) * per_epoch, also_last=True),
            epoch=Schedule(per_epoch, also_last=True),
            checkpoint=Schedule(Fraction(str(config.checkpoint_every_epochs)) * per_epoch),
        )
        place = next(number for number, event in enumerate(events) if event.name == "checkpoint")
        return [*events[:place], *self._own_events(self), *events[place:]]

    def evaluation_batches(self, split: str) -> EvaluationBatches:
        """All of a split, padded to the evaluation's batch size."""
        return EvaluationBatches(self.splits[split], batch_size=self.config.eval_batch_size)

    def _with_averages(self, batches: EvaluationBatches) -> Callable[[], Scores] | None:
        """An evaluation with the averaged weights; None where there are none."""
        if self.config.average_decay is None:
            return None

        def score() -> Scores:
            with self.step.optimizer.averaged_weights():
                return self.evaluation(batches)

        return score

    def _save(self, log: run_log.RunLog, step: int) -> None:
        """The checkpoint is the commit: what it stands for has to be in the logs before."""
        log.flush()
        if step not in self.checkpoints.steps():
            self.checkpoints.save(step, keep_step=self.early_stopping.best_step)

    def _test(self, log: run_log.RunLog, step: int) -> dict[str, dict[str, float]]:
        """Scores the test split with the best weights if there was a patience, else the last; averages beside them."""
        best = self.early_stopping.best_step
        if self.config.patience is not None and best is not None and best != step:
            for part in ("model.", "optimizer.average."):
                self.checkpoints.restore(best, only=part)
        batches = self.evaluation_batches("test")
        found = {"test": display.headline(self.evaluation(batches))}
        averaged = self._with_averages(batches)
        if averaged is not None:
            found["test_average"] = display.headline(averaged())
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

    def _about(self) -> dict[str, Any]:
        """What a run must have in common with its resumption to be exact to the bit."""
        return {"tfcore": __version__, "tensorflow": tf.__version__, "intra_op_threads": self.config.intra_op_threads}

    def _restore(self) -> int:
        """Goes back to the newest checkpoint, and takes back what was logged after it; the step to go on from."""
        steps = self.checkpoints.steps()
        if not steps:
            run_log.trim(self.folder.path, -1)
            if self.config.init_from:
                path = Path(self.config.init_from)
                loading.assign_weights(self.model, loading.read_weights(path), path)
                self.console.print(f"Starting from the weights of {path}.")
            return 0
        if steps[-1] > self.total_steps:
            raise ConfigError(
                f"The run in {self.folder.path} has done {steps[-1]} steps, more than the {self.total_steps} asked for."
            )
        about = self.checkpoints.restore(steps[-1])
        run_log.trim(self.folder.path, steps[-1])
        changed = {name: (value, about.get(name)) for name, value in self._about().items() if value != about.get(name)}
        if changed:
            self.console.print(f"warning: this process differs from the one that saved: {describe(changed)}. "
                               "The run goes on, but not to the bit as it would have.")  # fmt: skip
        self.console.print(f"Resuming {self.folder.path} at step {steps[-1]} of {self.total_steps}.")
        return steps[-1]

    def _introduce(self) -> None:
        """The start-up block."""
        config, sizes = self.config, ", ".join(f"{len(part):,} {name}" for name, part in self.splits.items())
        threads = f"{config.intra_op_threads or 'all'} intra-op, {config.inter_op_threads or 'all'} inter-op threads"
        self.console.print(
            f"tfcore: {config.model} on {config.dataset} in {config.precision} ({runtime.why_precision(config)})"
        )
        self.console.print(f"runtime: {threads}, XLA {config.xla}")
        self.console.print(f"data: {sizes} examples of {self.data.classes} classes")
        self.console.print(
            f"plan: {self.total_steps:,} steps of {config.batch_size}, {config.optimizer} at {config.learning_rate:g}, "
            f"{config.schedule} schedule, seed {config.seed}"
        )
        self.console.print(f"run folder: {self.folder.path}")
        rows = layer_table(self.model, self.data.image_shape)
        self.console.print(display.model_table(rows))
        self.console.print(display.model_totals(rows))

    def _say_result(self, result: dict[str, Any], train_secs: float) -> None:
        """The last block."""
        say, where = self.console.print, self.folder.path
        if result["status"] == "interrupted":
            say(f"Stopped and saved at step {result['steps']} of {self.total_steps}. Go on with --run_dir={where}")
            return
        if "best" in result:
            best, step = result["best"]["validation"], result["best"]["step"]
            say(f"best validation loss {best['loss']:.4f}, accuracy {best['accuracy']:.4f}, at step {step:,}")
        total = time.monotonic() - self._start
        how = result["status"].replace("_", " ")
        say(f"{how} after {result['steps']:,} steps in {total:.1f} s ({train_secs:.1f} s of training)")
        say(f"test loss {result['test']['loss']:.4f}, test accuracy {result['test']['accuracy']:.4f}")
        if "test_average" in result:
            averaged = result["test_average"]
            say(f"with averaged weights: test loss {averaged['loss']:.4f}, test accuracy {averaged['accuracy']:.4f}")
        say(f"Look at it: {display.tensorboard_command(where)}")


def _as_markdown(config: RunConfig) -> str:
    """Flags as an indented block."""
    return "".join(f"    {line}\n" for line in config.flags().splitlines())
