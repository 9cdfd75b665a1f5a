"""Common rules for displaying a confusion matrix on the terminal, in pictures and in reports."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TITLE = "Confusion matrix (row: true class; column: predicted class)"
MOST_CLASSES = 20  # a larger matrix is unreadable


def is_shown(classes: int) -> bool:
    """Whether a matrix of this many classes is displayed."""
    return classes <= MOST_CLASSES


def row_shares(counts: "NDArray[np.integer]") -> "NDArray[np.float64]":
    """Normalises each row to the shares of the true class's examples; 0 for a class without examples.

    Args:
        counts: `[true class, predicted class]`.
    """
    import numpy as np  # `tfcore sweep` starts without it

    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
