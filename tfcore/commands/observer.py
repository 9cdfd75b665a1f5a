"""What a run shows beside its curves: in TensorBoard while it trains, and as pictures when it has ended."""

import io
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image

from tfcore.commands import display, findings, sheets
from tfcore.commands.machine import machine
from tfcore.config import IDENTITY, RunConfig, spelled
from tfcore.data.batches import EvaluationBatches, Examples
from tfcore.files import replacing, writing
from tfcore.metrics import Scores
from tfcore.modules import LayerRow, graph
from tfcore.training import observation, summaries
from tfcore.training.events import Event, Moment, Schedule
from tfcore.training.loop import NextStep
from tfcore.training.observation import Observed, Seen
from tfcore.training.run_folder import PICTURES, TEST
from tfcore.training.run_log import RunLog

if TYPE_CHECKING:
    from tfcore.commands.session import Session

_IMAGES_EVERY = 5  # looks
_MOST_FILTERS = 32  # on a sheet
_MOST_PIXELS = 1 << 21  # of a sheet; as noise it is 6 MB, which a log and a report still take
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
        self._names = session.data.class_names
        self._logits: tf.Tensor | None = None  # of the newest evaluation, float32 [N, classes]

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
        if self._parts & {"images", "pr_curves"} and "validation" in self._session.splits:
            found.append(Event("predictions", evaluation, partial(self.look_at_validation, evaluation)))
        return found

    def validate(self, batches: EvaluationBatches) -> Scores:
        """Scores the validation split, and keeps what was predicted for `look_at_validation`."""
        scores, self._logits = self._session.evaluation.with_logits(batches)
        return scores

    def observe(self, next_step: Callable[[], NextStep], moment: Moment) -> None:
        """Looks at the step that comes next, and at the model's insides; at the end these are left to `conclude`."""
        session, step = self._session, moment.step
        observed = observation.observe(session.model, session.step, next_step)
        if "norms" in self._parts:
            self._log.write(step, "train", observation.norms(observed))
        if "histograms" in self._parts:
            self._log.add(step, "train", _histograms(observed))
        if "images" in self._parts and (step - 1) % (_IMAGES_EVERY * self._every) == 0 and step < moment.last_step:
            self._show(step, "train", self._sheets(observed))

    def look_at_validation(self, evaluation: Schedule, moment: Moment) -> None:
        """Looks at the predictions of an evaluation: of the first one after each look but the first, and of the last.

        After the first step they would say little.
        """
        step, is_last = moment.step, moment.step == moment.last_step or moment.ended_by is not None

        def is_due(every: int) -> bool:
            newest = (step - 1) // every * every  # completed steps before the newest look
            return is_last or (newest > 0 and evaluation.next_after(newest, moment.last_step) == step)

        if is_due(self._every):
            assert self._logits is not None
            examples, with_images = self._session.splits["validation"], is_due(_IMAGES_EVERY * self._every)
            self._look_at_predictions(step, "validation", examples, self._logits, with_images=with_images)

    def conclude(self, step: int, scores: Scores, logits: tf.Tensor, images: tf.Tensor, labels: tf.Tensor) -> None:
        """What the weights that were scored give; writes `test.json` and the pictures beside it.

        Args:
            step: completed steps.
            scores: of the test split.
            logits: of its examples, float32 `[N, classes]`.
            images, labels: a training batch, uint8 `[B, H, W, C]` and int32 `[B]`.
        """
        session = self._session
        folder = session.folder.path
        with replacing(folder / TEST) as scratch:
            scratch.write_text(json.dumps(display.scores_json(scores, self._names), indent=2) + "\n", encoding="utf-8")
        if not self._parts & {"images", "pr_curves"}:
            return
        with_images = "images" in self._parts
        pictures = self._look_at_predictions(step, "test", session.splits["test"], logits, with_images=with_images)
        if not with_images:
            return
        pictures.pop("confusion_test", None)  # which is in test.json
        pictures |= self._show(step, "train", self._sheets(observation.see(session.model, images, labels)))
        with writing(folder / PICTURES):
            os.makedirs(folder / PICTURES, exist_ok=True)
        for name, png in pictures.items():
            with replacing(folder / PICTURES / f"{name}.png") as scratch:
                scratch.write_bytes(png)

    def _sheets(self, seen: Seen) -> dict[str, Image.Image]:
        """The batch, filters, and feature maps of the batch's first picture."""
        model, plan, layers = self._session.model, self._session.architecture, self._session.layers
        names = [self._names[label] for label in seen.labels]
        pixels = next((array for array in seen.activations.values() if array.shape == seen.images.shape), seen.images)
        found = {"batch": findings.batch(pixels, names)}
        filters = sheets.filters(model, plan, layers, most=_MOST_FILTERS)
        if filters is not None:
            found["filters"] = filters.image
        if any(row.trainable and len(row.output_shape) == 4 for row in layers):
            found["feature_maps"] = sheets.feature_maps(model, plan, seen.images[0], names[0]).image
        return found

    def _look_at_predictions(
        self, step: int, split: str, examples: Examples, logits: tf.Tensor, *, with_images: bool
    ) -> dict[str, bytes]:
        """PR curves of the examples; the confusion matrix and the wrong ones as pictures, which are given back."""
        found, labels = tf.nn.softmax(logits).numpy(), examples.labels
        if "pr_curves" in self._parts:
            self._log.add(step, split, _pr_curves(found, labels, self._names))
        if not (with_images and "images" in self._parts):
            return {}
        matrix = np.zeros([len(self._names)] * 2, np.int64)
        np.add.at(matrix, (labels, found.argmax(1)), 1)
        images = {"confusion": findings.confusion(matrix, self._names), "wrong": self._wrong(examples, found, labels)}
        return self._show(step, split, {f"{name}_{split}": image for name, image in images.items() if image})

    def _wrong(self, examples: Examples, found: NDArray[Any], labels: NDArray[Any]) -> Image.Image | None:
        """The most confidently wrong ones; None where all are right."""
        numbers = findings.most_wrong(found, labels)
        if not len(numbers):
            return None
        pictures, _ = examples.gather(tf.constant(numbers))
        count = int((found.argmax(1) != labels).sum())
        title = f"{count:,} of {len(labels):,} are wrong; the most confident of them"
        return findings.wrong(title, pictures.numpy(), found[numbers], labels[numbers], self._names)

    def _show(self, step: int, split: str, images: dict[str, Image.Image]) -> dict[str, bytes]:
        """Writes them down; as they are written, by name."""
        bounded = {name: _bounded(image) for name, image in images.items()}
        files = {name: _png(image) for name, image in bounded.items()}
        self._log.add(step, split, [summaries.image(name, files[name], bounded[name].size) for name in files])
        return files


def _histograms(observed: Observed) -> list[Any]:
    parts = {"weights": observed.weights, "gradients": observed.gradients, "activations": observed.activations}
    return [
        summaries.histogram(f"{name}/{path}", array) for name, arrays in parts.items() for path, array in arrays.items()
    ]


def _pr_curves(found: NDArray[Any], labels: NDArray[Any], names: Sequence[str]) -> list[Any]:
    return [summaries.pr_curve(name, labels == number, found[:, number]) for number, name in enumerate(names)]


def _bounded(image: Image.Image) -> Image.Image:
    """The sheet, or a smaller one where there are too many pixels: those of large pictures and many classes."""
    scale = math.sqrt(_MOST_PIXELS / (image.width * image.height))
    if scale >= 1:
        return image
    return image.resize((max(1, int(image.width * scale)), max(1, int(image.height * scale))))


def _png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format="PNG", compress_level=1)  # the usual 6 takes most of a look's time, and saves a tenth
    return stream.getvalue()


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
        lines.append(f"| {row.path} | {row.kind} | {display.shape(row.output_shape)} | {row.parameters:,} |")
    return "\n".join([*lines, "", display.model_totals(rows), ""])


def _as_block(text: str) -> str:
    """Markdown's indented block."""
    return "".join(f"    {line}\n" for line in text.splitlines())
