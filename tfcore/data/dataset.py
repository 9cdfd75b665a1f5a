"""Data sets of pictures and labels, and stratified splits of them."""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcore import checks, seeds
from tfcore.data.source import BatchReader, Source, check_array, check_labels, checked_weights
from tfcore.errors import ConfigError, DataError
from tfcore.files import MEMORY_BYTES

ALIGNMENT_BYTES = 64
_LOG = logging.getLogger(__name__)


def aligned_empty(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Allocates an uninitialised C-contiguous uint8 array that starts on a 64-byte boundary.

    TensorFlow borrows such an array through dlpack without a copy; from any other address it would copy, and the
    pictures would be in memory twice.

    Raises:
        MemoryError: it is larger than the machine's memory, even where the operating system would overcommit.
    """
    size_bytes = math.prod(shape)
    if size_bytes > MEMORY_BYTES:
        raise MemoryError(f"{size_bytes} bytes are more than this machine's {MEMORY_BYTES}")
    buffer = np.empty(size_bytes + ALIGNMENT_BYTES, np.uint8)
    start = -buffer.ctypes.data % ALIGNMENT_BYTES
    return buffer[start : start + size_bytes].reshape(shape)


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a data set, in memory.

    Args:
        images: uint8 [N, H, W, C], 0 to 255, N >= 1.
        labels: int32 [N].

    Raises:
        DataError: on another dtype or rank, on different lengths, or without any example.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int32]

    def __post_init__(self) -> None:
        check_array("images", self.images, np.dtype(np.uint8), "[N, H, W, C]")
        check_labels(self.labels, len(self.images))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of every picture."""
        _, height, width, channels = self.images.shape
        return height, width, channels

    @property
    def nbytes(self) -> int:
        """The size of all pixels."""
        return self.images.nbytes

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The pictures at `indices`: uint8 [n, H, W, C]."""
        return self.images[indices]

    def first(self, count: int) -> "Split":
        """The first `count` examples: views, not copies."""
        return Split(self.images[:count], self.labels[:count])

    def identity(self) -> Iterator[bytes | memoryview]:
        """Every pixel."""
        yield np.ascontiguousarray(self.images).data

    def batch_reader(self) -> BatchReader:
        """A reader that gathers inside the graph; it borrows an aligned array, and copies any other."""
        from tfcore.data.batch_reader import TensorReader  # loads TensorFlow

        return TensorReader(self, self.images)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A named data set: training split, test split, and the names of the classes.

    Args:
        name: of the data set.
        train, test: the splits.
        class_names: in the order of the labels.
        train_weights: factors of the losses of the training examples, at least 0, kept as float32 [N]; None for none.

    Raises:
        DataError: when a label has no class name, when a name is not plain text, when the pictures of the two splits
            differ in shape, or when the weights are of another shape, negative, not finite, or all 0.
    """

    name: str
    train: Source
    test: Source
    class_names: tuple[str, ...]
    train_weights: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        for name in self.class_names:
            if not checks.is_plain_text(name):
                raise DataError(
                    f"The names of the classes of {self.name} must be text without control characters. Received "
                    f"{name!r}."
                )
        _check_label_range(self.name, "train", self.train.labels, self.classes)
        _check_label_range(self.name, "test", self.test.labels, self.classes)
        if self.test.image_shape != self.image_shape:
            raise DataError(
                f"The pictures of {self.name} must have one shape. Received {self.image_shape} in train and "
                f"{self.test.image_shape} in test."
            )

        if self.train_weights is not None:
            weights = checked_weights(self.train_weights, len(self.train), f"`train_weights` of {self.name}")
            object.__setattr__(self, "train_weights", weights)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of every picture."""
        return self.train.image_shape

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    def take(self, train_examples: int | None = None, test_examples: int | None = None) -> "Dataset":
        """Returns the data set with only the first examples of each split; None for all.

        Logs a warning where a class is left without a training example.

        Raises:
            ConfigError: a number below 1, or above the size of the split.
        """
        parts: dict[str, Any] = {}
        for name, count in (("train", train_examples), ("test", test_examples)):
            split = getattr(self, name)
            if count is not None:
                checks.positive_integer(f"{name}_examples", count)
                if count > len(split):
                    raise ConfigError(
                        f"`{name}_examples` must be at most {len(split)}, as many as {self.name} has. Received {count}."
                    )
                parts[name] = split.first(count)
        if self.train_weights is not None:
            parts["train_weights"] = self.train_weights[:train_examples]
        taken = replace(self, **parts)
        _warn_of_absent_classes(self, taken)
        return taken


def _warn_of_absent_classes(whole: Dataset, taken: Dataset) -> None:
    """Warns where a class has lost all its training examples: a sorted data set begins with one class only."""
    absent = np.setdiff1d(whole.train.labels, taken.train.labels)
    if len(absent):
        text = "The first %d training examples of %s hold none of %d of its %d classes. Take more of them."
        _LOG.warning(text, len(taken.train), whole.name, len(absent), whole.classes)


def _check_label_range(name: str, split: str, labels: NDArray[np.int32], classes: int) -> None:
    """Raises DataError, with the first bad label, unless all labels are within 0 .. classes-1."""
    bad = (labels < 0) | (labels >= classes)
    if bad.any():
        index = int(bad.argmax())
        raise DataError(
            f"The labels of {name} must be within 0..{classes - 1}. Received {labels[index]} at index {index} of "
            f"{split}."
        )


def split_validation(
    labels: NDArray[np.int32], amount: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Splits a validation part off the training examples, with every class in the same proportion.

    Each class gives its exact share rounded down; the rest of the total comes, one example each, from the classes that
    lost most by the rounding (largest remainders). A given (labels, amount, seed) always gives the
    same split.

    Args:
        labels: int [N], the labels of the training split.
        amount: 0 for none; below 1 the share of N, the total being round(amount * N); from 1 on a number of examples.
        seed: the run's seed.

    Returns:
        (train_indices, validation_indices): int64, each in ascending order, disjoint, together 0 .. N-1.

    Raises:
        ConfigError: when `amount` is negative, not whole from 1 on, or leaves nothing to train on.
    """
    return stratified(labels, validation_examples(amount, len(labels)), seed, "validation")


def stratified(
    labels: NDArray[np.int32], total: int, seed: int, purpose: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Splits off `total` examples, with every class in the same proportion; see `split_validation`.

    Args:
        labels: int [N].
        total: number of examples, 0 .. N.
        seed: the run's seed.
        purpose: a name for the draw; two purposes draw independently.

    Returns:
        (rest, taken): int64, each in ascending order, disjoint, together 0 .. N-1.
    """
    classes, class_of = np.unique(labels, return_inverse=True)
    counts = np.bincount(class_of, minlength=len(classes))
    takes = _largest_remainders(counts, total)
    # Sorting random numbers within each class gives every example its place in a random order of its class.
    noise = np.random.default_rng(seeds.integer(seed, purpose)).random(len(labels))
    order = np.lexsort((noise, class_of))
    place = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    taken = np.zeros(len(labels), bool)
    taken[order[place < np.repeat(takes, counts)]] = True
    return np.flatnonzero(~taken).astype(np.int64), np.flatnonzero(taken).astype(np.int64)


def validation_examples(amount: float, examples: int) -> int:
    """Converts `amount`, a share or a number, to a number of validation examples.

    Raises:
        ConfigError: when it is negative, not whole from 1 on, or leaves nothing to train on.
    """
    if not (math.isfinite(amount) and amount >= 0):
        raise ConfigError(f"`validation` must be at least 0. Received {amount!r}.")
    if amount >= 1 and amount != int(amount):
        raise ConfigError(f"`validation` must be a share below 1 or a whole number of examples. Received {amount!r}.")
    total = round(amount * examples) if amount < 1 else int(amount)
    if total >= examples:
        raise ConfigError(
            f"`validation` must leave something to train on. Received {amount:.12g}, which takes {total} of {examples} "
            f"examples."
        )
    return total


def _largest_remainders(counts: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """Divides `total` in proportion to `counts`, into whole numbers with exactly that sum."""
    # Integer arithmetic, so that equal classes have equal remainders; ties go to the lower class.
    takes, remainders = np.divmod(counts * total, counts.sum())
    missing = total - int(takes.sum())
    takes[np.argsort(-remainders, kind="stable")[:missing]] += 1
    return takes
