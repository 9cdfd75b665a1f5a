"""Draws a training batch, wrong predictions, and the confusion matrix."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tfcore.look import drawing
from tfcore.look.drawing import Picture, Tile
from tfcore.terminal.confusion import TITLE, is_shown, row_shares

_SIDE = 64  # minimum side of a tile in pixels
_MOST_WRONG = 24
_BLUE = np.array([31, 119, 180])


def batch(pixels: NDArray[Any], labels: Sequence[str]) -> Image.Image:
    """Draws pictures as the model's first layer scales them, all on one scale.

    Args:
        pixels: `[n, H, W, C]`.
        labels: n names.
    """
    shown = drawing.stretched(pixels)
    tiles = [Tile(drawing.enlarged(one, _SIDE), label) for one, label in zip(shown, labels, strict=True)]
    low, high = pixels.min(), pixels.max()
    return drawing.sheet(f"as the model sees them: {low:.3g} (black) to {high:.3g}", drawing.wrapped(tiles))


def most_wrong(probabilities: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Returns the indices of wrongly predicted examples, the most confident first, 24 at most.

    Args:
        probabilities: `[N, classes]`.
        labels: `[N]`.
    """
    wrong = np.flatnonzero(probabilities.argmax(1) != labels)
    return wrong[np.argsort(-probabilities.max(1)[wrong], kind="stable")][:_MOST_WRONG]


def wrong(
    title: str, pictures: Sequence[Picture], probabilities: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]],
    names: Sequence[str],
) -> Image.Image:  # fmt: skip
    """Draws pictures with predicted class, its probability, and true class.

    Args:
        title: one line.
        pictures: n of uint8 `[H, W, C]`.
        probabilities: `[n, classes]`.
        labels: `[n]`.
        names: of the classes.
    """
    tiles = [
        Tile(drawing.enlarged(picture, _SIDE), f"{names[row.argmax()]} {row.max():.0%}, is {names[label]}")
        for picture, row, label in zip(pictures, probabilities, labels, strict=True)
    ]
    return drawing.sheet(title, drawing.wrapped(tiles))


def confusion(matrix: NDArray[np.integer[Any]], names: Sequence[str]) -> Image.Image | None:
    """Draws the confusion matrix, cells coloured by their share of the row; None for more than 20 classes.

    Args:
        matrix: `[classes, classes]`, a row for each true class, a column for each predicted one.
        names: of the classes.
    """
    if not is_shown(len(names)):
        return None
    colours = np.rint(255 - row_shares(matrix)[..., np.newaxis] * (255 - _BLUE)).astype(np.uint8)
    return drawing.matrix(TITLE, names, colours, matrix.astype(str).tolist())
