"""Pictures and draws for tests of augmentation."""

import numpy as np
import tensorflow as tf

from tfcore.data.augmentation.draws import Draws
from tfcore.seeds import Key

EXAMPLES = 50


def pictures(count: int, height: int = 6, width: int = 8, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Random bytes `[count, height, width, channels]`."""
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, channels), dtype=np.uint8)


def draws(count: int, *, position: int = 0, batch_size: int | None = None, seed: int = 3, purpose: str = "x") -> Draws:
    """The draws of `count` examples from a position in training on."""
    start = tf.constant(position, tf.int64)
    key = Key(seed, start // (batch_size or count), start)
    return Draws(key, purpose, count=count, batch_size=batch_size or count, examples=EXAMPLES)
