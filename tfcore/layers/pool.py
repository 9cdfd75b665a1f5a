"""Pooling: windows of a picture to one number each, channel by channel."""

import tensorflow as tf

from tfcore import checks
from tfcore.errors import ShapeError
from tfcore.seeds import Key


class _Pool(tf.Module):
    """Windows of `size`×`size` pixels side by side; rows and columns left over at the end are dropped.

    Args:
        size: height and width of the windows, and the distance from one to the next, in pixels.

    Raises:
        ConfigError: a size below 1.
        ShapeError: at the call, when `x` is not `[N, H, W, C]` of at least that size.
    """

    def __init__(self, size: int = 2) -> None:
        checks.positive_integer("size", size)
        super().__init__()
        self.size = size

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        del training, key
        if x.shape.rank != 4 or any(side is not None and side < self.size for side in x.shape[1:3]):
            raise ShapeError(
                f"A pool of {self.size}×{self.size} takes x of shape [N, H, W, C], H and W at least {self.size}. "
                f"Received {x.shape}. Take fewer pools, or larger pictures."
            )
        return self._pooled(x)

    def _pooled(self, x: tf.Tensor) -> tf.Tensor:
        raise NotImplementedError


class MaxPool(_Pool):
    """y = the largest of each window: `[N, H, W, C]` to `[N, H // size, W // size, C]`. See Args in `_Pool`."""

    def _pooled(self, x: tf.Tensor) -> tf.Tensor:
        return tf.nn.max_pool2d(x, self.size, self.size, "VALID")


class AveragePool(_Pool):
    """y = the mean of each window: `[N, H, W, C]` to `[N, H // size, W // size, C]`."""

    def _pooled(self, x: tf.Tensor) -> tf.Tensor:
        return tf.nn.avg_pool2d(x, self.size, self.size, "VALID")


class SumPool(_Pool):
    """y = the sum of each window: `[N, H, W, C]` to `[N, H // size, W // size, C]`."""

    def _pooled(self, x: tf.Tensor) -> tf.Tensor:
        return tf.nn.avg_pool2d(x, self.size, self.size, "VALID") * self.size**2


class GlobalAveragePool(tf.Module):
    """y = the mean over the whole picture, channel by channel: `[N, H, W, C]` to `[N, C]`.

    Raises:
        ShapeError: when `x` is not `[N, H, W, C]`.

    Source: Lin, Chen & Yan 2013, arXiv 1312.4400, section 3.2.
    """

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        del training, key
        if x.shape.rank != 4:
            raise ShapeError(f"A global pool takes x of shape [N, H, W, C]. Received {x.shape}.")
        return tf.reduce_mean(x, axis=[1, 2])


POOLS: dict[str, type[_Pool]] = {"max": MaxPool, "average": AveragePool, "sum": SumPool}
