"""Random numbers for augmentation, each a function of (seed, purpose, the example's position in training)."""

import functools
from collections.abc import Callable

import tensorflow as tf

from tfcore import ops, seeds
from tfcore.data import order
from tfcore.seeds import Key


class Draws:
    """Random numbers of the examples of one or several batches, for one augmentation.

    Each example is given its own numbers, by its position in training, t·B + i for row i of step t. They do not depend
    on how a batch is divided, nor on where a run was resumed; there is no generator state. Philox gives the words, with
    (seed, purpose, name) as the key and the position as the counter.

    Args:
        key: seed, and the position of the first example.
        purpose: name of the augmentation; two purposes give independent numbers.
        count: n, the number of examples, a multiple of the batch size.
        batch_size: B.
        examples: number of training examples, the length of an epoch.
        blocks: of their order; see `order.indices`.
    """

    def __init__(
        self,
        key: Key,
        purpose: str,
        *,
        count: int,
        batch_size: int,
        examples: int,
        blocks: order.Blocks | None = None,
    ) -> None:
        self.count = count
        self._key, self._purpose, self._batch_size, self._examples = key, purpose, batch_size, examples
        self._blocks = blocks

    def uniform(self, name: str, low: float = 0.0, high: float = 1.0) -> tf.Tensor:
        """Draws numbers from low to high, float32 `[n]`.

        Args:
            name: equal names give equal numbers.
            low, high: bounds; each draw is one of 2^24 evenly spaced numbers.
        """
        shares = tf.cast(tf.bitwise.right_shift(self._words(name), tf.constant(8, tf.uint32)), tf.float32) * 2.0**-24
        return low + (high - low) * shares

    def integers(self, name: str, count: int) -> tf.Tensor:
        """Draws whole numbers, 0 … count - 1, int32 `[n]`."""
        words = tf.cast(self._words(name), tf.uint64)
        return tf.cast(
            tf.bitwise.right_shift(words * tf.constant(count, tf.uint64), tf.constant(32, tf.uint64)), tf.int32
        )

    def happens(self, name: str, probability: float) -> tf.Tensor:
        """Draws true with a probability, bool `[n]`; always at 1, never at 0."""
        return self.uniform(name) < probability

    def quantiles(self, name: str, table: tf.Tensor) -> tf.Tensor:
        """Draws from a distribution that is given by equally probable values `[k]`; the result is `[n]`."""
        return tf.gather(table, self.integers(name, table.shape[0]))

    @property
    def epochs(self) -> tf.Tensor:
        """The number of times each example has been seen before, int64 `[n]`."""
        return self._positions // self._examples

    @property
    def numbers(self) -> tf.Tensor:
        """The number of each example in the training part of the data set, int64 `[n]`."""
        return order.indices(self._key.seed, self._key.position, self.count, self._examples, self._blocks)

    @property
    def partners(self) -> tf.Tensor:
        """The row of the example that each one is mixed with, int32 `[n]`: neighbours 0 and 1, 2 and 3 … of a batch.

        The last example of an odd batch is its own partner. Batches are in random order, so neighbours are random
        pairs, and any even part of a batch has the same pairs as the whole.
        """
        rows = tf.range(self.count)
        place = rows % self._batch_size
        return rows - place + tf.minimum(tf.bitwise.bitwise_xor(place, 1), self._batch_size - 1)

    def of_pairs(self, values: tf.Tensor) -> tf.Tensor:
        """Gives both partners of a pair the value of its first, `[n]`."""
        return tf.gather(values, tf.minimum(tf.range(self.count), self.partners))

    def number_bits(self, name: str) -> tf.Tensor:
        """Draws a bit for each example by its number, the same in all epochs, bool `[n]`."""
        low, high = (word % 2**32 for word in seeds.words(self._key.seed, *self._path(name)))
        h = tf.bitwise.bitwise_xor(tf.cast(self.numbers, tf.uint32), tf.constant(low, tf.uint32))
        for bits, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):  # the rounds of `ops.dropout`
            h = ops.mixed(h, bits) * tf.constant(factor, tf.uint32)
            h = tf.bitwise.bitwise_xor(h, tf.constant(high, tf.uint32))
        return h >= tf.constant(2**31, tf.uint32)

    @functools.cached_property
    def _positions(self) -> tf.Tensor:
        return self._key.position + tf.range(self.count, dtype=tf.int64)

    def _path(self, name: str) -> tuple[str, ...]:
        return "augment", self._purpose, name

    def _words(self, name: str) -> tf.Tensor:
        """Draws a random word for each example, uint32 `[n]`."""
        return ops.example_words(self._key, self.count, *self._path(name))[:, 0]


def each(values: tf.Tensor) -> tf.Tensor:
    """Reshapes values `[n]` to `[n, 1, 1, 1]`, to be combined with pictures."""
    return tf.reshape(values, [-1, 1, 1, 1])


def on_values(change: Callable[..., tf.Tensor], images: tf.Tensor, *arguments: tf.Tensor) -> tf.Tensor:
    """Applies a change to pictures as float32 on the scale 0 to 255; bounds the result, and rounds it for bytes."""
    values = tf.clip_by_value(change(tf.cast(images, tf.float32), *arguments), 0.0, 255.0)
    return tf.cast(tf.round(values) if images.dtype == tf.uint8 else values, images.dtype)
