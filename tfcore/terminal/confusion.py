"""The displayed part of a confusion matrix: on the terminal, in pictures and in reports."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TITLE = "Confusion matrix (row: true class; column: predicted class)"
MOST_CLASSES = 20  # a wider one is no longer readable


def is_shown(classes: int) -> bool:
    """Whether a matrix of so many classes is drawn at all."""
    return classes <= MOST_CLASSES


def row_shares(counts: "NDArray[np.integer]") -> "NDArray[np.float64]":
    """The share of each true class's examples that each prediction got, 0 where a class has none.

    Args:
        counts: `[true class, predicted class]`.
    """
    import numpy as np  # `tfcore sweep` starts without it

    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
