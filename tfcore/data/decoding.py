"""Decodes pictures in TensorFlow's threads: JPEGs partly or at a fraction of their size, resized to a model's input."""

import functools
import math
import os
from collections.abc import Callable

import tensorflow as tf

THREADS = os.cpu_count() or 1
_FRACTIONS = (8, 4, 2)  # 1/8 … 1/2: the sizes that a JPEG can be decoded to without its finest details


def decoded(data: tf.Tensor, windows: tf.Tensor, is_jpeg: tf.Tensor, image_shape: tuple[int, int, int]) -> tf.Tensor:
    """Decodes pictures, in as many threads as there are processors.

    A window is resized bilinearly, with a filter as much wider where it shrinks (Pillow's BILINEAR, which also rounds
    between the two axes). Of a JPEG only the window is decoded. If it is at least 4 times as large as the result both
    ways, the JPEG is decoded at 1/2, 1/4 or 1/8, such that it is still at least twice as large.

    Args:
        data: strings `[n]`; a JPEG, or the pixels of the result, H·W·C bytes.
        windows: int32 `[n, 4]`, the parts of the JPEGs to take: top, left, height and width in pixels.
        is_jpeg: bool `[n]`.
        image_shape: (H, W, C) of the result.

    Returns:
        uint8 `[n, H, W, C]`.
    """
    one = functools.partial(_decoded, image_shape=image_shape)
    spec = tf.TensorSpec(image_shape, tf.uint8)
    # Twice as many iterations as threads, so that none waits for the oldest one.
    return tf.map_fn(
        lambda given: one(*given), (data, windows, is_jpeg), fn_output_signature=spec, parallel_iterations=2 * THREADS
    )


def _decoded(data: tf.Tensor, window: tf.Tensor, is_jpeg: tf.Tensor, image_shape: tuple[int, int, int]) -> tf.Tensor:
    pixels = tf.cond(
        is_jpeg,
        lambda: _jpeg(data, window, image_shape),
        lambda: tf.reshape(tf.io.decode_raw(data, tf.uint8, fixed_length=math.prod(image_shape)), image_shape),
    )
    return tf.ensure_shape(pixels, image_shape)


def _jpeg(data: tf.Tensor, window: tf.Tensor, image_shape: tuple[int, int, int]) -> tf.Tensor:
    *size, channels = image_shape
    decode: dict[str, object] = {"channels": channels, "dct_method": "INTEGER_ACCURATE"}  # as Pillow decodes

    def whole() -> tf.Tensor:
        return tf.io.decode_and_crop_jpeg(data, window, **decode)

    def reduced(ratio: int) -> tf.Tensor:
        top, left, height, width = tf.unstack(window // ratio)
        pixels = tf.io.decode_jpeg(data, ratio=ratio, **decode)
        return pixels[top : top + height, left : left + width]

    larger = tf.reduce_min(window[2:] // (2 * tf.constant(size)))  # than twice the result
    choices: list[tuple[tf.Tensor, Callable[[], tf.Tensor]]] = [
        (larger >= ratio, functools.partial(reduced, ratio)) for ratio in _FRACTIONS
    ]
    pixels = tf.case(choices, default=whole)
    has_size = tf.reduce_all(tf.equal(tf.shape(pixels)[:2], size))
    return tf.cond(has_size, lambda: pixels, lambda: _resized(pixels, size))


def _resized(pixels: tf.Tensor, size: list[int]) -> tf.Tensor:
    return tf.cast(tf.round(tf.image.resize(pixels, size, antialias=True)), tf.uint8)
