"""What a run shows beside its curves: in TensorBoard while it trains, and as pictures when it has ended."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tfcore.config import IDENTITY, RunConfig, spelled
from tfcore.data.batches import EvaluationBatches
from tfcore.files import replacing
from tfcore.look import album
from tfcore.look.album import Album, Png
from tfcore.machine import machine
from tfcore.metrics import Scores
from tfcore.modules import LayerRow, graph
from tfcore.terminal import tables
from tfcore.training import observation, summaries
from tfcore.training.evaluation import Predictions
from tfcore.training.events import Event, Moment, Schedule
from tfcore.training.loop import NextStep
from tfcore.training.observation import Observed
from tfcore.training.run_folder import PICTURES, TEST
from tfcore.training.run_log import RunLog

if TYPE_CHECKING:
    from tfcore.run.session import Session

_IMAGES_EVERY = 5  # looks
_OF_PREDICTIONS = {"images", "pr_curves"}  # parts that show predictions
_ALWAYS = {"model", "dataset", "optimizer", "learning_rate", "batch_size", "seed"}  # settings that HParams shows


class Observer:
    """Looks at a run, and writes down what it sees.

    Args:
        session: the run.
        log: its logs.
    """

    def __init__(self, session: "Session", log: RunLog) -> None:
        self._session, self._log = session, log
        self._parts = session.config.summary_parts
        self._every = session.config.observe_every_steps
        self._album = Album(session)
        self._validated: tuple[Scores, Predictions] | None = None  # by the newest evaluation

    def begin(self) -> None:
        """What holds for all of the run: its configuration, model and machine, the graph, its row of HParams."""
        config, model, shape = self._session.config, self._session.model, self._session.data.image_shape
        if "text" in self._parts:
            pages = {"configuration": _as_block(config.flags()), "model": _model_page(self._session.layers),
                     "machine": f"{machine()}\n"}  # fmt: skip
            self._log.add(0, "train", [summaries.text(name, page) for name, page in pages.items()])
        if "graph" in self._parts:
            self._log.graph(graph(model, shape))
        if "hparams" in self._parts:
            name = self._session.folder.path.resolve().name
            self._log.describe([summaries.hparams(name, _settings(config))])

    def events(self, next_step: Callable[[], NextStep], evaluation: Schedule) -> list[Event]:
        """Looks after the first step, after every so many, and after the last; at predictions, once there are any.

        Args:
            next_step: the loop's.
            evaluation: when `validate` is called.
        """
        found = []
        if self._parts & {"norms", "histograms", "images"}:
            looks = Schedule(self._every, offset=1, also_last=True)
            found.append(Event("observation", looks, partial(self.observe, next_step)))
        if self._parts & _OF_PREDICTIONS and "validation" in self._session.splits:
            found.append(Event("predictions", evaluation, partial(self.look_at_validation, evaluation)))
        return found

    def validate(self, batches: EvaluationBatches) -> Scores:
        """Scores the validation split, and keeps the predictions where `look_at_validation` shows them."""
        if not self._parts & _OF_PREDICTIONS:
            return self._session.evaluation(batches)
        self._validated = self._session.evaluation.with_predictions(batches)
        return self._validated[0]

    def test(self, batches: EvaluationBatches) -> tuple[Scores, Predictions | None]:
        """Scores the test split; with its predictions where `conclude` shows them."""
        if not self._parts & _OF_PREDICTIONS and not self._session.config.report:
            return self._session.evaluation(batches), None
        return self._session.evaluation.with_predictions(batches)

    def observe(self, next_step: Callable[[], NextStep], moment: Moment) -> None:
        """Looks at the step that comes next, and at the model's insides; at the end these are left to `conclude`."""
        session, step = self._session, moment.step
        observed = observation.observe(session.model, session.step, next_step)
        if "norms" in self._parts:
            self._log.write(step, "train", observation.norms(observed))
        if "histograms" in self._parts:
            self._log.add(step, "train", _histograms(observed))
        if "images" in self._parts and (step - 1) % (_IMAGES_EVERY * self._every) == 0 and step < moment.last_step:
            self._show(step, "train", self._album.model(observed))

    def look_at_validation(self, evaluation: Schedule, moment: Moment) -> None:
        """Looks at the predictions of an evaluation: of the first one after each look but the first, and of the last.

        After the first step they would say little.
        """
        step, is_last = moment.step, moment.step == moment.last_step or moment.ended_by is not None

        def is_due(every: int) -> bool:
            newest = (step - 1) // every * every  # completed steps before the newest look
            return is_last or (newest > 0 and evaluation.next_after(newest, moment.last_step) == step)

        if not is_due(self._every):
            return
        assert self._validated is not None
        scores, predictions = self._validated
        self._show_curves(step, "validation", predictions)
        if "images" in self._parts and is_due(_IMAGES_EVERY * self._every):
            pictures = self._album.confusion("validation", scores) | self._album.mistakes("validation", predictions)
            self._show(step, "validation", pictures)

    def conclude(
        self, step: int, scores: Scores, predictions: Predictions | None, images: tf.Tensor, labels: tf.Tensor
    ) -> None:
        """What the weights that were scored give. Leaves `test.json`, and the pictures that a report has.

        All goes to the log of the test split, which a run that ends anew, or goes on, begins anew.

        Args:
            step: completed steps.
            scores, predictions: of `test`.
            images, labels: a training batch, uint8 `[B, H, W, C]` and int32 `[B]`.
        """
        with replacing(self._session.folder.path / TEST) as scratch:
            text = json.dumps(tables.scores_json(scores, self._session.data.class_names), indent=2)
            scratch.write_text(text + "\n", encoding="utf-8")
        if predictions is None:
            return
        self._show_curves(step, "test", predictions)
        if "images" in self._parts:
            pictures = self._leave_pictures(predictions, images, labels)
            self._show(step, "test", self._album.confusion("test", scores) | pictures)
        elif self._session.config.report:
            self._leave_pictures(predictions, images, labels)

    def _leave_pictures(self, predictions: Predictions, images: tf.Tensor, labels: tf.Tensor) -> dict[str, Png]:
        """The pictures that a report has: of the model with a training batch, and of the mistakes on the test split."""
        seen = observation.see(self._session.model, images, labels)
        pictures = self._album.model(seen) | self._album.mistakes("test", predictions)
        album.leave(pictures, self._session.folder.path / PICTURES)
        return pictures

    def _show_curves(self, step: int, split: str, predictions: Predictions) -> None:
        """A PR curve of each class."""
        if "pr_curves" not in self._parts:
            return
        labels = self._session.splits[split].labels[:: predictions.every]
        curves = (
            summaries.pr_curve(name, labels == number, predictions.probabilities[:, number], of=predictions.subset)
            for number, name in enumerate(self._session.data.class_names)
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
    """What is trained: the main settings, and those that are not at their defaults, as numbers, bools and text."""
    changed = config.differences(RunConfig(), IDENTITY).keys() | _ALWAYS
    found = {item.name: getattr(config, item.name) for item in fields(config) if item.name in changed}
    return {
        name: spelled(value) if isinstance(value, tuple) else value
        for name, value in found.items()
        if value is not None
    }


def _model_page(rows: Sequence[LayerRow]) -> str:
    """The model table as Markdown."""
    lines = ["| layer | kind | output shape | parameters |", "|---|---|---|--:|"]
    for row in rows:
        lines.append(f"| {row.path} | {row.kind} | {tables.shape(row.output_shape)} | {row.parameters:,} |")
    return "\n".join([*lines, "", tables.model_totals(rows), ""])


def _as_block(text: str) -> str:
    """Markdown's indented block."""
    return "".join(f"    {line}\n" for line in text.splitlines())
