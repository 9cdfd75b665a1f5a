"""Averages over training pictures against NumPy float64."""

import numpy as np
import pytest

from tfcore.data import statistics
from tfcore.data.dataset import Split
from tfcore.data.statistics import channel_statistics, mean_picture

RNG = np.random.default_rng(0)
COUNT = 2300
IMAGES = RNG.integers(0, 256, (COUNT, 5, 4, 3), np.uint8)
INDICES = [np.arange(COUNT), RNG.permutation(COUNT)[:1500], np.array([17])]


def split(images: np.ndarray) -> Split:
    return Split(images, np.zeros(len(images), np.int32))


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand of these pictures at a time: all of them are two whole chunks and a part of one."""
    monkeypatch.setattr(statistics, "_CHUNK_BYTES", 1000 * IMAGES[0].nbytes)


parts = pytest.mark.parametrize("indices", INDICES, ids=["all", "some", "one"])


@parts
def test_mean_picture(indices: np.ndarray) -> None:
    mean = mean_picture(split(IMAGES), indices)
    assert mean.dtype == np.float32
    np.testing.assert_array_equal(mean, IMAGES[indices].astype(np.float64).mean(axis=0).astype(np.float32))


@parts
def test_channel_statistics(indices: np.ndarray) -> None:
    mean, std = channel_statistics(split(IMAGES), indices)
    assert mean.dtype == std.dtype == np.float32
    pixels = IMAGES[indices].astype(np.float64).reshape(-1, 3)
    np.testing.assert_allclose(mean, pixels.mean(axis=0), rtol=1e-7)
    np.testing.assert_allclose(std, pixels.std(axis=0), rtol=1e-7)


@pytest.mark.parametrize("value", [0, 1, 97, 255])
def test_a_constant_channel_has_exactly_no_deviation(value: int) -> None:
    mean, std = channel_statistics(split(np.full((1001, 7, 3, 1), value, np.uint8)), np.arange(1001))
    assert mean == value
    assert std == 0


def test_a_single_other_pixel_is_not_lost_to_rounding() -> None:
    images = np.full((1001, 10, 10, 1), 255, np.uint8)
    images[500, 3, 3] = 254
    _, std = channel_statistics(split(images), np.arange(1001))
    np.testing.assert_allclose(std, images.astype(np.float64).std(), rtol=1e-4)


def test_sums_do_not_overflow() -> None:
    white = np.broadcast_to(np.uint8(255), (70_000, 16, 16, 1))  # 4.6e9 in all, past 32 bits
    mean, std = channel_statistics(split(white), np.arange(70_000))
    assert (mean, std) == (255, 0)
    assert (mean_picture(split(white), np.arange(70_000)) == 255).all()


@pytest.mark.parametrize("side", [1, 100, 2500])
def test_few_pictures_are_in_memory_at_a_time(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    asked = []

    class Counted(Split):
        def read(self, indices: np.ndarray) -> np.ndarray:
            asked.append(len(indices))
            return super().read(indices)

    images = np.zeros((7, side, side, 1), np.uint8)
    mean_picture(Counted(images, np.zeros(7, np.int32)), np.arange(7))
    assert sum(asked) == 7
    assert max(asked) == {1: 7, 100: 7, 2500: 1}[side]
