"""The events of a run: standard, observation and custom events, each with its schedule."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from fractions import Fraction

from tfcore.data.batches import EvaluationBatches
from tfcore.look.observer import Observer
from tfcore.metrics import Scores
from tfcore.run.parts import Parts
from tfcore.training.events import Event, Moment, Schedule
from tfcore.training.loop import NextStep
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


def run_events(
    parts: Parts,
    log: RunLog,
    observer: Observer,
    *,
    next_step: Callable[[], NextStep],
    save: Callable[[Moment, float | None], None],
    is_among_best: Callable[[float], bool],
    say: Callable[[str], None],
    custom: Sequence[Event],
) -> list[Event]:
    """Returns the events of a run in their order at a step: observations and custom events precede the checkpoint.

    Args:
        parts: of the run.
        log: its logs.
        observer: records summaries of the run.
        next_step: executes the next step; `Loop.next_step`.
        save: saves a checkpoint at a moment, with the validation score of that moment.
        is_among_best: whether a checkpoint of this score would be among the best ones kept.
        say: prints a line.
        custom: the user's events.
    """
    config, newest, per_epoch = parts.config, NewestValidation(), steps_per_epoch(parts)
    every = config.batch_accuracy_every_steps
    evaluation = Schedule(Fraction(str(config.evaluate_every_epochs)) * per_epoch, also_last=True)
    checkpoint = SaveCheckpoint(save, newest, config.monitor)
    return in_order(
        Schedules(
            batch_accuracy=Schedule(Fraction(every), offset=1) if every else None,
            scalars=Schedule(Fraction(config.log_every_steps), also_last=True),
            evaluation=evaluation,
            epoch=Schedule(per_epoch, also_last=True),
            checkpoint=Schedule(Fraction(str(config.checkpoint_every_epochs)) * per_epoch),
        ),
        batch_accuracy=PrintBatchAccuracy(say),
        scalars=WriteScalars(log, parts.sums, config.batch_size),
        evaluation=_evaluate(parts, log, newest, observer),
        epoch=FinishEpoch(
            log, parts.sums, newest, per_epoch=per_epoch, say=say, print_every=config.print_every_epochs
        ),
        others=[*observer.events(next_step, evaluation), *custom],
        checkpoint=checkpoint,
        best=SaveBest(checkpoint, is_among_best),
    )  # fmt: skip


def steps_per_epoch(parts: Parts) -> Fraction:
    """Returns the number of steps per epoch of the training examples."""
    return parts.config.steps_per_epoch(len(parts.splits["train"]))


def score_averages(parts: Parts, batches: EvaluationBatches, step: int) -> Scores | None:
    """Scores a split with the averaged weights of `step`, whose statistics are up to date; None if there are none."""
    if not parts.has_averages(step):
        return None
    statistics = parts.averaged_statistics
    with parts.step.optimizer.averaged_weights(), statistics.in_use() if statistics else nullcontext():
        return parts.evaluation(batches)


def _evaluate(parts: Parts, log: RunLog, newest: NewestValidation, observer: Observer) -> Evaluate | None:
    """Returns the event action that evaluates the validation split; None without such a split."""
    if "validation" not in parts.splits:
        return None
    batches = parts.evaluation_batches("validation")

    def validate() -> Scores:
        parts.renew_statistics()
        return observer.validate(batches)

    def validate_average() -> Scores | None:
        return score_averages(parts, batches, parts.completed_steps)

    return Evaluate(log, newest, parts.early_stopping, validate=validate, validate_average=validate_average)
