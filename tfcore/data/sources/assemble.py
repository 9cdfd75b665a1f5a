"""Shared parts of the readers of user-defined data: test split, class names, check for empty classes."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfcore.data.dataset import Dataset, Split, aligned_empty, stratified
from tfcore.data.download import usable
from tfcore.data.source import Source
from tfcore.errors import ConfigError, DataError
from tfcore.files import open_file

CLASS_NAMES = "class_names.txt"
_NAMES_BYTES = 1 << 20  # the largest file of class names
_CHUNK = 1000  # pictures moved at a time


def check_lengths(name: str, lengths: tuple[int, ...] | None, axes: str) -> None:
    """Raises ConfigError unless `lengths` is None or has a length of at least 1 for each of the axes, such as "H,W"."""
    if lengths is not None and (len(lengths) != len(axes.split(",")) or min(lengths) < 1):
        raise ConfigError(f"`{name}` must be {axes}, each at least 1. Received {','.join(map(str, lengths))}.")


def held_out_rows(
    labels: NDArray[np.int32], test_share: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Splits off round(test_share * N) test examples, stratified by class; returns rows for training and for test.

    Raises:
        ConfigError: a share that leaves one of the splits empty.
    """
    total = round(test_share * len(labels))
    if not 0 < total < len(labels):
        raise ConfigError(
            f"`test_share` must leave examples to train on and to test on. Received {test_share!r}, which takes "
            f"{total} of {len(labels)} examples."
        )
    return stratified(labels, total, seed, "test")


def hold_out(images: NDArray[np.uint8], labels: NDArray[np.int32], test_share: float, seed: int) -> tuple[Split, Split]:
    """Divides one array into training and test split; overwrites it: the training pictures move together inside it.

    So the memory is that of the data set and of the test share, not twice the data set.
    """
    train, test = held_out_rows(labels, test_share, seed)
    test_images = aligned_empty((len(test), *images.shape[1:]))
    np.take(images, test, axis=0, out=test_images, mode="clip")  # the default mode buffers the output
    for start in range(0, len(train), _CHUNK):
        rows = train[start : start + _CHUNK]  # ascending, so none of them was overwritten yet
        images[start : start + len(rows)] = images[rows]
    return Split(images[: len(train)], labels[train]), Split(test_images, labels[test])


def class_names(folder: Path, name: str = CLASS_NAMES) -> tuple[str, ...] | None:
    """Reads the folder's class_names.txt, or another file, one name a line; None where there is no such file."""
    path = folder / name
    advice = "It must hold the names of the classes in UTF-8, one per line."
    with usable(path, advice):
        if not os.path.lexists(path):
            return None
        with open_file(path) as file:
            data = file.read(_NAMES_BYTES + 1)
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8. {advice}") from None
    names = tuple(" ".join(line.split()) for line in lines if line.strip())
    if not names or len(data) > _NAMES_BYTES:
        raise DataError(f"{path} must hold at least one name and at most {_NAMES_BYTES} bytes. {advice}")
    return names


def own_dataset(name: str, train: Source, test: Source, names: tuple[str, ...] | None = None) -> Dataset:
    """Makes a data set; without `names` the classes are called "0", "1", ….

    Raises:
        DataError: when a class has no training example, or a label no class.
    """
    present = np.unique(train.labels)
    classes = len(names) if names is not None else int(present[-1]) + 1
    # A gap is among the first len(present) + 1 labels; the largest label may be 2^31 - 1.
    absent = np.setdiff1d(np.arange(min(classes, len(present) + 1)), present)
    if len(absent):
        label = int(absent[0])
        known = f" ('{names[label]}')" if names is not None else ""
        raise DataError(
            f"Every class needs an example to train on. In {name}, class {label}{known} of {classes} is an empty "
            "class. Number the labels 0, 1, 2 … without a gap, or add examples."
        )
    return Dataset(name, train, test, names if names is not None else tuple(map(str, range(classes))))
