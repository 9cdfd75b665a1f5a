"""The examples that a run trains on or scores: a part of a source, gathered by place."""

import copy
import functools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfcore.data import order
from tfcore.data.encoded_reader import EncodedReader
from tfcore.data.read_ahead import ReadAhead
from tfcore.data.source import BatchReader
from tfcore.data.splits import HashedPart, Part
from tfcore.data.windows import Cut
from tfcore.errors import DataError


class Examples:
    """The examples of a source, or the part of them that `indices` name (a training or validation share).

    Args:
        reader: of the source; parts of one source share it.
        indices: the examples of the part, int64 `[n]` or by a key; None for all.
        weights: float32 `[N]`, factors of the losses of all examples of the source; None for none.
        blocks, read_ahead: of the order of training; see `order.indices` and `ReadAhead`.
    """

    def __init__(
        self,
        reader: BatchReader,
        indices: Part | None = None,
        weights: np.ndarray | None = None,
        blocks: order.Blocks | None = None,
        read_ahead: ReadAhead | None = None,
    ) -> None:
        self._reader, self.blocks, self._read_ahead = reader, blocks, read_ahead
        self._weights = None if weights is None else tf.constant(weights, tf.float32)
        self._indices = tf.constant(indices, tf.int64) if isinstance(indices, np.ndarray) else indices
        self.count = int(reader.labels.shape[0]) if indices is None else len(indices)

    def __len__(self) -> int:
        return self.count

    def gather(self, places: tf.Tensor, draws: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Gathers uint8 pictures `[n, H, W, C]` and labels `[n]`.

        Pictures stay bytes: passing float32 between cores through memory costs more than the cast, which the model's
        first layer does in cache.

        Args:
            places: int64 `[n]`.
            draws: float32 `[n, k]`, the random numbers of the windows, if the examples are `cut`.
        """
        rows = self.numbers(places)
        if draws is not None and isinstance(self._reader, EncodedReader):
            pictures = self._reader.pictures(rows, draws)
        else:
            pictures = self._reader.pictures(rows)
        return pictures, tf.gather(self._reader.labels, rows)

    def cut(self, window: Cut) -> "Examples":
        """Returns the same examples, of whose pictures a random window is decoded; themselves unless `is_encoded`."""
        found = copy.copy(self)
        if isinstance(self._reader, EncodedReader):
            found._reader = self._reader.cutting(window)
        return found

    @property
    def is_encoded(self) -> bool:
        """Whether the pictures are decoded batch by batch, so that they can be `cut`."""
        return isinstance(self._reader, EncodedReader)

    def weights(self, places: tf.Tensor) -> tf.Tensor | None:
        """Gathers the weights, float32 `[n]`; None if the examples have none."""
        return None if self._weights is None else tf.gather(self._weights, self.numbers(places))

    def numbers(self, places: tf.Tensor) -> tf.Tensor:
        """Converts places in the part to row numbers of the data set, int64 `[n]`."""
        if isinstance(self._indices, HashedPart):
            return self._indices.rows(places)
        return places if self._indices is None else tf.gather(self._indices, places)

    def in_order(
        self, seed: int, first_position: tf.Tensor, count: int, rows: NDArray[np.int64] | None = None
    ) -> tf.Tensor:
        """The places of the examples at positions of the endless sequence of training; see `order.indices`."""
        find = functools.partial(order.indices, seed, count=count, examples=len(self), blocks=self.blocks, rows=rows)
        if self.blocks is None or self._read_ahead is None:
            return find(first_position)
        later = find(first_position + len(self) * self.blocks.at_once // len(self.blocks.sizes))  # in the next block
        return find(first_position) + self._read_ahead(self.numbers(later))

    @property
    def labels(self) -> np.ndarray:
        """int32 `[n]`."""
        if self._indices is None:
            return self._reader.labels.numpy()
        return tf.gather(self._reader.labels, self.numbers(tf.range(len(self), dtype=tf.int64))).numpy()

    def block_steps(self, batch_size: int) -> int:
        """The number of batches to take at once."""
        return self._reader.block_steps(batch_size)

    def failure(self, message: str) -> str | None:
        """Describes the failed read of which TensorFlow reported `message`; None where it has another cause."""
        return self._reader.failure(message)


@contextmanager
def data_errors(parts: Iterable[Examples]) -> Iterator[None]:
    """Raises the DataError of a failed read, in place of the TensorFlow error that carries its text.

    Other errors pass: a picture that was prefetched and never used may have failed, too.

    Raises:
        DataError: a picture of `parts` could not be read inside the block.
        MemoryError: TensorFlow could not allocate a tensor, of a batch or of the model.
    """
    try:
        yield
    except tf.errors.ResourceExhaustedError:
        raise MemoryError("TensorFlow cannot allocate what a step needs. Take a smaller --batch_size.") from None
    except tf.errors.OpError as error:
        failures = [part.failure(error.message) for part in parts]
        for failure in filter(None, failures):
            raise DataError(failure) from None
        raise
