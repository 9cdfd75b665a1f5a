"""The dropout layer."""

import tensorflow as tf

from tfcore import checks, ops
from tfcore.errors import ConfigError, ShapeError
from tfcore.seeds import Key


class Dropout(tf.Module):
    """Sets random elements to zero in training and scales the others, which keeps the expected value.

        kept = round((1 - rate) · 2^32) / 2^32
        y = x · mask / kept, mask = 1 with probability kept, else 0        training
        y = x                                                              otherwise

    In bfloat16 the scale is rounded, by at most 2^-9 of it.

    The mask of an example is a function of the run's seed, this layer's name and the example's global position in
    training, t·B + i for row i of step t. It does not depend on how a batch is divided over micro-batches or workers,
    nor on where a run was resumed; there is no generator state. Philox gives two words per example; a hash of them and
    of an element's index within the example decides whether the element is kept (`ops.dropout`).

    Args:
        rate: fraction of the elements that are dropped, 0 <= rate < 1.
        name: the layer's path in its model; layers of different names draw different masks.

    Raises:
        ConfigError: the rate is out of range, or `training` without a key.
        ShapeError: at the call, when a dimension other than N is unknown.

    Source: Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov 2014, JMLR 15 (scaled while training, not
        afterwards); Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3" (Philox).
    """

    def __init__(self, rate: float, *, name: str) -> None:
        super().__init__(name=name)
        checks.below_one("dropout", rate)
        self.rate = rate

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        if not training or self.rate == 0:
            return x
        return ops.dropout(x, self.words(x, key), self.rate)

    def words(self, x: tf.Tensor, key: Key | None) -> tf.Tensor:
        """Draws the two random words of each example, uint32 `[N, 2]`."""
        if None in x.shape[1:]:
            raise ShapeError(f"Layer '{self.name}' takes x whose dimensions are known except N. Received {x.shape}.")
        return words(x, key, "dropout", self.name)


def words(x: tf.Tensor, key: Key | None, purpose: str, layer: str) -> tf.Tensor:
    """Draws two random words for each example of x `[N, …]`, uint32 `[N, 2]`: a layer's draw in training.

    Raises:
        ConfigError: there is no key.
    """
    if key is None:
        raise ConfigError(f"Layer '{layer}' draws at random: call the model with `key` when training.")
    return ops.example_words(key, tf.shape(x)[0], purpose, layer)[:, :2]
