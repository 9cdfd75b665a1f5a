"""Training batches between the input pipeline and the compiled loop, in blocks of several steps."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import tensorflow as tf


class Block(NamedTuple):
    """The batches of K steps, and how many of them have been used."""

    images: tf.Tensor  # [K, B, …]
    labels: tf.Tensor  # [K, B], or [K, B, classes] where examples are mixed
    used: tf.Tensor  # int32 []
    weights: tuple[tf.Tensor, ...] = ()  # (float32 [K, B],) where examples have weights


def whole_block(iterator: Iterator[Any]) -> Block:
    """Takes the next block from `iterator`, eagerly or in a graph."""
    images, labels, *weights = next(iterator)
    return Block(images, labels, tf.constant(0), tuple(weights))


class Feed:
    """An iterator over blocks, and the current block."""

    def __init__(self, iterator: Iterator[Any]) -> None:
        self.iterator = iterator
        self.block = whole_block(iterator)

    def unused(self) -> Block:
        """Returns the current block, or the next one if all its batches have been used."""
        if int(self.block.used) == self.block.images.shape[0]:
            self.block = whole_block(self.iterator)
        return self.block
