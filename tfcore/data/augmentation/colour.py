"""Augmentations of colours: brightness, contrast, saturation and hue."""

import tensorflow as tf

from tfcore import checks
from tfcore.data.augmentation.draws import Draws, each, on_values
from tfcore.errors import ConfigError
from tfcore.ops import fused

_LUMA = (0.299, 0.587, 0.114)  # weights of red, green and blue in the grey value, by ITU-R BT.601
_COLOURS = 3


def jitter(
    images: tf.Tensor,
    draws: Draws,
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.4,
    hue: float = 0.0,
) -> tf.Tensor:
    """Changes brightness, contrast, saturation and hue of each picture, in this order.

        x ← b x,                      b in [max(0, 1 - brightness), 1 + brightness]
        x ← c x + (1 - c) mean grey   c likewise of contrast
        x ← s x + (1 - s) grey        s likewise of saturation
        hue ← hue + h                 h in [-hue, hue], as a share of the circle of colours

    with grey = 0.299 R + 0.587 G + 0.114 B, and values cut to 0 … 255 after each. torchvision's ColorJitter draws the
    order as well.

    Args:
        images: `[n, H, W, 3]`; grey pictures `[n, H, W, 1]` only with saturation and hue at 0.
        draws: random numbers.
        brightness, contrast, saturation: the largest changes, at least 0.
        hue: the largest change, 0 to 0.5.
    """
    for name, value in (("brightness", brightness), ("contrast", contrast), ("saturation", saturation)):
        checks.not_negative(f"jitter: {name}", value)
    checks.between("jitter: hue", hue, 0, 0.5)
    if images.shape[3] != _COLOURS and (saturation or hue):
        raise ConfigError(
            f"`jitter` changes saturation and hue of pictures with 3 channels. These have {images.shape[3]}: give "
            "jitter:BRIGHTNESS:CONTRAST:0:0."
        )
    factors = [
        draws.uniform(name, max(0.0, 1 - value), 1 + value)
        for name, value in (("brightness", brightness), ("contrast", contrast), ("saturation", saturation))
    ]
    turns = draws.uniform("hue", -hue, hue)
    return _jittered(images, *factors, turns, hue > 0)


def grey(values: tf.Tensor) -> tf.Tensor:
    """Computes the grey values `[n, H, W, 1]` of pictures `[n, H, W, 3]`; those of other pictures are their own."""
    if values.shape[3] != _COLOURS:
        return values
    return tf.reduce_sum(values * tf.constant(_LUMA), axis=3, keepdims=True)


def mean_grey(values: tf.Tensor) -> tf.Tensor:
    """Computes the mean of the grey values of each picture, `[n, 1, 1, C]` or `[n, 1, 1, 1]`."""
    return tf.reduce_mean(grey(values), axis=(1, 2), keepdims=True)


def blended(values: tf.Tensor, other: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """Computes f x + (1 - f) other, cut to 0 … 255; `factors` is float32 `[n]`."""
    return tf.clip_by_value(other + each(factors) * (values - other), 0.0, 255.0)


@fused
def _jittered(
    images: tf.Tensor, brightness: tf.Tensor, contrast: tf.Tensor, saturation: tf.Tensor, turns: tf.Tensor, turn: bool
) -> tf.Tensor:
    def change(values: tf.Tensor) -> tf.Tensor:
        values = blended(values, tf.zeros_like(values), brightness)
        values = blended(values, mean_grey(values), contrast)
        values = blended(values, grey(values), saturation)
        return _turned(values, turns) if turn else values

    return on_values(change, images)


def _turned(values: tf.Tensor, turns: tf.Tensor) -> tf.Tensor:
    """Adds to the hue of pictures `[n, H, W, 3]`."""
    hue, saturation, value = tf.split(tf.image.rgb_to_hsv(values / 255), 3, axis=3)
    return 255 * tf.image.hsv_to_rgb(tf.concat([(hue + each(turns)) % 1.0, saturation, value], axis=3))
