"""Mixup and cutmix against NumPy: pictures and targets in the same shares."""

import numpy as np
import pytest
import tensorflow as tf
from support.augmented import draws, pictures

from tfcore.data.augmentation import mixing
from tfcore.errors import ConfigError

COUNT, CLASSES = 10, 4
TARGETS = np.eye(CLASSES, dtype=np.float32)[np.arange(COUNT) % CLASSES]
PARTNERS = np.arange(COUNT) ^ 1


@pytest.mark.parametrize("alpha", [0.1, 0.2, 1.0, 8.0])
def test_quantiles_are_those_of_beta(alpha: float) -> None:
    found = mixing.beta_quantiles(alpha)
    assert np.all(np.diff(found) >= 0)
    np.testing.assert_allclose(found, 1 - found[::-1], atol=1e-9)  # symmetric
    np.testing.assert_allclose(found.var(), 1 / (4 * (2 * alpha + 1)), rtol=0.002)
    drawn = np.sort(np.random.default_rng(0).beta(alpha, alpha, 100 * len(found)))[50::100]
    np.testing.assert_allclose(found, drawn, atol=0.012)


def test_mixup_is_the_formula() -> None:
    images, drawn = pictures(COUNT), draws(COUNT)
    found, targets = mixing.mixup(tf.constant(images), tf.constant(TARGETS), drawn, 1.0)
    quantiles = mixing.beta_quantiles(1.0)
    shares = quantiles[drawn.integers("share", len(quantiles)).numpy()][np.arange(COUNT) // 2 * 2]
    own = shares[:, None, None, None]
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found.numpy(), own * images + (1 - own) * images[PARTNERS], atol=1e-3)
    expected = shares[:, None] * TARGETS + (1 - shares[:, None]) * TARGETS[PARTNERS]
    np.testing.assert_allclose(targets.numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(targets.numpy().sum(0), TARGETS.sum(0), atol=1e-5)  # each example keeps its weight


def test_cutmix_replaces_a_rectangle_and_as_much_of_the_target() -> None:
    numbers = np.broadcast_to(np.arange(COUNT, dtype=np.uint8)[:, None, None, None], (COUNT, 20, 30, 1))
    drawn = draws(COUNT)
    found, targets = mixing.cutmix(tf.constant(numbers), tf.constant(TARGETS), drawn)
    assert found.dtype == tf.uint8
    is_other = found.numpy()[..., 0] != np.arange(COUNT)[:, None, None]
    np.testing.assert_array_equal(found.numpy()[..., 0], np.where(is_other, PARTNERS[:, None, None], numbers[..., 0]))
    share = is_other.mean(axis=(1, 2))
    expected = share[:, None] * TARGETS[PARTNERS] + (1 - share[:, None]) * TARGETS
    np.testing.assert_allclose(targets.numpy(), expected, atol=1e-6)
    assert 0 < share.mean() < 1
    for mask in is_other:
        assert mask.sum() == mask.any(0).sum() * mask.any(1).sum()


def test_cutmix_replaces_a_third_of_the_area_on_average() -> None:
    """E[1 - λ] is 1/2 for α = 1; at the border, a part of the rectangle is cut off: E = ∫∫ of the inner shares."""
    count = 4000
    zeros = np.zeros((count, 16, 16, 1), np.uint8)
    zeros[1::2] = 1
    found, _ = mixing.cutmix(tf.constant(zeros), tf.zeros([count, 2]), draws(count))
    share = (found.numpy() != zeros).mean()
    generator = np.random.default_rng(0)
    half, centre = np.sqrt(generator.uniform(size=10**6)) / 2, generator.uniform(size=(2, 10**6))
    inner = np.minimum(centre + half, 1) - np.maximum(centre - half, 0)
    assert abs(share - inner.prod(0).mean()) < 0.03


@pytest.mark.parametrize("function", [mixing.mixup, mixing.cutmix])
def test_never_mixed_is_unchanged(function: object) -> None:
    images = pictures(COUNT)
    found, targets = function(tf.constant(images), tf.constant(TARGETS), draws(COUNT), probability=0.0)  # type: ignore[operator]
    np.testing.assert_array_equal(found.numpy(), images)
    np.testing.assert_array_equal(targets.numpy(), TARGETS)


@pytest.mark.parametrize("function", [mixing.mixup, mixing.cutmix])
@pytest.mark.parametrize(("arguments", "message"), [({"alpha": 0.0}, "above 0"), ({"probability": 2}, "from 0 to 1")])
def test_arguments_out_of_range_are_refused(function: object, arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        function(tf.constant(pictures(COUNT)), tf.constant(TARGETS), draws(COUNT), **arguments)  # type: ignore[operator]
