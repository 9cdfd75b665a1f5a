"""Parts of the training examples: drawn by class and kept as lists, or by a keyed permutation and kept as a key."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfcore.data import order
from tfcore.data.dataset import split_validation, validation_examples

STRATIFIED, HASHED = "stratified", "hashed"
LARGEST_STRATIFIED = 10_000_000  # examples, whose lists take 160 MB


@dataclass(frozen=True)
class HashedPart:
    """The places first .. first + count - 1 of a permutation of 0 .. examples - 1, keyed by the seed.

    Parts of one seed that share no place share no example. No list is kept, so a part of any size takes no memory.
    """

    seed: int
    examples: int
    first: int
    count: int

    def __len__(self) -> int:
        return self.count

    def rows(self, places: tf.Tensor) -> tf.Tensor:
        """The examples at places in the part: int64 `[n]`, for places int64 `[n]`."""
        return order.keyed(places + self.first, self.seed, "validation", self.examples)

    def __getitem__(self, places: slice) -> NDArray[np.int64]:
        """The examples at a range of places, for what reads the part once."""
        return self.rows(tf.range(*places.indices(self.count), dtype=tf.int64)).numpy()


Part = NDArray[np.int64] | HashedPart


def kind(name: str, examples: int) -> str:
    """How the validation part is drawn: as named, and for "auto" `hashed` of more than 10,000,000 examples."""
    if name != "auto":
        return name
    return HASHED if examples > LARGEST_STRATIFIED else STRATIFIED


def divided(labels: NDArray[np.int32], amount: float, seed: int, name: str) -> tuple[Part, Part]:
    """Divides the training examples.

    Args:
        labels: int [N], of the training split.
        amount: see `split_validation`.
        seed: the run's seed.
        name: `stratified` for the same proportion of every class, `hashed`, or `auto`; see `kind`.

    Returns:
        The training part and the validation part: disjoint, together all examples.

    Raises:
        ConfigError: when `amount` is negative, not whole from 1 on, or leaves nothing to train on.
    """
    if kind(name, len(labels)) == STRATIFIED:
        return split_validation(labels, amount, seed)
    count = validation_examples(amount, len(labels))
    return (
        HashedPart(seed, len(labels), count, len(labels) - count),
        HashedPart(seed, len(labels), 0, count),
    )
