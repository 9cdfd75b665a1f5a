"""Augmentations that cover a part of the picture."""

import tensorflow as tf

from tfcore import checks
from tfcore.data.augmentation.draws import Draws
from tfcore.data.augmentation.geometry import area_shares, rectangle, within
from tfcore.ops import fused

_LARGEST_RATIO = 10 / 3


def cutout(images: tf.Tensor, draws: Draws, size: int = 8) -> tf.Tensor:
    """Covers a square of each picture with black.

    Its centre is any pixel, so that it may lie partly outside. The paper covers normalized pictures with 0, the mean
    colour; here it is black.

    Args:
        images: `[n, H, W, C]`.
        draws: random numbers.
        size: of the square in pixels, at most the shorter side of the picture.

    Source: DeVries & Taylor 2017, arXiv 1708.04552, section 3.
    """
    checks.positive_integer("cutout: size", size)
    height, width = images.shape[1:3]
    within("cutout: size", size, min(height, width), images)
    top, left = draws.integers("row", height) - size // 2, draws.integers("column", width) - size // 2
    return covered(images, top, top + size, left, left + size)


def erase(
    images: tf.Tensor, draws: Draws, probability: float = 0.5, smallest: float = 0.02, largest: float = 0.33
) -> tf.Tensor:
    """Covers a random rectangle of some pictures with black.

        area = H W · u,  u in [smallest, largest]
        height / width = exp(v) · H / W,  v in [-log 10/3, log 10/3]

    The rectangle is inside of the picture; a side longer than the picture's is cut to it, where the paper draws again.
    The paper fills it with random values, torchvision with 0 as here.

    Args:
        images: `[n, H, W, C]`.
        draws: random numbers.
        probability: with which a picture is changed.
        smallest, largest: shares of the picture's area, 0 < smallest <= largest <= 1.

    Source: Zhong, Zheng, Kang, Li & Yang 2017, arXiv 1708.04896, algorithm 1.
    """
    checks.between("erase: probability", probability, 0, 1)
    area_shares("erase", smallest, largest)
    chosen = draws.happens("erased", probability)
    (top, bottom), (left, right) = (
        _inside(draws.uniform(axis), share, side)
        for axis, share, side in zip(
            ("row", "column"), rectangle(draws, smallest, largest, _LARGEST_RATIO), images.shape[1:3], strict=True
        )
    )
    return covered(images, top, tf.where(chosen, bottom, top), left, right)


def _inside(place: tf.Tensor, share: tf.Tensor, side: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The first pixel of a stretch inside of a side, and the one after its last, int32 `[n]` each.

    Args:
        place: where it is, from 0 to 1.
        share: its length as a share of the side.
        side: in pixels.
    """
    length = tf.maximum(tf.cast(tf.round(share * side), tf.int32), 1)
    first = tf.cast(place * tf.cast(side - length + 1, tf.float32), tf.int32)
    first = tf.minimum(first, side - length)
    return first, first + length


def inside(shape: tf.TensorShape, top: tf.Tensor, bottom: tf.Tensor, left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """Tells which pixels of pictures `[n, H, W, C]` are in each one's rectangle, bool `[n, H, W, 1]`."""
    rows, columns = tf.range(shape[1]), tf.range(shape[2])
    is_row = (rows >= top[:, tf.newaxis]) & (rows < bottom[:, tf.newaxis])
    is_column = (columns >= left[:, tf.newaxis]) & (columns < right[:, tf.newaxis])
    return (is_row[:, :, tf.newaxis] & is_column[:, tf.newaxis, :])[..., tf.newaxis]


@fused
def covered(images: tf.Tensor, top: tf.Tensor, bottom: tf.Tensor, left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """Sets a rectangle of each picture to 0, from `top` and `left` up to but without `bottom` and `right`."""
    return tf.where(inside(images.shape, top, bottom, left, right), tf.zeros([], images.dtype), images)
