"""Writes the summaries of a run other than its curves: for TensorBoard during training, and pictures at the end."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfcore import ops
from tfcore.config import RunConfig
from tfcore.config_fields import IDENTITY
from tfcore.config_values import spelled
from tfcore.data.batches import EvaluationBatches
from tfcore.files import replacing
from tfcore.look import album
from tfcore.look.album import Album, Png
from tfcore.machine import machine
from tfcore.metrics import Scores
from tfcore.modules import LayerRow, graph
from tfcore.run.parts import Parts
from tfcore.terminal import tables
from tfcore.training import observation, summaries
from tfcore.training.evaluation import Predictions
from tfcore.training.events import Event, Moment, Schedule
from tfcore.training.loop import NextStep
from tfcore.training.observation import Observed
from tfcore.training.run_folder import PICTURES, TEST
from tfcore.training.run_log import RunLog

_IMAGES_EVERY = 5  # observations
_OF_PREDICTIONS = {"images", "pr_curves"}  # parts that show predictions
_ALWAYS = {"model", "dataset", "optimizer", "learning_rate", "batch_size", "seed"}  # settings that HParams shows


class Observer:
    """Writes the summaries of a run.

    Args:
        parts: of the run.
        folder: the run's.
        log: the run's log.
    """

    def __init__(self, parts: Parts, folder: Path, log: RunLog) -> None:
        self._parts, self._folder, self._log = parts, folder, log
        self._summaries = self._parts.config.summary_parts
        self._every = parts.config.observe_every_steps
        self._album = Album(parts)
        self._validated: tuple[Scores, Predictions] | None = None  # by the newest evaluation

    def begin(self) -> None:
        """Writes the summaries of the whole run: configuration, model, machine, graph, hyperparameters."""
        config, model, shape = self._parts.config, self._parts.model, self._parts.data.image_shape
        if "text" in self._summaries:
            pages = {"configuration": _as_block(config.flags()), "model": _model_page(self._parts.layers),
                     "machine": f"{machine()}\n"}  # fmt: skip
            self._log.add(0, "train", [summaries.text(name, page) for name, page in pages.items()])
        if "graph" in self._summaries:
            with ops.plain():  # the ops that the model's own lines name
                self._log.graph(graph(model, shape))
        if "hparams" in self._summaries:
            name = self._folder.resolve().name
            self._log.describe([summaries.hparams(name, _settings(config))])

    def events(self, next_step: Callable[[], NextStep], evaluation: Schedule) -> list[Event]:
        """Returns the events: observations after the first, every n-th and the last step, and predictions.

        Args:
            next_step: the loop's.
            evaluation: when `validate` is called.
        """
        found = []
        if self._summaries & {"norms", "histograms", "images"}:
            looks = Schedule(self._every, offset=1, also_last=True)
            found.append(Event("observation", looks, partial(self.observe, next_step)))
        if self._summaries & _OF_PREDICTIONS and "validation" in self._parts.splits:
            found.append(Event("predictions", evaluation, partial(self.look_at_validation, evaluation)))
        return found

    def validate(self, batches: EvaluationBatches) -> Scores:
        """Scores the validation split, and keeps the predictions where `look_at_validation` shows them."""
        if not self._summaries & _OF_PREDICTIONS:
            return self._parts.evaluation(batches)
        self._validated = self._parts.evaluation.with_predictions(batches)
        return self._validated[0]

    def test(self, batches: EvaluationBatches) -> tuple[Scores, Predictions | None]:
        """Scores the test split; with its predictions where `conclude` shows them."""
        if not self._summaries & _OF_PREDICTIONS and not self._parts.config.report:
            return self._parts.evaluation(batches), None
        return self._parts.evaluation.with_predictions(batches)

    def observe(self, next_step: Callable[[], NextStep], moment: Moment) -> None:
        """Records the next step's norms and histograms, every fifth time with pictures; `conclude` draws the last."""
        step = moment.step
        observed = observation.observe(self._parts.model, self._parts.step, next_step)
        if "norms" in self._summaries:
            self._log.write(step, "train", observation.norms(observed))
        if "histograms" in self._summaries:
            self._log.add(step, "train", _histograms(observed))
        if "images" in self._summaries and (step - 1) % (_IMAGES_EVERY * self._every) == 0 and step < moment.last_step:
            self._show(step, "train", self._album.model(observed))

    def look_at_validation(self, evaluation: Schedule, moment: Moment) -> None:
        """Records the predictions of the first evaluation after each observation, and of the last evaluation.

        The observation after the first step does not count: its predictions would say little.
        """
        step, is_last = moment.step, moment.step == moment.last_step or moment.ended_by is not None

        def is_due(every: int) -> bool:
            newest = (step - 1) // every * every  # completed steps before the newest observation
            return is_last or (newest > 0 and evaluation.next_after(newest, moment.last_step) == step)

        if not is_due(self._every):
            return
        assert self._validated is not None
        scores, predictions = self._validated
        self._show_curves(step, "validation", predictions)
        if "images" in self._summaries and is_due(_IMAGES_EVERY * self._every):
            pictures = self._album.confusion("validation", scores) | self._album.mistakes("validation", predictions)
            self._show(step, "validation", pictures)

    def conclude(
        self, step: int, scores: Scores, predictions: Predictions | None, images: tf.Tensor, labels: tf.Tensor
    ) -> None:
        """Writes the summaries of the test split, `test.json`, and the pictures for the report.

        A run that is extended or ends again restarts the log of the test split.

        Args:
            step: completed steps.
            scores, predictions: of `test`.
            images, labels: a training batch, as the model gets it.
        """
        with replacing(self._folder / TEST) as scratch:
            text = json.dumps(tables.scores_json(scores, self._parts.data.class_names), indent=2)
            scratch.write_text(text + "\n", encoding="utf-8")
        if predictions is None:
            return
        self._show_curves(step, "test", predictions)
        if "images" in self._summaries:
            pictures = self._leave_pictures(predictions, images, labels)
            self._show(step, "test", self._album.confusion("test", scores) | pictures)
        elif self._parts.config.report:
            self._leave_pictures(predictions, images, labels)

    def _leave_pictures(self, predictions: Predictions, images: tf.Tensor, labels: tf.Tensor) -> dict[str, Png]:
        """Writes the report's pictures: the model on a training batch, and the mistakes on the test split."""
        seen = observation.see(self._parts.model, images, labels)
        pictures = self._album.model(seen) | self._album.mistakes("test", predictions)
        album.leave(pictures, self._folder / PICTURES)
        return pictures

    def _show_curves(self, step: int, split: str, predictions: Predictions) -> None:
        """Logs a precision-recall curve of each class."""
        if "pr_curves" not in self._summaries:
            return
        labels = self._parts.splits[split].labels[:: predictions.every]
        curves = (
            summaries.pr_curve(name, labels == number, predictions.probabilities[:, number], of=predictions.subset)
            for number, name in enumerate(self._parts.data.class_names)
        )
        self._log.add(step, split, list(curves))

    def _show(self, step: int, split: str, pictures: Mapping[str, Png]) -> None:
        self._log.add(step, split, [summaries.image(name, *picture) for name, picture in pictures.items()])


def _histograms(observed: Observed) -> list[Any]:
    parts = {"weights": observed.weights, "gradients": observed.gradients, "activations": observed.activations}
    return [
        summaries.histogram(f"{name}/{path}", array) for name, arrays in parts.items() for path, array in arrays.items()
    ]


def _settings(config: RunConfig) -> dict[str, Any]:
    """Returns the main settings and those that differ from their defaults, as numbers, bools and text."""
    changed = config.differences(RunConfig(), IDENTITY).keys() | _ALWAYS
    found = {item.name: getattr(config, item.name) for item in fields(config) if item.name in changed}
    return {
        name: spelled(value) if isinstance(value, tuple) else value
        for name, value in found.items()
        if value is not None
    }


def _model_page(rows: Sequence[LayerRow]) -> str:
    """Formats the model table as Markdown."""
    lines = ["| layer | kind | output shape | parameters |", "|---|---|---|--:|"]
    for row in rows:
        lines.append(f"| {row.path} | {row.kind} | {tables.shape(row.output_shape)} | {row.parameters:,} |")
    return "\n".join([*lines, "", tables.model_totals(rows), ""])


def _as_block(text: str) -> str:
    """Indents text as a Markdown block."""
    return "".join(f"    {line}\n" for line in text.splitlines())
