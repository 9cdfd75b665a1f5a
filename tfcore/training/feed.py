"""The training batches between the input pipeline and the compiled loop: blocks, each of the batches of some steps."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import tensorflow as tf


class Block(NamedTuple):
    """The batches of some steps, and how many of them are used up."""

    images: tf.Tensor  # [K, B, …]
    labels: tf.Tensor  # [K, B]
    used: tf.Tensor  # int32 []


def whole_block(iterator: Iterator[Any]) -> Block:
    """The next block, none of it used; in a graph and outside."""
    images, labels = next(iterator)
    return Block(images, labels, tf.constant(0))


class Feed:
    """An iterator over blocks, and the block in use."""

    def __init__(self, iterator: Iterator[Any]) -> None:
        self.iterator = iterator
        self.block = whole_block(iterator)

    def unused(self) -> Block:
        """The block in use, or the next one where it is used up."""
        if int(self.block.used) == self.block.images.shape[0]:
            self.block = whole_block(self.iterator)
        return self.block
