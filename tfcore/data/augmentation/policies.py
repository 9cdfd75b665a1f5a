"""RandAugment and TrivialAugment: random operations of random strength."""

import math
from typing import NamedTuple

import tensorflow as tf

from tfcore import checks
from tfcore.data.augmentation.colour import blended, grey, mean_grey
from tfcore.data.augmentation.draws import Draws, each, on_values
from tfcore.data.augmentation.geometry import warped
from tfcore.ops import fused

_STRENGTHS = 31  # evenly spaced, from none to the strongest
_LEVELS = 256
# Sharpness blends with this smoothed picture, as Pillow does.
_SMOOTHING = ((1, 1, 1), (1, 5, 1), (1, 1, 1))


class Strongest(NamedTuple):
    """The strongest form of each operation: all but the last two also in the other direction."""

    shear: float  # pixels across for each pixel down
    translate_share: float | None  # of the picture's side; None for `translate_pixels`
    translate_pixels: float
    degrees: float
    blend: float  # |factor - 1| of brightness, colour, contrast and sharpness
    bits: int  # that posterizing takes away
    solarize: float = 255.0  # below its threshold nothing changes


_RAND = Strongest(0.3, 150 / 331, 0.0, 30.0, 0.9, 4)
_TRIVIAL = Strongest(0.99, None, 32.0, 135.0, 0.99, 6)
OPERATIONS = (
    "identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate", "brightness", "colour", "contrast",
    "sharpness", "posterize", "solarize", "auto_contrast", "equalize",
)  # fmt: skip


def randaugment(images: tf.Tensor, draws: Draws, count: int = 2, magnitude: int = 9) -> tf.Tensor:
    """Applies operations, drawn for each picture, of a fixed strength.

    The 14 operations and their ranges are those of torchvision's RandAugment; positions are interpolated bilinearly
    there as an option, here always, and what comes in is black.

    Args:
        images: `[n, H, W, C]`.
        draws: random numbers.
        count: number of operations on each picture.
        magnitude: their strength, 0 to 30.

    Source: Cubuk, Zoph, Shlens & Le 2019, arXiv 1909.13719.
    """
    checks.positive_integer("randaugment: count", count)
    checks.between("randaugment: magnitude", magnitude, 0, _STRENGTHS - 1)
    strength = tf.fill([draws.count], tf.constant(magnitude / (_STRENGTHS - 1), tf.float32))
    for number in range(count):
        images = _operated(images, draws, f"_{number}", strength, _RAND)
    return images


def trivialaugment(images: tf.Tensor, draws: Draws) -> tf.Tensor:
    """Applies one operation of a random strength, both drawn for each picture.

    The 14 operations and their wide ranges are those of torchvision's TrivialAugmentWide; see `randaugment`.

    Source: Müller & Hutter 2021, arXiv 2103.10158, section 3 and table 2 (wide).
    """
    strength = tf.cast(draws.integers("strength", _STRENGTHS), tf.float32) / (_STRENGTHS - 1)
    return _operated(images, draws, "", strength, _TRIVIAL)


def _operated(images: tf.Tensor, draws: Draws, suffix: str, strength: tf.Tensor, strongest: Strongest) -> tf.Tensor:
    """Applies one operation to each picture, drawn by the names with this suffix."""
    chosen = draws.integers(f"operation{suffix}", len(OPERATIONS))
    sign = tf.where(draws.happens(f"sign{suffix}", 0.5), 1.0, -1.0)
    return operated(images, chosen, strength, sign, strongest)


def operated(
    images: tf.Tensor, chosen: tf.Tensor, strength: tf.Tensor, sign: tf.Tensor, strongest: Strongest
) -> tf.Tensor:
    """Applies operation number `chosen` of `OPERATIONS` to each picture.

    Args:
        images: `[n, H, W, C]`.
        chosen: int32 `[n]`.
        strength: float32 `[n]`, 0 to 1.
        sign: float32 `[n]`, 1 or -1.
        strongest: what strength 1 stands for.
    """
    images = _moved(images, chosen, strength * sign, strongest)
    images = _equalized_where(images, _is(chosen, "equalize"))
    return _recoloured(images, chosen, strength, sign, strongest.blend, strongest.bits, strongest.solarize)


def _is(chosen: tf.Tensor, *names: str) -> tf.Tensor:
    """Tells where one of the named operations is chosen, bool `[n]`."""
    return tf.reduce_any([chosen == OPERATIONS.index(name) for name in names], axis=0)


def _moved(images: tf.Tensor, chosen: tf.Tensor, strength: tf.Tensor, strongest: Strongest) -> tf.Tensor:
    """Shears, translates and rotates, in one pass."""

    def of(name: str, most: float) -> tf.Tensor:
        return tf.where(_is(chosen, name), strength * most, 0.0)

    across, down = (
        strongest.translate_pixels if strongest.translate_share is None else strongest.translate_share * side
        for side in (images.shape[2], images.shape[1])
    )
    angle = of("rotate", math.radians(strongest.degrees))
    return warped(
        images,
        (tf.cos(angle), of("shear_x", strongest.shear) - tf.sin(angle), of("translate_x", across)),
        (of("shear_y", strongest.shear) + tf.sin(angle), tf.cos(angle), of("translate_y", down)),
    )


@fused
def _recoloured(
    images: tf.Tensor,
    chosen: tf.Tensor,
    strength: tf.Tensor,
    sign: tf.Tensor,
    blend: float,
    bits: int,
    solarize: float,
) -> tf.Tensor:
    """Applies the operations on colours but `equalize`."""

    def change(values: tf.Tensor) -> tf.Tensor:
        def where(name: str, changed: tf.Tensor, otherwise: tf.Tensor) -> tf.Tensor:
            return tf.where(each(_is(chosen, name)), changed, otherwise)

        other = where("colour", grey(values), where("contrast", mean_grey(values), tf.zeros_like(values)))
        other = where("sharpness", _smoothed(values), other)
        is_blend = _is(chosen, "brightness", "colour", "contrast", "sharpness")
        found = blended(values, other, tf.where(is_blend, 1 + blend * strength * sign, 1.0))
        step = each(2.0 ** tf.round(bits * strength))
        found = where("posterize", tf.floor(values / step) * step, found)
        inverted = tf.where(values >= each(255 - solarize * strength), 255 - values, values)
        found = where("solarize", inverted, found)
        return where("auto_contrast", _stretched(values), found)

    return on_values(change, images)


def _smoothed(values: tf.Tensor) -> tf.Tensor:
    """Averages each pixel with its neighbours, but for those at the border."""
    height, width = values.shape[1:3]
    if min(height, width) < len(_SMOOTHING):
        return values
    shifted = [
        weight * values[:, row : height - 2 + row, column : width - 2 + column]
        for row, weights in enumerate(_SMOOTHING)
        for column, weight in enumerate(weights)
    ]
    inner = tf.reduce_sum(shifted, axis=0) / sum(map(sum, _SMOOTHING))
    is_inner = tf.pad(tf.ones_like(inner, tf.bool), [[0, 0], [1, 1], [1, 1], [0, 0]])
    return tf.where(is_inner, tf.round(tf.pad(inner, [[0, 0], [1, 1], [1, 1], [0, 0]])), values)


def _stretched(values: tf.Tensor) -> tf.Tensor:
    """Stretches each channel to 0 … 255; one of a single value stays."""
    low, high = tf.reduce_min(values, (1, 2), keepdims=True), tf.reduce_max(values, (1, 2), keepdims=True)
    return tf.where(high > low, (values - low) * tf.math.divide_no_nan(255.0, high - low), values)


def _equalized_where(images: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
    """Equalizes only the chosen pictures, one in 14: their histograms take as long as all other operations."""
    rows = tf.where(chosen)  # [m, 1]
    changed = tf.cast(equalized(tf.gather_nd(images, rows)), images.dtype)
    return tf.tensor_scatter_nd_update(images, rows, changed)


def equalized(images: tf.Tensor) -> tf.Tensor:
    """Spreads the values of each channel evenly over 0 … 255, by a table from its histogram, as Pillow does.

    Args:
        images: `[n, H, W, C]`; values are cut to whole numbers from 0 to 255.

    Returns:
        uint8 `[n, H, W, C]`.
    """
    count, (height, width, channels) = tf.shape(images)[0], images.shape[1:]
    row = tf.reshape(tf.range(count * channels), [count, 1, 1, channels]) * _LEVELS  # in a table [n, C, 256], flat
    cells = row + tf.clip_by_value(tf.cast(images, tf.int32), 0, _LEVELS - 1)
    histogram = tf.math.unsorted_segment_sum(tf.ones_like(cells), cells, count * channels * _LEVELS)
    histogram = tf.reshape(histogram, [count * channels, _LEVELS])
    levels = tf.range(_LEVELS)
    last = tf.reduce_max(tf.where(histogram > 0, levels, 0), axis=1, keepdims=True)  # the largest value that occurs
    step = (height * width - tf.gather(histogram, last, batch_dims=1)) // (_LEVELS - 1)
    below = tf.cumsum(histogram, axis=1, exclusive=True)
    table = tf.minimum((below + step // 2) // tf.maximum(step, 1), _LEVELS - 1)
    table = tf.where(step > 0, table, levels)
    return tf.cast(tf.gather(tf.reshape(table, [-1]), cells), tf.uint8)
