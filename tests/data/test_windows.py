"""The part of a picture that a model sees: centred by a rule, or at random on the picture's own scale."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcore.data.windows import Fit, Window, fit, random_window
from tfcore.errors import ConfigError

sides = st.integers(1, 500)
sizes = st.tuples(sides, sides)
shares = st.floats(0, 1, exclude_max=True, width=32)


@pytest.mark.parametrize(
    ("text", "size", "expected"),
    [
        ("stretch", (375, 500), Window(0, 0, 375, 500)),
        ("crop", (375, 500), Window(0, 62, 375, 375)),
        ("crop", (500, 375), Window(62, 0, 375, 375)),
        ("crop:0.875", (256, 256), Window(16, 16, 224, 224)),
        ("crop:0.875", (256, 341), Window(16, 58, 224, 224)),
        ("crop:0.001", (7, 9), Window(3, 4, 1, 1)),
    ],
)
def test_fits(text: str, size: tuple[int, int], expected: Window) -> None:
    assert fit(text).window(size, (224, 224)) == expected


def test_a_crop_has_the_proportions_of_the_input() -> None:
    assert Fit(1.0).window((100, 100), (32, 64)) == Window(25, 0, 50, 100)
    assert Fit(0.5).window((100, 300), (10, 10)) == Window(25, 125, 50, 50)


@pytest.mark.parametrize("text", ["fill", "crop:", "crop:0", "crop:1.1", "crop:nan", "crop:x", "stretch:0.5", ""])
def test_other_fits_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"`image_fit` must be stretch, crop, or crop:SHARE with 0 < SHARE <= 1"):
        fit(text)


@given(sizes, sizes, st.sampled_from(["stretch", "crop", "crop:0.875", "crop:0.01"]))
def test_a_fit_is_inside(size: tuple[int, int], image_size: tuple[int, int], text: str) -> None:
    inside(fit(text).window(size, image_size), size)


@given(sizes, st.tuples(shares, shares, shares, shares), sizes, st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_random_window_is_inside(
    size: tuple[int, int], uniform: tuple[float, ...], image_size: tuple[int, int], one: float, other: float
) -> None:
    inside(random_window(size, np.array(uniform, np.float32), image_size, min(one, other), max(one, other)), size)


def inside(window: Window, size: tuple[int, int]) -> None:
    assert 0 <= window.top < window.top + window.height <= size[0]
    assert 0 <= window.left < window.left + window.width <= size[1]


def test_random_windows_have_the_areas_ratios_and_places_that_are_asked_for() -> None:
    rng, size = np.random.default_rng(0), (1500, 2000)
    found = np.array([random_window(size, draw, (224, 224), 0.1, 0.3) for draw in rng.random((4000, 4), np.float32)])
    top, left, height, width = found.T
    areas, ratios = height * width / (1500 * 2000), width / height
    np.testing.assert_allclose(np.quantile(areas, [0, 0.5, 1]), [0.1, 0.2, 0.3], atol=0.005)
    np.testing.assert_allclose(np.quantile(ratios, [0, 0.5, 1]), [3 / 4, 1, 4 / 3], atol=0.02)
    for first, length, side in ((top, height, 1500), (left, width, 2000)):
        places = first / (side - length)
        np.testing.assert_allclose(np.quantile(places, [0, 0.25, 0.5, 0.75, 1]), [0, 0.25, 0.5, 0.75, 1], atol=0.03)


def test_the_whole_picture_is_one_of_the_windows() -> None:
    assert random_window((30, 40), np.array([0, 0.5, 0.9, 0.9], np.float32), (3, 4), 1, 1) == Window(0, 0, 30, 40)
