"""The layer that drops whole examples of a residual branch."""

import tensorflow as tf

from tfcore import checks, ops
from tfcore.layers import dropout
from tfcore.seeds import Key


class StochasticDepth(tf.Module):
    """Sets whole examples to zero in training and scales the others: the last layer of a residual connection's body.

        kept = round((1 - rate) · 2^32) / 2^32
        y_n = x_n · b_n / kept, b_n = 1 with probability kept, else 0        training
        y = x                                                                otherwise

    A dropped example passes the block by its shortcut alone. This divides by the kept share in training, as timm's
    `DropPath` and torchvision's `StochasticDepth` in mode `row` do; the paper multiplies by it afterwards, and drops a
    block for the whole batch at once. In bfloat16 the scale is rounded, by at most 2^-9 of it.

    What is dropped is a function of the run's seed, this layer's name and the example's global position in training,
    as for `Dropout`.

    Args:
        rate: share of the examples that are dropped, 0 <= rate < 1; published networks let it grow with the depth of
            the block, from near 0 to this, in equal steps.
        name: the layer's path in its model; layers of different names drop different examples.

    Raises:
        ConfigError: the rate is out of range, or `training` without a key.

    Source: Huang, Sun, Liu, Sedra & Weinberger 2016, arXiv 1603.09382, equations 2 and 5.

    Example:
        body = Sequential({"conv": conv, "norm": norm, "drop": StochasticDepth(0.1, name="block_2_drop")})
        block = Residual(body, name="block_2")
    """

    def __init__(self, rate: float, *, name: str) -> None:
        super().__init__(name=name)
        checks.below_one("stochastic_depth", rate)
        self.rate = rate

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        if not training or self.rate == 0:
            return x
        return ops.drop_examples(x, dropout.words(x, key, "stochastic depth", self.name), self.rate)
