"""The events of every run: order, log entries, ends of runs, checkpoints."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, cast

import numpy as np
import pytest
import tensorflow as tf

from tfcore.metrics import Scores
from tfcore.training.divergence import DivergedError
from tfcore.training.early_stopping import EarlyStopping
from tfcore.training.events import Event, Moment, Schedule
from tfcore.training.run_log import RunLog
from tfcore.training.standard_events import (
    Evaluate,
    FinishEpoch,
    NewestValidation,
    PrintBatchAccuracy,
    SaveBest,
    SaveCheckpoint,
    Schedules,
    WriteScalars,
    in_order,
)
from tfcore.training.sums import TrainingSums

BATCH = 10
NEVER = Schedule(Fraction(10**6))
OBSERVED = {"loss": 9.0, "total_loss": 9.0, "accuracy": 0.25, "learning_rate": 0.5, "gradient_norm": 2.0}


def every(steps: float, *, last: bool = False, offset: int = 0) -> Schedule:
    return Schedule(Fraction(steps), offset=offset, also_last=last)


class Run:
    """Plays a run without TensorFlow graphs, and records all effects of the events in one list."""

    def __init__(
        self, schedules: dict[str, Schedule | None], losses: Sequence[float] | None = (), *,
        patience: int | None = None, others: Sequence[Event] = (),
    ) -> None:  # fmt: skip
        self.notes: list[tuple[Any, ...]] = []
        self.secs, self._losses = 0.0, list(losses or ())
        self.observed = OBSERVED
        self._of_epoch = tf.Variable(tf.zeros([4], tf.float64))
        self.early_stopping = EarlyStopping(monitor="loss", patience=patience)
        sums, newest = TrainingSums(self._of_epoch), NewestValidation()
        log, say = cast(RunLog, self), lambda line: self.notes.append(("say", line))
        evaluate = Evaluate(log, newest, self.early_stopping, validate=self._validate)
        checkpoint = SaveCheckpoint(
            lambda moment, score: self.notes.append(("save", moment.step, score)), newest, self.early_stopping.monitor
        )
        defaults: dict[str, Any] = dict.fromkeys(("scalars", "evaluation", "epoch", "checkpoint"), NEVER)
        self.events = in_order(
            Schedules(**{**defaults, **schedules}),
            batch_accuracy=PrintBatchAccuracy(say),
            scalars=WriteScalars(log, sums, BATCH),
            evaluation=None if losses is None else evaluate,
            epoch=FinishEpoch(log, sums, newest, per_epoch=Fraction(4), say=say),
            others=others,
            checkpoint=checkpoint,
            best=SaveBest(checkpoint, self._is_among_best),
        )

    def _is_among_best(self, score: float) -> bool:
        """As with one checkpoint kept for its score."""
        better = [note for note in self.notes if note[0] == "save" and note[2] is not None and note[2] <= score]
        return not better

    def write(self, step: int, split: str, numbers: dict[str, float]) -> None:
        """Replaces RunLog.write."""
        self.notes.append(("log", step, split, dict(numbers)))

    def _validate(self) -> Scores:
        loss = self._losses.pop(0) if self._losses else 1.0
        return Scores(10, loss, 0.75, 1.0, 2, np.diag([5, 5]))

    def play(self, last_step: int, *, loss: float = 2.0) -> str | None:
        """Runs steps of one second each, with `loss`, a penalty of 1, and half of the examples right."""
        for step in range(1, last_step + 1):
            self.secs += 1.0
            self._of_epoch.assign_add([loss * BATCH, (loss + 1) * BATCH, BATCH / 2, BATCH])
            sums = tuple(self._of_epoch.numpy().tolist())
            moment = Moment(step, last_step, dict(self.observed), sums, self.secs)
            for event in self.events:
                if event.schedule.is_due(step, last_step):
                    event.action(moment)
            if moment.ended_by:
                return moment.ended_by
        return None

    def saves(self) -> list[int]:
        return [note[1] for note in self.notes if note[0] == "save"]

    def logged(self, split: str, key: str) -> list[tuple[int, float]]:
        return [
            (note[1], note[3][key])
            for note in self.notes
            if note[:1] == ("log",) and note[2] == split and key in note[3]
        ]


def test_the_order_is_scalars_evaluation_epoch_checkpoint_best() -> None:
    names = ["scalars", "evaluation", "epoch", "checkpoint", "best"]
    run = Run({name: every(4) for name in names[:-1]})
    assert [event.name for event in run.events] == names
    run.play(4)
    kinds = [note[0] if note[0] != "log" else note[2] for note in run.notes]
    assert kinds == ["train", "validation", "train", "say", "save"]


def test_other_events_come_before_the_checkpoint_and_the_best() -> None:
    run = Run({"evaluation": every(4), "checkpoint": every(4)}, others=[Event("mine", every(4), lambda _: None)])
    assert [event.name for event in run.events] == ["scalars", "evaluation", "epoch", "mine", "checkpoint", "best"]


def test_without_validation_there_is_nothing_to_evaluate_nor_a_best() -> None:
    run = Run({"epoch": every(4), "checkpoint": every(4), "evaluation": every(4)}, None)
    assert [event.name for event in run.events] == ["scalars", "epoch", "checkpoint"]
    run.play(4)
    assert run.saves() == [4]


def test_scalars_are_means_since_the_last_point() -> None:
    run = Run({"scalars": every(3, last=True)})
    run.play(5)
    assert run.logged("train", "loss") == [(3, 2.0), (5, 2.0)]
    assert run.logged("train", "total_loss") == [(3, 3.0), (5, 3.0)]
    assert run.logged("train", "accuracy") == [(3, 0.5), (5, 0.5)]
    assert run.logged("train", "learning_rate") == [(3, 0.5), (5, 0.5)]
    assert run.logged("train", "gradient_norm") == [(3, 2.0), (5, 2.0)]


def test_the_rate_counts_examples_since_the_last_point_and_the_first_has_none() -> None:
    run = Run({"scalars": every(3, last=True)})
    run.play(8)
    assert run.logged("train", "examples_per_sec") == [(6, 10.0), (8, 10.0)]


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_fails_the_run_after_it_is_logged(loss: float) -> None:
    run = Run({"scalars": every(2), "checkpoint": every(2)})
    with pytest.raises(DivergedError, match=rf"training loss is {loss} at step 2\."):
        run.play(4, loss=loss)
    assert [step for step, _ in run.logged("train", "loss")] == [2]
    assert run.saves() == []


def test_the_best_is_saved_though_checkpoints_are_rarer() -> None:
    run = Run({"evaluation": every(2), "checkpoint": every(6)}, [3.0, 2.0, 2.5, 1.0, 1.0])
    run.play(10)
    assert run.saves() == [2, 4, 6, 8]
    assert run.early_stopping.best_step == 8


def test_each_evaluation_is_logged() -> None:
    run = Run({"evaluation": every(2)}, [3.0, 2.0])
    run.play(4)
    assert run.logged("validation", "loss") == [(2, 3.0), (4, 2.0)]
    assert run.logged("validation", "accuracy") == [(2, 0.75), (4, 0.75)]


def test_waiting_too_long_ends_the_run_after_its_checkpoint() -> None:
    run = Run({"evaluation": every(2), "checkpoint": every(6)}, [1.0, 2.0, 2.0, 0.5], patience=2)
    assert run.play(20) == "stopped_early"
    assert run.notes[-1] == ("save", 6, 2.0)
    assert run.saves() == [2, 6]


def test_the_epochs_line_tells_of_training_and_of_the_evaluation_at_the_same_step() -> None:
    run = Run({"evaluation": every(8), "epoch": every(4)}, [1.5])
    run.play(8)
    said = [note[1] for note in run.notes if note[0] == "say"]
    assert said[0].startswith("epoch 1:  train loss 2.0000 accuracy 0.5000  ")
    assert "validation" not in said[0]
    assert "epoch 2:  train loss 2.0000 accuracy 0.5000  validation loss 1.5000 accuracy 0.7500" in said[1]


def test_a_run_that_ends_within_an_epoch_says_how_much_of_it_was_done() -> None:
    run = Run({"epoch": every(4, last=True)})
    run.play(7)
    said = [note[1].split(":")[0] for note in run.notes if note[0] == "say"]
    assert said == ["epoch 1", "epoch 1.75"]


def test_the_accuracy_of_a_batch_counts_steps_from_zero() -> None:
    run = Run({"batch_accuracy": every(3, offset=1)})
    run.play(5)
    assert [note[1] for note in run.notes] == [
        "Step 0: training accuracy 0.2500",
        "Step 3: training accuracy 0.2500",
    ]


@pytest.mark.parametrize("norm", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_fails_the_run_though_the_loss_is(norm: float) -> None:
    run = Run({"scalars": every(2)})
    run.observed = {**OBSERVED, "gradient_norm": norm}
    with pytest.raises(DivergedError, match=rf"norm of the gradients is {norm} at step 2\."):
        run.play(2)


def test_a_score_is_saved_with_the_step_that_it_is_of() -> None:
    run = Run({"evaluation": every(2), "checkpoint": every(3)}, [3.0, 2.0, 1.0])
    run.play(6)
    assert [note[1:] for note in run.notes if note[0] == "save"] == [(2, 3.0), (3, None), (4, 2.0), (6, 1.0)]
