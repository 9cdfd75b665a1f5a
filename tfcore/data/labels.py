"""Labels as they come from users, converted to class numbers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcore.errors import DataError

LARGEST_LABEL = 2**31 - 1


def whole_numbers(labels: NDArray[Any], pictures: int, what: str) -> NDArray[np.int32]:
    """Converts integers of any kind, [N] or [N, 1], to int32 [N].

    Args:
        labels: the class numbers.
        pictures: N.
        what: the labels, as a message begins, such as "`y_train` in my.npz".

    Raises:
        DataError: another shape or kind, or a number below 0 or above 2^31 - 1.
    """
    if labels.dtype.kind not in "ui" or labels.shape not in ((pictures,), (pictures, 1)):
        raise DataError(
            f"{what} must hold one whole number for each of {pictures} pictures. Received {described(labels)}."
        )
    labels = labels.reshape(-1)
    bad = (labels < 0) | (labels > LARGEST_LABEL)
    if bad.any():
        index = int(bad.argmax())
        raise DataError(f"{what} must be 0 or more. Received {labels[index]} at index {index}.")
    return labels.astype(np.int32)


def read_labels(labels: Any, pictures: int, what: str) -> NDArray[Any]:
    """Converts labels to int32 [N] or, where they are the names of the classes, to text [N].

    Args:
        labels: an array of integers, booleans or text, [N] or [N, 1].
        pictures: N.
        what: see `whole_numbers`.

    Raises:
        DataError: anything else, one-hot labels included.
    """
    found = np.asarray(labels)
    if found.shape not in ((pictures,), (pictures, 1)):
        raise DataError(
            f"{what} must hold one label, a whole number or text, for each of {pictures} pictures. Received "
            f"{described(found)}. Of one-hot labels, give the class numbers: labels.argmax(axis=-1)."
        )
    text = _text(found)
    if text is not None:
        return text.reshape(-1)
    return whole_numbers(found.astype(np.uint8) if found.dtype.kind == "b" else found, pictures, what)


def class_numbers(
    labels: NDArray[Any], names: tuple[str, ...] | None, what: str
) -> tuple[NDArray[np.int32], tuple[str, ...] | None]:
    """Numbers labels that are names of classes; returns class numbers that are numbers already as they are.

    Args:
        labels: as `read_labels` returns them.
        names: of the classes, in the order of their numbers; None for the names among the labels, sorted.
        what: see `whole_numbers`.

    Returns:
        int32 [N], and the names of the classes if they are known.

    Raises:
        DataError: a label that is not among the names.
    """
    if labels.dtype.kind != "U":
        return labels, names
    present, places = np.unique(labels, return_inverse=True)
    names = tuple(present.tolist()) if names is None else names
    known = {name: number for number, name in enumerate(names)}
    for name in present.tolist():
        if name not in known:
            index = int((labels == name).argmax())
            shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
            raise DataError(f"{what} must be among the classes {shown}. Received {name!r} at index {index}.")
    return np.array([known[name] for name in present.tolist()], np.int32)[places], names


def described(array: NDArray[Any]) -> str:
    """Describes an array by dtype and shape, for a message."""
    return f"{array.dtype} of shape {list(array.shape)}"


def _text(labels: NDArray[Any]) -> NDArray[np.str_] | None:
    """The labels as text, from text, bytes in UTF-8 or such objects; None for other labels."""
    if labels.dtype.kind == "U":
        return labels
    values = labels.reshape(-1).tolist()
    if labels.dtype.kind not in "SO" or not all(isinstance(value, str | bytes) for value in values):
        return None
    return np.array([value.decode(errors="replace") if isinstance(value, bytes) else value for value in values])
