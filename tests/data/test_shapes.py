"""The drawn data set is reproducible and balanced, and only the outline depends on the class."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from tfcore.data.dataset import Dataset
from tfcore.data.sources import shapes


@pytest.fixture(scope="module", autouse=True)
def drawn_shapes() -> None:
    """Leaves the drawing as it is."""


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return shapes.shapes(Path("nowhere"))


def test_it_is_always_the_same(dataset: Dataset) -> None:
    digests = [hashlib.sha256(split.images.tobytes()).hexdigest()[:16] for split in (dataset.train, dataset.test)]
    assert digests == ["e52f620c0f7304ab", "862d2d26c9c3453b"]
    assert dataset.train.labels[:10].tolist() == [0, 9, 2, 9, 2, 2, 0, 4, 6, 6]


def test_sizes(dataset: Dataset) -> None:
    assert dataset.train.images.shape == (10_000, 32, 32, 3)
    assert dataset.test.images.shape == (2_000, 32, 32, 3)
    assert dataset.image_shape == (32, 32, 3)
    assert dataset.classes == 10
    assert len(set(dataset.class_names)) == 10


def test_classes_are_balanced_and_mixed(dataset: Dataset) -> None:
    np.testing.assert_array_equal(np.bincount(dataset.train.labels), np.full(10, 1000))
    np.testing.assert_array_equal(np.bincount(dataset.test.labels), np.full(10, 200))
    assert (np.bincount(dataset.train.labels[:1000], minlength=10) > 50).all()


def test_images_are_aligned(dataset: Dataset) -> None:
    assert dataset.train.images.ctypes.data % 64 == 0
    assert dataset.test.images.ctypes.data % 64 == 0


def test_no_picture_comes_twice(dataset: Dataset) -> None:
    pictures = np.concatenate([dataset.train.images, dataset.test.images]).reshape(12_000, -1)
    assert len({picture[:64].tobytes() for picture in pictures}) == 12_000


def test_seed_and_purpose_decide() -> None:
    first, again = shapes.draw("train", 30, seed=1), shapes.draw("train", 30, seed=1)
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.labels, again.labels)
    for other in (shapes.draw("train", 30, seed=2), shapes.draw("test", 30, seed=1)):
        assert (other.images != first.images).mean() > 0.5


def test_a_part_of_a_chunk_is_drawn_too() -> None:
    split = shapes.draw("train", shapes.CHUNK_EXAMPLES + 7)
    assert len(split) == shapes.CHUNK_EXAMPLES + 7
    assert (split.images[-1].std(axis=(0, 1)) > 5).all()


def test_colour_tells_no_class(dataset: Dataset) -> None:
    # The hue of a picture: each channel's mean against that of all three.
    means = dataset.train.images.mean(axis=(1, 2))
    hue = means - means.mean(axis=1, keepdims=True)
    by_class = np.stack([hue[dataset.train.labels == label].mean(axis=0) for label in range(10)])
    # Means of 1000 pictures each, so they stay within four standard errors of the common mean.
    assert abs(by_class - hue.mean(axis=0)).max() < 4 * hue.std() / np.sqrt(1000)


def test_outlines_differ() -> None:
    axis = np.linspace(-1.2, 1.2, 48, dtype=np.float32)
    u, v = np.meshgrid(axis, axis)
    inside = [outline(u[np.newaxis], v[np.newaxis])[0] < 0 for outline in shapes.SHAPES.values()]
    for index, first in enumerate(inside):
        assert 0.1 < first.mean() < 0.5
        for second in inside[:index]:
            assert (first ^ second).sum() > 0.1 * (first | second).sum()
