"""Reads pictures from one .npz file with the array names of Keras's MNIST: x_train, y_train, x_test, y_test."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfcore import checks
from tfcore.data.dataset import Dataset, Split
from tfcore.data.labels import described, whole_numbers
from tfcore.data.npy import NUMBERS, Npz, open_npz
from tfcore.data.source import checked_weights
from tfcore.data.sources.assemble import held_out_rows, hold_out, own_dataset
from tfcore.errors import DataError


def npz(path: Path, *, test_share: float, seed: int) -> Dataset:
    """`npz:PATH`: x_train, uint8 [N, H, W] or [N, H, W, C], y_train, whole numbers [N] or [N, 1], and the test's alike.

    Without x_test a share of the training pictures is held out as test. The optional array `class_names` of text names
    the classes, and the optional array `train_weights` holds a factor of the loss of each picture of x_train.

    Args:
        path: the file.
        test_share: where there is no x_test, the share to test on, above 0 and below 1.
        seed: for the choice of that share.

    Raises:
        DataError: the file is missing or damaged, or an array has another dtype or shape.
        ConfigError: a share that leaves one of the splits empty.
    """
    checks.share("test_share", test_share)
    with open_npz(path) as file:
        names = _class_names(file, path) if "class_names" in file.names else None
        train = _split(file, path, "train")
        test = _split(file, path, "test") if {"x_test", "y_test"} & set(file.names) else None
        weights = file.read("train_weights", NUMBERS) if "train_weights" in file.names else None
    if weights is not None:
        weights = checked_weights(weights, len(train[1]), f"`train_weights` in {path}")
        weights = weights if test else weights[held_out_rows(train[1], test_share, seed)[0]]
    splits = (Split(*train), Split(*test)) if test else hold_out(*train, test_share, seed)
    return replace(own_dataset(f"npz:{path}", *splits, names), train_weights=weights)


def _split(file: Npz, path: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Reads pictures [N, H, W, C] and labels [N] of `train` or `test`."""
    for name in (f"x_{part}", f"y_{part}"):
        if name not in file.names:
            raise DataError(f"{path} must hold the array {name}. It holds {', '.join(file.names) or 'none'}.")
    images, labels = file.read(f"x_{part}"), file.read(f"y_{part}")
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or not images.size:
        raise DataError(
            f"`x_{part}` in {path} must be uint8 [N, H, W] or [N, H, W, C], not empty. Received {described(images)}."
        )
    numbers = whole_numbers(labels, len(images), f"`y_{part}` in {path}")
    return images.reshape(*images.shape[:3], -1), numbers


def _class_names(file: Npz, path: Path) -> tuple[str, ...]:
    names = file.read("class_names")
    if names.dtype.kind != "U" or names.ndim != 1 or not names.size:
        raise DataError(f"`class_names` in {path} must be text, one for each class. Received {described(names)}.")
    codes = names.astype(names.dtype.newbyteorder("=")).view(np.uint32)
    if (
        codes.max(initial=0) > sys.maxunicode
    ):  # Python would accept most of these as text, and later code would fail on it
        raise DataError(f"`class_names` in {path} must be text. Received {codes.max()}, which is no character.")
    return tuple(names.tolist())
