"""The operations of RandAugment and TrivialAugment against Pillow, whose definitions the papers use."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps
from support.augmented import draws, pictures

from tfcore.data.augmentation import policies
from tfcore.data.augmentation.policies import _RAND, OPERATIONS, operated
from tfcore.errors import ConfigError

COUNT, SIDE = 10, 24
STRENGTHS = np.linspace(0, 1, COUNT).astype(np.float32)
SIGNS = np.where(np.arange(COUNT) % 3, 1.0, -1.0).astype(np.float32)
PILLOW: dict[str, Callable[[Image.Image, float, float], Image.Image]] = {  # picture, strength, sign
    "identity": lambda image, _, __: image,
    "brightness": lambda image, strength, sign: ImageEnhance.Brightness(image).enhance(1 + 0.9 * strength * sign),
    "colour": lambda image, strength, sign: ImageEnhance.Color(image).enhance(1 + 0.9 * strength * sign),
    "contrast": lambda image, strength, sign: ImageEnhance.Contrast(image).enhance(1 + 0.9 * strength * sign),
    "sharpness": lambda image, strength, sign: ImageEnhance.Sharpness(image).enhance(1 + 0.9 * strength * sign),
    "posterize": lambda image, strength, _: ImageOps.posterize(image, 8 - round(4 * strength)),
    "solarize": lambda image, strength, _: ImageOps.solarize(image, 255 - 255 * strength),
    "auto_contrast": lambda image, _, __: ImageOps.autocontrast(image),
    "equalize": lambda image, _, __: ImageOps.equalize(image),
}
# x' = x + 0.3 y and so on, about the centre, in Pillow's coordinates of pixel corners.
MOVES: dict[str, Callable[[float], tuple[float, ...]]] = {
    "shear_x": lambda s: (1, 0.3 * s, -0.3 * s * SIDE / 2, 0, 1, 0),
    "shear_y": lambda s: (1, 0, 0, 0.3 * s, 1, -0.3 * s * SIDE / 2),
    "translate_x": lambda s: (1, 0, 150 / 331 * SIDE * s, 0, 1, 0),
    "translate_y": lambda s: (1, 0, 0, 0, 1, 150 / 331 * SIDE * s),
}


def applied(name: str, images: np.ndarray) -> np.ndarray:
    chosen = tf.fill([len(images)], OPERATIONS.index(name))
    found = operated(tf.constant(images), chosen, tf.constant(STRENGTHS), tf.constant(SIGNS), _RAND)
    assert found.dtype == tf.uint8
    return found.numpy()


def smooth_pictures() -> np.ndarray:
    small = [Image.fromarray(picture) for picture in pictures(COUNT, 5, 5)]
    return np.stack([np.asarray(one.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for one in small])


@pytest.mark.parametrize("name", PILLOW)
@pytest.mark.parametrize("narrow", [False, True])
def test_operations_on_colours(name: str, narrow: bool) -> None:
    images = smooth_pictures() // (2 if narrow else 1) + (30 if narrow else 0)
    for picture, image, strength, sign in zip(applied(name, images), images, STRENGTHS, SIGNS, strict=True):
        expected = np.asarray(PILLOW[name](Image.fromarray(image), float(strength), float(sign)))
        is_exact = name in ("identity", "posterize", "equalize", "solarize")  # of the others Pillow cuts fractions off
        assert np.abs(picture.astype(int) - expected.astype(int)).max() <= (0 if is_exact else 1)


@pytest.mark.parametrize("name", MOVES)
def test_operations_on_positions(name: str) -> None:
    images = smooth_pictures()
    is_inside = applied(name, np.full_like(images, 255)) == 255  # Pillow treats the border otherwise
    assert is_inside.mean() > 0.6
    for number, image in enumerate(images):
        matrix = MOVES[name](float(STRENGTHS[number] * SIGNS[number]))
        bilinear = Image.Resampling.BILINEAR
        expected = np.asarray(Image.fromarray(image).transform((SIDE, SIDE), Image.Transform.AFFINE, matrix, bilinear))
        difference = np.abs(applied(name, images)[number].astype(int) - expected.astype(int))
        assert difference[is_inside[number]].max() <= 1


def test_all_operations_are_compared_or_rotate() -> None:
    assert {*PILLOW, *MOVES, "rotate"} == {*OPERATIONS}  # rotate: see test_geometry


def test_one_value_alone_stays_when_stretched_or_equalized() -> None:
    flat = np.full((COUNT, 5, 5, 3), 77, np.uint8)
    for name in ("auto_contrast", "equalize"):
        np.testing.assert_array_equal(applied(name, flat), flat)


def test_values_outside_of_the_scale_are_cut_off_before_their_histogram() -> None:
    images = pictures(COUNT).astype(np.float32) * 3 - 200
    expected = policies.equalized(tf.constant(np.clip(images, 0, 255))).numpy()
    np.testing.assert_array_equal(policies.equalized(tf.constant(images)).numpy(), expected)


def test_operations_of_one_batch_do_not_disturb_each_other() -> None:
    images, chosen = smooth_pictures(), np.arange(COUNT, dtype=np.int32) + 4
    found = operated(tf.constant(images), tf.constant(chosen), tf.constant(STRENGTHS), tf.constant(SIGNS), _RAND)
    for number, operation in enumerate(chosen):
        np.testing.assert_array_equal(found[number].numpy(), applied(OPERATIONS[operation], images)[number])


def test_randaugment_applies_as_many_operations_as_asked() -> None:
    images = tf.constant(smooth_pictures())
    once, twice = (policies.randaugment(images, draws(COUNT), count).numpy() for count in (1, 2))
    drawn = draws(COUNT)
    chosen, sign = drawn.integers("operation_0", 14), tf.where(drawn.happens("sign_0", 0.5), 1.0, -1.0)
    expected = operated(images, chosen, tf.fill([COUNT], 0.3), sign, _RAND)
    np.testing.assert_array_equal(once, expected.numpy())
    assert (once != twice).any()


def test_magnitude_zero_leaves_all_but_solarize_and_histograms() -> None:
    images = smooth_pictures()
    found = policies.randaugment(tf.constant(images), draws(COUNT), 1, 0).numpy()
    chosen = draws(COUNT).integers("operation_0", 14).numpy()
    still = ~np.isin(chosen, [OPERATIONS.index(name) for name in ("solarize", "auto_contrast", "equalize")])
    assert still.any()
    np.testing.assert_array_equal(found[still], images[still])


def test_trivialaugment_reaches_stronger_forms() -> None:
    images = tf.constant(pictures(400, SIDE, SIDE))
    found = policies.trivialaugment(images, draws(400)).numpy()
    share = (found == images.numpy()).all(axis=(1, 2, 3)).mean()
    assert 1 / 14 < share < 0.3  # identity, and strengths near 0


@pytest.mark.parametrize("channels", [1, 4])
def test_other_numbers_of_channels(channels: int) -> None:
    images = tf.constant(pictures(COUNT, channels=channels))
    for function in (policies.randaugment, policies.trivialaugment):
        assert function(images, draws(COUNT)).shape == images.shape


@pytest.mark.parametrize(("arguments", "message"), [({"count": 0}, "at least 1"), ({"magnitude": 31}, "from 0 to 30")])
def test_arguments_out_of_range_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        policies.randaugment(tf.constant(pictures(COUNT)), draws(COUNT), **arguments)
