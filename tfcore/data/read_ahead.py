"""Has the shards of later batches downloaded while earlier ones are trained on."""

from collections import deque

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfcore.data import shard_cache
from tfcore.data.batch_reader import PythonCalls
from tfcore.data.layout import Layout

_REMEMBERED = 1 << 10  # shards that were asked for, so that they are not asked for at every batch


class ReadAhead:
    """Asks for the shards of rows that will be read later, without waiting for them.

    Args:
        layout: of the source.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._asked: deque[int] = deque(maxlen=min(_REMEMBERED, len(layout.paths) // 2))
        self._calls = PythonCalls(self._ask)

    def __call__(self, rows: tf.Tensor) -> tf.Tensor:
        """Asks for the shards of rows, int64 `[n]`; returns 0, which is to be added to something that is used."""
        (zero,) = self._calls((tf.int64,), rows)
        return tf.ensure_shape(zero, [])

    def _ask(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        numbers = np.unique(np.searchsorted(self._layout.ends, rows, side="right")).tolist()
        new = [number for number in numbers if number not in self._asked]
        if new:
            self._asked.extend(new)
            shard_cache.fetch_ahead([self._layout.paths[number] for number in new])
        return np.zeros([], np.int64)
