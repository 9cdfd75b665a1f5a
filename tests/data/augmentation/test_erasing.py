"""Cutout and random erasing against NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from reference import augmentation as reference
from support.augmented import draws, pictures

from tfcore.data.augmentation import erasing
from tfcore.errors import ConfigError

COUNT = 40


@pytest.mark.parametrize("size", [1, 3, 6])
def test_cutout_covers_a_square_around_any_pixel(size: int) -> None:
    images, drawn = pictures(COUNT), draws(COUNT)
    found = erasing.cutout(tf.constant(images), drawn, size).numpy()
    rows, columns = drawn.integers("row", 6).numpy(), drawn.integers("column", 8).numpy()
    assert len({*rows}) == 6
    for picture, image, row, column in zip(found, images, rows, columns, strict=True):
        top, left = row - size // 2, column - size // 2
        np.testing.assert_array_equal(picture, reference.covered(image, top, top + size, left, left + size))


def test_erase_covers_a_rectangle_inside_of_some_pictures() -> None:
    white, drawn = np.full((2000, 20, 30, 1), 255, np.uint8), draws(2000)
    found = erasing.erase(tf.constant(white), drawn, 0.25, 0.1, 0.3).numpy()
    is_black = found[..., 0] == 0
    is_erased = is_black.any(axis=(1, 2))
    np.testing.assert_array_equal(is_erased, drawn.happens("erased", 0.25).numpy())
    for mask in is_black[is_erased]:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert mask.sum() == len(rows) * len(columns) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)  # a rectangle
    areas = is_black[is_erased].mean(axis=(1, 2))
    assert 0.08 < areas.min() < 0.12
    assert 0.27 < areas.max() < 0.33
    centre = np.argwhere(is_black[is_erased])[:, 1:].mean(0)
    np.testing.assert_allclose(centre, [9.5, 14.5], atol=1)


def test_erase_always_or_never() -> None:
    images = pictures(COUNT)
    np.testing.assert_array_equal(erasing.erase(tf.constant(images), draws(COUNT), 0.0).numpy(), images)
    found = erasing.erase(tf.constant(np.maximum(images, 1)), draws(COUNT), 1.0).numpy()
    assert (found == 0).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (erasing.cutout, {"size": 7}, "at most 6 for pictures of 6x8"),
        (erasing.cutout, {"size": 0}, "at least 1"),
        (erasing.erase, {"probability": -0.5}, "from 0 to 1"),
        (erasing.erase, {"largest": 1.5}, "largest` must be from 0.02 to 1"),
    ],
)
def test_arguments_out_of_range_are_refused(function: object, arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        function(tf.constant(pictures(COUNT)), draws(COUNT), **arguments)  # type: ignore[operator]
