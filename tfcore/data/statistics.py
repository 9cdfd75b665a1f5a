"""Pixel statistics of training pictures, summed exactly in integers, without a float copy of the data set."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tfcore.data.source import Source
from tfcore.data.splits import Part

_CHUNK_BYTES = 1 << 22  # of pixels at a time; their int64 squares take eight times as much


def mean_picture(source: Source, indices: Part) -> NDArray[np.float32]:
    """Averages the pictures at `indices`: float32 `[H, W, C]` on the 0-255 scale."""
    total = np.zeros(source.image_shape, np.int64)
    for chunk in _chunks(source, indices):
        total += chunk.sum(axis=0, dtype=np.int64)
    return (total / len(indices)).astype(np.float32)


def channel_statistics(source: Source, indices: Part) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Computes mean and standard deviation (with 1/n) of each channel over the pictures at `indices`: float32 `[C]`."""
    total = np.zeros(source.image_shape[-1], np.int64)
    squares = np.zeros(source.image_shape[-1], np.int64)
    for chunk in _chunks(source, indices):
        wide = chunk.astype(np.int64)
        total += wide.sum(axis=(0, 1, 2))
        squares += np.square(wide).sum(axis=(0, 1, 2))
    count = len(indices) * math.prod(source.image_shape[:2])
    mean = total / count
    return mean.astype(np.float32), np.sqrt(squares / count - mean**2).astype(np.float32)


def _chunks(source: Source, indices: Part) -> Iterator[NDArray[np.uint8]]:
    """Yields the pictures at `indices`, a few megabytes at a time."""
    count = max(1, _CHUNK_BYTES // math.prod(source.image_shape))
    for start in range(0, len(indices), count):
        yield source.read(indices[start : start + count])
