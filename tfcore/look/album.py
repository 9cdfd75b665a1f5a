"""Draws the pictures of a run as PNG: a batch, filters, feature maps, confusion matrix, mistakes."""

import io
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image

from tfcore.files import replacing, writing
from tfcore.look import model_sheets, prediction_sheets
from tfcore.metrics import Scores
from tfcore.run.parts import Parts
from tfcore.training.evaluation import Predictions
from tfcore.training.observation import Seen

_LEAST = 0.005  # share of a class that a label names
_MOST_FILTERS = 32  # on a sheet
_MOST_PIXELS = 1 << 21  # of a sheet; noise takes 6 MB, which fits into a log record and a report


class Png(NamedTuple):
    """An encoded picture."""

    data: bytes
    size: tuple[int, int]  # width and height in pixels


class Album:
    """Draws the pictures of the run of `parts`; each method returns PNGs by name."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._names = parts, parts.data.class_names

    def model(self, seen: Seen) -> dict[str, Png]:
        """Draws the batch, the filters, and the feature maps of the batch's first picture."""
        model, plan, layers = self._parts.model, self._parts.architecture, self._parts.layers
        names = [self._label(label) for label in seen.labels]
        pixels = next((array for array in seen.activations.values() if array.shape == seen.images.shape), seen.images)
        found = {"batch": prediction_sheets.batch(pixels, names)}
        filters = model_sheets.filters(model, plan, layers, most=_MOST_FILTERS)
        if filters is not None:
            found["filters"] = filters.image
        if any(row.trainable and len(row.output_shape) == 4 for row in layers):
            picture = np.clip(np.rint(seen.images[0]), 0, 255).astype(np.uint8)
            found["feature_maps"] = model_sheets.feature_maps(model, plan, picture, names[0]).image
        return _encoded(found)

    def _label(self, label: Any) -> str:
        """Names a class, or the two classes with the largest shares of a target `[classes]`: "cat 0.7, dog 0.3"."""
        if not np.ndim(label):
            return self._names[label]
        largest = np.argsort(-label, kind="stable")[:2]
        return ", ".join(f"{self._names[number]} {label[number]:.2g}" for number in largest if label[number] >= _LEAST)

    def confusion(self, split: str, scores: Scores) -> dict[str, Png]:
        """Draws the confusion matrix, if it has few enough classes."""
        image = prediction_sheets.confusion(scores.confusion, self._names)
        return _encoded({} if image is None else {f"confusion_{split}": image})

    def mistakes(self, split: str, predictions: Predictions) -> dict[str, Png]:
        """Draws the most confident wrong predictions of the split, among the examples that have predictions."""
        examples, probabilities = self._parts.splits[split], predictions.probabilities
        labels = examples.labels[:: predictions.every]
        numbers = prediction_sheets.most_wrong(probabilities, labels)
        if not len(numbers):
            return {}
        pictures, _ = examples.gather(tf.constant(numbers * predictions.every))
        count = int((probabilities.argmax(1) != labels).sum())
        among = f" ({predictions.subset})" if predictions.subset else ""
        title = f"{count:,} of {len(labels):,}{among} are wrong; the most confident of them"
        image = prediction_sheets.wrong(title, pictures.numpy(), probabilities[numbers], labels[numbers], self._names)
        return _encoded({f"wrong_{split}": image})


def leave(pictures: Mapping[str, Png], folder: Path) -> None:
    """Writes the pictures into the folder, as `NAME.png`."""
    with writing(folder):
        os.makedirs(folder, exist_ok=True)
    for name, picture in pictures.items():
        with replacing(folder / f"{name}.png") as scratch:
            scratch.write_bytes(picture.data)


def _encoded(images: Mapping[str, Image.Image]) -> dict[str, Png]:
    bounded = {name: _bounded(image) for name, image in images.items()}
    return {name: Png(_png(image), image.size) for name, image in bounded.items()}


def _bounded(image: Image.Image) -> Image.Image:
    """Shrinks a sheet with too many pixels, such as one of large pictures or many classes."""
    scale = math.sqrt(_MOST_PIXELS / (image.width * image.height))
    if scale >= 1:
        return image
    return image.resize((max(1, int(image.width * scale)), max(1, int(image.height * scale))))


def _png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(
        stream, format="PNG", compress_level=1
    )  # level 6 would take most of the drawing time and save a tenth of the size
    return stream.getvalue()
