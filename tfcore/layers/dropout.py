"""Dropout."""

import math

import tensorflow as tf

from tfcore import checks, seeds
from tfcore.errors import ConfigError, ShapeError
from tfcore.seeds import Key

_LEVELS = 2**16  # of a random number: half of a 32-bit word
_NUMBERS_PER_BLOCK = 8  # that one value of the generator's counter yields
_PHILOX = 1


class Dropout(tf.Module):
    """Sets numbers to zero at random while training, and scales the others so that the mean stays.

        kept = round((1 - rate) · 2^16) / 2^16
        y = x · mask / kept, mask = 1 with probability kept, else 0        training
        y = x                                                              otherwise

    Rounding the rate to 2^-16 lets one random word decide over two numbers; the scale is that of the rounded rate, so
    the mean is exact. In bfloat16 the scale is itself rounded, by at most 2^-9 of it.

    The mask of an example is a function of the run's seed, this layer's name and the example's place among all that the
    run trains on, t·B + i for row i of step t. It is the same however a batch is divided, over micro-batches or
    workers, and whenever the run is resumed; no generator keeps a state.

    Args:
        rate: share of the numbers that are dropped, 0 <= rate < 1.
        name: the layer's path in its model; two layers draw differently.

    Raises:
        ConfigError: the rate is out of range, or `training` without a key.
        ShapeError: at the call, when a size other than N is unknown.

    Source: Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov 2014, JMLR 15 (scaled while training, not
        afterwards); Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3" (Philox).
    """

    def __init__(self, rate: float, *, name: str) -> None:
        super().__init__(name=name)
        checks.below_one("dropout", rate)
        self.rate = rate
        self._kept_levels = max(1, round((1 - rate) * _LEVELS))

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        if not training or self._kept_levels == _LEVELS:
            return x
        if key is None:
            raise ConfigError(f"Layer '{self.name}' draws at random: call the model with `key` when training.")
        if None in x.shape[1:]:
            raise ShapeError(f"Layer '{self.name}' takes x of known sizes but for N. Received {x.shape}.")
        return x * self._mask(tf.shape(x), math.prod(x.shape[1:]), key, x.dtype)

    def _mask(self, shape: tf.Tensor, numbers: int, key: Key, dtype: tf.DType) -> tf.Tensor:
        """0 or 1 / kept, for `numbers` of each example."""
        blocks = -(-numbers // _NUMBERS_PER_BLOCK)
        words = tf.raw_ops.StatelessRandomUniformFullIntV2(
            shape=[shape[0], 4 * blocks],
            key=[seeds.integer(key.seed, "dropout", self.name)],
            counter=[tf.cast(key.position, tf.uint64) * blocks, tf.zeros([], tf.uint64)],
            alg=_PHILOX,
            dtype=tf.uint32,
        )
        halves = tf.reshape(tf.bitcast(words, tf.uint16), [shape[0], blocks * _NUMBERS_PER_BLOCK])
        kept = halves[:, :numbers] <= tf.constant(self._kept_levels - 1, tf.uint16)
        return tf.reshape(tf.cast(kept, dtype), shape) * tf.cast(_LEVELS / self._kept_levels, dtype)
