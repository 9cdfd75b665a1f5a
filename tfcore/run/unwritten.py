"""What a worker other than the chief has in place of the run's files: the same objects, which write nothing."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorboard.compat.proto.summary_pb2 import Summary

from tfcore.look.observer import Observer
from tfcore.metrics import Scores
from tfcore.training import observation
from tfcore.training.checkpoints import Checkpoints
from tfcore.training.evaluation import Predictions
from tfcore.training.events import Moment, Schedule
from tfcore.training.loop import NextStep
from tfcore.training.run_log import RunLog
from tfcore.training.run_time import RunTime


class UnwrittenLog(RunLog):
    """A log of nothing."""

    def __init__(self, folder: Path) -> None:
        del folder  # which nothing is written to

    def write(self, step: int, split: str, numbers: Mapping[str, float]) -> None:
        """Leaves out the line."""

    def add(self, step: int, split: str, values: Iterable[Summary.Value]) -> None:
        """Leaves out the values."""

    def describe(self, values: Iterable[Summary.Value]) -> None:
        """Leaves out the values."""

    def graph(self, definition: Any) -> None:
        """Leaves out the graph."""

    def commit(self) -> None:
        """Has nothing to flush."""

    def close(self) -> None:
        """Has nothing to close."""


class UnwrittenTime(RunTime):
    """The time of this process alone."""

    def resume(self, step: int) -> int:
        """Counts all steps as timed: the chief's file has their times."""
        del step
        return 0

    def commit(self, step: int, train_secs: float) -> None:
        """Leaves out the line."""


class UnwrittenCheckpoints(Checkpoints):
    """The chief's checkpoints, which it alone saves, reads and deletes."""

    def steps(self) -> list[int]:
        """None: what the chief has is asked for by `Workers.broadcast`."""
        return []

    def save(self, step: int, *, score: float | None = None, keep_step: int | None = None) -> None:
        """Saves nothing."""

    def rotate(self, *, keep_step: int | None) -> None:
        """Deletes nothing."""

    def sweep(self) -> None:
        """Deletes nothing."""


class UnwrittenObserver(Observer):
    """Takes part in what all workers compute for an observation, and shows none of it."""

    def begin(self) -> None:
        """Shows nothing."""

    def observe(self, next_step: Callable[[], NextStep], moment: Moment) -> None:
        """Runs the next step with the other workers."""
        del moment
        observation.observe(self._parts.model, self._parts.step, next_step)

    def look_at_validation(self, evaluation: Schedule, moment: Moment) -> None:
        """Shows nothing."""

    def conclude(
        self, step: int, scores: Scores, predictions: Predictions | None, images: tf.Tensor, labels: tf.Tensor
    ) -> None:
        """Shows nothing."""
