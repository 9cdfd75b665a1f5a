"""Pooling layers, which reduce windows of a picture to one number per channel."""

from collections.abc import Callable

import tensorflow as tf

from tfcore import checks
from tfcore.errors import ShapeError
from tfcore.layers.inputs import check_padding, tf_padding
from tfcore.seeds import Key


def _mean(x: tf.Tensor, size: int) -> tf.Tensor:
    """Averages in float32 for every dtype of x: accumulated in bfloat16, a 32×32 window is off by a factor of 2."""
    return tf.cast(tf.nn.avg_pool2d(tf.cast(x, tf.float32), size, size, "VALID"), x.dtype)


def _sum(x: tf.Tensor, size: int) -> tf.Tensor:
    return _mean(x, size) * size**2


class _Pool(tf.Module):
    """Reduces windows of `size`×`size` pixels to one number, by a function of pictures and size."""

    padding = "valid"

    def __init__(self, size: int, of_windows: Callable[[tf.Tensor, int], tf.Tensor]) -> None:
        checks.positive_integer("size", size)
        super().__init__()
        self.size, self._of_windows = size, of_windows

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        del training, key
        x = tf.convert_to_tensor(x)
        least = self.size if self.padding == "valid" else 1
        if x.shape.rank != 4 or any(side is not None and side < least for side in x.shape[1:3]):
            raise ShapeError(
                f"A pool of {self.size}×{self.size} takes x of shape [N, H, W, C], H and W at least {least}. "
                f"Received {x.shape}. Take fewer pools, or larger pictures."
            )
        return self._of_windows(x, self.size)


class MaxPool(_Pool):
    """y = the maximum of each window: `[N, H, W, C]` to `[N, H // size, W // size, C]`.

    The windows do not overlap, unless a stride is given; rows and columns left over at the end are dropped. With
    padding `same`, H shrinks to ceil(H / stride) instead, and an odd number of rows to pad puts the greater half below
    and to the right; `symmetric` pads all sides by (size - 1) / 2, as in `Conv2D`. What is padded never is the maximum.

    Args:
        size: height and width of the windows, in pixels, at least 1.
        stride: pixels from one window to the next, both ways; None for `size`.
        padding: `valid`, `same` or `symmetric`.

    Raises:
        ConfigError: a size or stride below 1, an even size with `symmetric`, or an unknown padding.
        ShapeError: at the call, when `x` is not `[N, H, W, C]` or, with `valid`, smaller than the windows.
    """

    def __init__(self, size: int = 2, *, stride: int | None = None, padding: str = "valid") -> None:
        stride = size if stride is None else stride
        super().__init__(size, lambda x, size: tf.nn.max_pool2d(x, size, stride, tf_padding(padding, size, stride)))
        checks.positive_integer("stride", stride)
        check_padding(padding, size)
        self.stride, self.padding = stride, padding


class AveragePool(_Pool):
    """y = the mean of each window, without overlap or padding; otherwise like `MaxPool`."""

    def __init__(self, size: int = 2) -> None:
        super().__init__(size, _mean)


class SumPool(_Pool):
    """y = the sum of each window, without overlap or padding; otherwise like `MaxPool`."""

    def __init__(self, size: int = 2) -> None:
        super().__init__(size, _sum)


class _GlobalPool(tf.Module):
    """Reduces each channel of the whole picture to one number, by `_of_pictures`."""

    _of_pictures: Callable[..., tf.Tensor]

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        del training, key
        x = tf.convert_to_tensor(x)
        if x.shape.rank != 4:
            raise ShapeError(f"A global pool takes x of shape [N, H, W, C]. Received {x.shape}.")
        return self._of_pictures(x, axis=[1, 2])


class GlobalAveragePool(_GlobalPool):
    """y = the mean of each channel over the whole picture: `[N, H, W, C]` to `[N, C]`.

    Raises:
        ShapeError: when `x` is not `[N, H, W, C]`.

    Source: Lin, Chen & Yan 2013, arXiv 1312.4400, section 3.2.
    """

    _of_pictures = staticmethod(tf.reduce_mean)


class GlobalMaxPool(_GlobalPool):
    """y = the maximum of each channel over the whole picture; otherwise like `GlobalAveragePool`."""

    _of_pictures = staticmethod(tf.reduce_max)


POOLS: dict[str, Callable[[int], tf.Module]] = {"max": MaxPool, "average": AveragePool, "sum": SumPool}
