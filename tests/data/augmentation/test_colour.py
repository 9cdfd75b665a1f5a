"""Colour jitter against NumPy and Pillow."""

import colorsys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance
from reference import augmentation as reference
from support.augmented import draws, pictures

from tfcore.data.augmentation import colour
from tfcore.errors import ConfigError

COUNT = 12
FACTORS = ("brightness", "contrast", "saturation")


@pytest.mark.parametrize("dtype", [tf.uint8, tf.float32])
def test_jitter_is_the_formula(dtype: tf.DType) -> None:
    images, drawn = pictures(COUNT), draws(COUNT)
    found = colour.jitter(tf.cast(images, dtype), drawn, 0.5, 1.5, 0.8)
    assert found.dtype == dtype
    bounds = {"brightness": (0.5, 1.5), "contrast": (0.0, 2.5), "saturation": (0.2, 1.8)}
    factors = np.stack([drawn.uniform(name, *bounds[name]).numpy() for name in FACTORS], axis=1)
    for picture, image, row in zip(found.numpy(), images, factors, strict=True):
        expected = reference.jittered(image.astype(np.float64), *row)
        np.testing.assert_allclose(picture, expected, atol=0.501 if dtype == tf.uint8 else 0.01)


@pytest.mark.parametrize(
    ("name", "enhance"),
    [("brightness", ImageEnhance.Brightness), ("contrast", ImageEnhance.Contrast), ("saturation", ImageEnhance.Color)],
)
def test_each_change_is_that_of_pillow(name: str, enhance: type) -> None:
    images, drawn = pictures(COUNT), draws(COUNT)
    found = colour.jitter(tf.constant(images), drawn, **{**dict.fromkeys(FACTORS, 0.0), name: 0.6}).numpy()
    factors = drawn.uniform(name, 0.4, 1.6).numpy()
    for picture, image, factor in zip(found, images, factors, strict=True):
        expected = np.asarray(enhance(Image.fromarray(image)).enhance(float(factor)))
        np.testing.assert_allclose(picture.astype(int), expected.astype(int), atol=1)  # Pillow cuts fractions off


def test_hue_turns_the_circle_of_colours() -> None:
    images, drawn = pictures(COUNT), draws(COUNT)
    found = colour.jitter(tf.constant(images), drawn, 0.0, 0.0, 0.0, 0.5).numpy()
    turns = drawn.uniform("hue", -0.5, 0.5).numpy()
    for picture, image, turn in zip(found, images, turns, strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*image[2, 3] / 255)
        expected = 255 * np.array(colorsys.hsv_to_rgb((hue + turn) % 1.0, saturation, value))
        np.testing.assert_allclose(picture[2, 3], expected, atol=0.6)


def test_no_change_leaves_the_picture() -> None:
    images = pictures(COUNT)
    np.testing.assert_array_equal(colour.jitter(tf.constant(images), draws(COUNT), 0.0, 0.0, 0.0).numpy(), images)


def test_grey_pictures_have_brightness_and_contrast_alone() -> None:
    images = tf.constant(pictures(COUNT, channels=1))
    assert colour.jitter(images, draws(COUNT), 0.4, 0.4, 0.0).shape == images.shape
    with pytest.raises(ConfigError, match=r"3 channels. These have 1: give jitter:BRIGHTNESS:CONTRAST:0:0"):
        colour.jitter(images, draws(COUNT))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"brightness": -0.1}, "brightness` must be at least 0"), ({"hue": 0.6}, "hue` must be from 0 to 0.5")],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        colour.jitter(tf.constant(pictures(COUNT)), draws(COUNT), **arguments)
