"""Flips, crops, translation and rotation against NumPy, with the numbers that were drawn."""

import math

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from reference import augmentation as reference
from support.augmented import EXAMPLES, draws, pictures

from tfcore.data.augmentation import geometry
from tfcore.errors import ConfigError

COUNT = 12


def test_flip_mirrors_the_drawn_ones() -> None:
    images, drawn = pictures(COUNT), draws(COUNT)
    found = geometry.flip(tf.constant(images), drawn).numpy()
    chosen = drawn.happens("flipped", 0.5).numpy()
    assert 0 < chosen.sum() < COUNT
    np.testing.assert_array_equal(found, np.where(chosen[:, None, None, None], images[:, :, ::-1], images))


def test_flip_with_probability_one_mirrors_all() -> None:
    images = pictures(COUNT)
    np.testing.assert_array_equal(geometry.flip(tf.constant(images), draws(COUNT), 1.0).numpy(), images[:, :, ::-1])


def test_alternating_flip_shows_both_sides_in_two_epochs() -> None:
    images = pictures(EXAMPLES)
    sides = []
    for epoch in range(4):
        drawn = draws(EXAMPLES, position=epoch * EXAMPLES)
        numbers = drawn.numbers.numpy()
        found = geometry.alternating_flip(tf.constant(images[numbers]), drawn).numpy()
        is_flipped = (found != images[numbers]).any(axis=(1, 2, 3))
        np.testing.assert_array_equal(found[is_flipped], images[numbers][is_flipped][:, :, ::-1])
        sides.append(is_flipped[np.argsort(numbers)])
    assert 0.2 < sides[0].mean() < 0.8
    np.testing.assert_array_equal(sides[0], ~sides[1])
    np.testing.assert_array_equal(sides[0], sides[2])
    np.testing.assert_array_equal(sides[1], sides[3])


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("pixels", [1, 5])
def test_crop(pixels: int, padding: str) -> None:
    images, drawn = pictures(COUNT), draws(COUNT)
    found = geometry.crop(tf.constant(images), drawn, pixels, padding).numpy()
    rows, columns = (drawn.integers(axis, 2 * pixels + 1).numpy() for axis in ("rows", "columns"))
    expected = [
        reference.cropped(image, row, column, pixels, pixels, padding)
        for image, row, column in zip(images, rows, columns, strict=True)
    ]
    np.testing.assert_array_equal(found, expected)


def test_translate() -> None:
    images, drawn = pictures(COUNT), draws(COUNT)
    found = geometry.translate(tf.constant(images), drawn, 0.25).numpy()  # 1 of 6 rows, 2 of 8 columns
    rows, columns = drawn.integers("rows", 3).numpy(), drawn.integers("columns", 5).numpy()
    expected = [
        reference.cropped(image, row, column, 1, 2, "zeros")
        for image, row, column in zip(images, rows, columns, strict=True)
    ]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("fill", ["CONSTANT", "NEAREST"])
@pytest.mark.parametrize("dtype", [tf.uint8, tf.float32])
def test_warped(fill: str, dtype: tf.DType) -> None:
    images, drawn = pictures(COUNT), draws(COUNT)
    across, down = (
        tuple(drawn.uniform(f"{axis}{place}", -1.5, 1.5) + shift for place, shift in enumerate((1.0, 0.0, 0.0)))
        for axis in ("across", "down")
    )
    found = geometry.warped(tf.cast(images, dtype), across, down, fill=fill)
    assert found.dtype == dtype
    for number, image in enumerate(images):
        rows = (np.array([float(values[number]) for values in row]) for row in (across, down))
        expected = reference.warped(image.astype(np.float64), *rows, fill)  # type: ignore[arg-type]
        np.testing.assert_allclose(found[number].numpy(), expected, atol=0.501 if dtype == tf.uint8 else 0.01)


@pytest.mark.parametrize("fill", ["CONSTANT", "NEAREST"])
def test_warped_is_what_tensorflow_computes(fill: str) -> None:
    images = pictures(COUNT).astype(np.float32)
    angle = draws(COUNT).uniform("angle", -3.0, 3.0)
    zeros, (x, y) = tf.zeros_like(angle), ((8 - 1) / 2, (6 - 1) / 2)
    across, down = (tf.cos(angle), -tf.sin(angle), zeros + 1.25), (tf.sin(angle), tf.cos(angle), zeros - 0.5)
    shifts = [row[2] + centre - row[0] * x - row[1] * y for row, centre in ((across, x), (down, y))]
    transforms = tf.stack([*across[:2], shifts[0], *down[:2], shifts[1], zeros, zeros], axis=1)
    expected = tf.raw_ops.ImageProjectiveTransformV3(
        images=images, transforms=transforms, output_shape=[6, 8], fill_value=0.0, interpolation="BILINEAR",
        fill_mode=fill,
    )  # fmt: skip
    found = geometry.warped(tf.constant(images), across, down, fill=fill)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=0.01)


@pytest.mark.parametrize("size", [(12, 16), (9, 11), (24, 20)])
def test_resized_is_antialiased_as_by_pillow(size: tuple[int, int]) -> None:
    images = pictures(4, 24, 32)
    found = geometry.resized(tf.constant(images), size)
    floats = geometry.resized(tf.cast(images, tf.float32), size)
    assert (found.dtype, floats.dtype) == (tf.uint8, tf.float32)
    for image, ours, exact in zip(images, found.numpy(), floats.numpy(), strict=True):
        expected = reference.resized(image.astype(np.float64), *size)
        np.testing.assert_allclose(exact, expected, atol=1e-3)
        np.testing.assert_allclose(ours, expected, atol=0.501)
        theirs = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))
        np.testing.assert_allclose(ours, theirs.astype(int), atol=1)  # it rounds twice


def test_rotate_turns_as_pillow_does() -> None:
    smooth = np.asarray(Image.fromarray(pictures(1, 4, 4)[0]).resize((24, 24), Image.Resampling.BICUBIC))
    drawn = draws(COUNT)
    angles = drawn.uniform("angle", -math.radians(40), math.radians(40)).numpy()
    found = geometry.rotate(tf.constant(np.repeat(smooth[None], COUNT, 0)), drawn, 40.0).numpy()
    for picture, angle in zip(found, angles, strict=True):
        expected = np.asarray(Image.fromarray(smooth).rotate(math.degrees(angle), Image.Resampling.BILINEAR))
        inner = slice(6, 18)
        np.testing.assert_allclose(picture[inner, inner].astype(int), expected[inner, inner].astype(int), atol=1)


def test_resized_crop_enlarges_a_part() -> None:
    ramp = np.tile(np.linspace(10, 240, 40, dtype=np.float32)[None, :, None], (30, 1, 1))  # [30, 40, 1]
    drawn = draws(COUNT)
    found = geometry.resized_crop(tf.constant(np.repeat(ramp[None], COUNT, 0)), drawn, 0.1, 0.5).numpy()
    heights, widths = (side.numpy() for side in geometry.rectangle(drawn, 0.1, 0.5, 4 / 3))
    assert np.all((heights <= 1) & (widths <= 1))
    np.testing.assert_allclose(heights * widths, drawn.uniform("area", 0.1, 0.5).numpy(), rtol=1e-5)
    np.testing.assert_array_less(np.abs(np.log(heights / widths)), math.log(4 / 3) + 1e-5)
    slopes = (found[:, 15, 30, 0] - found[:, 15, 10, 0]) / (ramp[15, 30, 0] - ramp[15, 10, 0])
    np.testing.assert_allclose(slopes, widths, rtol=0.01)
    assert found.min() >= 10


def test_resized_crop_of_the_whole_is_the_picture() -> None:
    images = pictures(COUNT, 5, 5)
    slopes = draws(COUNT).uniform("ratio", -math.log(4 / 3), math.log(4 / 3)).numpy()
    found = geometry.resized_crop(tf.constant(images), draws(COUNT), 1.0, 1.0).numpy()
    heights, widths = (side.numpy() for side in geometry.rectangle(draws(COUNT), 1.0, 1.0, 4 / 3))
    np.testing.assert_allclose(np.maximum(heights, widths), 1.0)  # the longer side is cut to the picture's
    assert found.shape == images.shape
    assert len(slopes) == COUNT


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (geometry.flip, {"probability": 1.5}, "`flip: probability` must be from 0 to 1"),
        (geometry.crop, {"pixels": 6}, "at most 5 for pictures of 6x8"),
        (geometry.crop, {"pixels": 0}, "at least 1"),
        (geometry.crop, {"padding": "mirror"}, "one of zeros, reflect"),
        (geometry.translate, {"share": 1.0}, "below 1"),
        (geometry.translate, {"share": 0.1}, "must move pictures of 6x8 by a pixel at least. .* give 0.12 or more"),
        (geometry.rotate, {"degrees": 181.0}, "from 0 to 180"),
        (geometry.rotate, {"degrees": 0.0}, "above 0"),
        (geometry.resized_crop, {"smallest": 0.0}, "above 0"),
        (geometry.resized_crop, {"smallest": 0.5, "largest": 0.2}, "from 0.5 to 1"),
    ],
)
def test_arguments_out_of_range_are_refused(function: object, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        function(tf.constant(pictures(COUNT)), draws(COUNT), **arguments)  # type: ignore[operator]
