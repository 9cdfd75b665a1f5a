"""Decodes pictures in TensorFlow's threads: JPEGs partly or at a fraction of their size, resized to a model's input."""

import functools
import math
from collections.abc import Callable

import tensorflow as tf

from tfcore import machine

THREADS = machine.processors()
_FRACTIONS = (8, 4, 2)  # 1/8 … 1/2: the sizes that a JPEG can be decoded to without its finest details
_DCT = "INTEGER_ACCURATE"  # as Pillow decodes

_Decode = Callable[[tf.Tensor, tf.Tensor, tuple[int, int, int]], tf.Tensor]  # of a JPEG, a window, and (H, W, C)


def decoded(
    data: tf.Tensor, windows: tf.Tensor, is_jpeg: tf.Tensor, image_shape: tuple[int, int, int], *, exact: bool
) -> tf.Tensor:
    """Decodes pictures, in as many threads as there are processors.

    A window is resized bilinearly. Exactly: with a filter as much wider where it shrinks (Pillow's BILINEAR, which also
    rounds between the two axes). Of a JPEG only the window is decoded. If it is at least 4 times as large as the result
    both ways, the JPEG is decoded at 1/2, 1/4 or 1/8, such that it is still at least twice as large.

    Otherwise, for random windows: between the nearest pixels, without a wider filter, which takes 0.4 of the time, of a
    JPEG decoded at 1/2, 1/4 or 1/8 where it is still at least as large as the result both ways. So a window of the
    result's proportions shrinks to no less than half by this. Its sides are rounded down to the fraction's pixels.

    Args:
        data: strings `[n]`; a JPEG, or the pixels of the result, H·W·C bytes.
        windows: int32 `[n, 4]`, the parts of the JPEGs to take: top, left, height and width in pixels.
        is_jpeg: bool `[n]`.
        image_shape: (H, W, C) of the result.
        exact: whether to filter exactly.

    Returns:
        uint8 `[n, H, W, C]`.
    """
    one = functools.partial(_decoded, image_shape=image_shape, jpeg=_exactly if exact else _quickly)
    spec = tf.TensorSpec(image_shape, tf.uint8)
    # Twice as many iterations as threads, so that none waits for the oldest one.
    return tf.map_fn(
        lambda given: one(*given), (data, windows, is_jpeg), fn_output_signature=spec, parallel_iterations=2 * THREADS
    )


def _decoded(
    data: tf.Tensor, window: tf.Tensor, is_jpeg: tf.Tensor, image_shape: tuple[int, int, int], jpeg: _Decode
) -> tf.Tensor:
    pixels = tf.cond(
        is_jpeg,
        lambda: jpeg(data, window, image_shape),
        lambda: tf.reshape(tf.io.decode_raw(data, tf.uint8, fixed_length=math.prod(image_shape)), image_shape),
    )
    return tf.ensure_shape(pixels, image_shape)


def _exactly(data: tf.Tensor, window: tf.Tensor, image_shape: tuple[int, int, int]) -> tf.Tensor:
    *size, channels = image_shape
    scale = tf.cast(size, tf.float32) / tf.cast(window[2:], tf.float32)

    def cut() -> tf.Tensor:
        pixels = tf.io.decode_and_crop_jpeg(data, window, channels=channels, dct_method=_DCT)
        has_size = tf.reduce_all(tf.equal(window[2:], size))
        return tf.cond(has_size, lambda: pixels, lambda: _scaled(pixels, size, scale, tf.zeros([2])))

    def reduced(fraction: int) -> tf.Tensor:
        pixels = tf.io.decode_jpeg(data, channels=channels, dct_method=_DCT, ratio=fraction)
        return _scaled(pixels, size, scale * fraction, -scale * tf.cast(window[:2], tf.float32))

    return _by_fraction(window[2:] // 2, size, reduced, cut)


def _quickly(data: tf.Tensor, window: tf.Tensor, image_shape: tuple[int, int, int]) -> tf.Tensor:
    *size, channels = image_shape

    def at(fraction: int) -> tf.Tensor:
        part = window // fraction
        pixels = tf.io.decode_and_crop_jpeg(data, part, channels=channels, dct_method=_DCT, ratio=fraction)
        found = tf.raw_ops.ResizeBilinear(images=pixels[tf.newaxis], size=size, half_pixel_centers=True)
        return tf.cast(found[0] + 0.5, tf.uint8)

    return _by_fraction(window[2:], size, at, functools.partial(at, 1))


def _by_fraction(
    largest: tf.Tensor, size: list[int], decode: Callable[[int], tf.Tensor], otherwise: Callable[[], tf.Tensor]
) -> tf.Tensor:
    """Decodes at the smallest fraction at which a window of (h, w) = `largest` covers `size`."""
    larger = tf.reduce_min(largest // size)
    choices = [(larger >= fraction, functools.partial(decode, fraction)) for fraction in _FRACTIONS]
    return tf.case(choices, default=otherwise)


def _scaled(pixels: tf.Tensor, size: list[int], scale: tf.Tensor, translation: tf.Tensor) -> tf.Tensor:
    """Resizes as `tf.image.resize(…, antialias=True)` does, from any place."""
    found = tf.raw_ops.ScaleAndTranslate(
        images=pixels[tf.newaxis],
        size=size,
        scale=scale,
        translation=translation,
        kernel_type="triangle",
        antialias=True,
    )
    return tf.cast(tf.round(found[0]), tf.uint8)
