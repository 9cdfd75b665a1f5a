"""Averages over training pictures, exact in integers, without a float copy of the data set."""

import numpy as np
from numpy.typing import NDArray

_CHUNK = 1000  # pictures


def mean_picture(images: NDArray[np.uint8], indices: NDArray[np.int64]) -> NDArray[np.float32]:
    """The average of the pictures that `indices` name: float32 `[H, W, C]` on the 0-255 scale."""
    total = np.zeros(images.shape[1:], np.int64)
    for start in range(0, len(indices), _CHUNK):
        total += images[indices[start : start + _CHUNK]].sum(axis=0, dtype=np.int64)
    return (total / len(indices)).astype(np.float32)


def channel_statistics(
    images: NDArray[np.uint8], indices: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation (with 1/n) of each channel over all pixels named: two float32 `[C]`."""
    total = np.zeros(images.shape[-1], np.int64)
    squares = np.zeros(images.shape[-1], np.int64)
    for start in range(0, len(indices), _CHUNK):
        chunk = images[indices[start : start + _CHUNK]].astype(np.int64)
        total += chunk.sum(axis=(0, 1, 2))
        squares += np.square(chunk).sum(axis=(0, 1, 2))
    count = len(indices) * images.shape[1] * images.shape[2]
    mean = total / count
    return mean.astype(np.float32), np.sqrt(squares / count - mean**2).astype(np.float32)
