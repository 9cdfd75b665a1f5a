"""Every augmentation in the input pipeline: a function of the example's place, whatever the blocks and batches."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from support.augmented import EXAMPLES, draws, pictures

from tfcore import ops
from tfcore.build import lookup
from tfcore.build.tables import AUGMENTATIONS
from tfcore.data.augmentation.chain import Augmentation, Part
from tfcore.data.batches import TrainingBatches
from tfcore.data.dataset import Split
from tfcore.data.examples import Examples
from tfcore.errors import ConfigError

CLASSES = 5
ALONE = ["flip", "crop", "mixup"]  # one of a kind, for what holds for all alike


def part(name: str, **arguments: Any) -> Part:
    function = lookup.find(name, AUGMENTATIONS)
    return Part(name, lambda **given: function(**given, **arguments), mixes=name in ("mixup", "cutmix"))


def small(name: str) -> Part:
    """The augmentation, with arguments that fit pictures of 5x5."""
    return part(name, **{"cutout": {"size": 3}, "translate": {"share": 0.2}}.get(name, {}))


def batches(parts: list[Part], *, batch_size: int = 10, seed: int = 1, **picture: int) -> TrainingBatches:
    split = Split(pictures(EXAMPLES, **picture), np.arange(EXAMPLES, dtype=np.int32) % CLASSES)
    augmentation = Augmentation(parts, classes=CLASSES)
    return TrainingBatches(Examples(split.batch_reader()), batch_size=batch_size, seed=seed, augmentation=augmentation)


def first(found: TrainingBatches, step: int = 0, steps: int = 1) -> list[np.ndarray]:
    """Images and labels of some steps, `[steps · B, …]`."""
    iterator = found.from_step(step)
    blocks = [next(iterator) for _ in range(-(-steps // found.block_steps))]
    return [
        np.concatenate([block[place].numpy() for block in blocks])[:steps].reshape(-1, *blocks[0][place].shape[2:])
        for place in (0, 1)
    ]


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_shape_type_and_range_stay_and_pictures_change(name: str) -> None:
    plain, _ = first(batches([]), steps=5)
    images, labels = first(batches([small(name)]), steps=5)
    assert images.shape == plain.shape
    assert images.dtype == (np.float32 if name == "mixup" else np.uint8)
    assert 0 <= images.min() <= images.max() <= 255
    assert (images != plain).any()
    if name in ("mixup", "cutmix"):
        assert labels.shape == (EXAMPLES, CLASSES)
        np.testing.assert_allclose(labels.sum(1), 1, atol=1e-6)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_step_is_the_same_wherever_reading_begins(name: str) -> None:
    found = batches([small(name)])
    whole = first(found, steps=8)
    for step in (1, 7):
        for part_of_whole, array in zip(whole, first(found, step), strict=True):
            np.testing.assert_array_equal(part_of_whole[10 * step : 10 * step + 10], array)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", [name for name in AUGMENTATIONS if name not in ("mixup", "cutmix")])
def test_an_example_does_not_depend_on_its_batch(name: str) -> None:
    one, other = (first(batches([small(name)], batch_size=size), steps=40 // size)[0] for size in (10, 4))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_pairs_are_the_same_in_every_even_batch(name: str) -> None:
    for one, other in zip(*(first(batches([part(name)], batch_size=n), steps=40 // n) for n in (10, 4)), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_compiled_and_plain_agree(name: str) -> None:
    compiled = first(batches([small(name)]))
    with ops.plain():
        plain = first(batches([small(name)]))
    for one, other in zip(compiled, plain, strict=True):
        is_bytes = one.dtype == np.uint8  # a value at the middle of two may be rounded to either
        np.testing.assert_allclose(one.astype(np.float64), other.astype(np.float64), atol=1 if is_bytes else 1e-3)
        assert not is_bytes or (one == other).mean() > 0.99


@pytest.mark.sampled(7)
@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("shape", [{"height": 9, "width": 5, "channels": 1}, {"height": 5, "width": 5}])
def test_one_example_of_any_shape(name: str, shape: dict[str, int]) -> None:
    channels = shape.get("channels", 3)
    single = part(name, saturation=0.0) if name == "jitter" and channels == 1 else small(name)
    images, _ = first(batches([single], batch_size=1, **shape), steps=2)
    assert images.shape == (2, shape["height"], shape["width"], channels)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_mixed_pictures_stay_float32(name: str) -> None:
    images, labels = first(batches([part("mixup", alpha=1.0), small(name)]))
    assert images.dtype == labels.dtype == np.float32
    assert 0 <= images.min() <= images.max() <= 255


@pytest.mark.parametrize("name", ALONE)
def test_seeds_draw_differently(name: str) -> None:
    with_names = [first(batches([small(name)], seed=seed), steps=5)[0] for seed in (1, 2)]
    plain = [first(batches([], seed=seed), steps=5)[0] for seed in (1, 2)]
    changed = [(one != other).any(axis=(1, 2, 3)).mean() for one, other in zip(with_names, plain, strict=True)]
    assert all(share > 0.3 for share in changed)


def test_parts_are_applied_in_the_given_order_with_draws_of_their_own() -> None:
    def halved(images: tf.Tensor, draws: Any) -> tf.Tensor:
        del draws
        return images // 2

    def raised(images: tf.Tensor, draws: Any) -> tf.Tensor:
        return images + tf.cast(draws.integers("x", 100), tf.uint8)[:, None, None, None]

    plain, _ = first(batches([]))
    low, _ = first(batches([Part("halved", halved), Part("raised", raised)]))
    twice, _ = first(batches([Part("halved", halved), Part("raised", raised), Part("raised", raised)]))
    first_draw = draws(10, seed=1, purpose="raised 1").integers("x", 100).numpy()
    second_draw = draws(10, seed=1, purpose="raised 2").integers("x", 100).numpy()
    assert (first_draw != second_draw).any()
    np.testing.assert_array_equal(low, plain // 2 + first_draw[:, None, None, None].astype(np.uint8))
    np.testing.assert_array_equal(twice, low + second_draw[:, None, None, None].astype(np.uint8))


def test_draws_do_not_depend_on_how_a_file_is_named() -> None:
    one, other = (first(batches([part("crop")._replace(name=name)]))[0] for name in ("a.py:crop", "/b/a.py:crop"))
    np.testing.assert_array_equal(one, other)


def test_arguments_may_be_in_any_order() -> None:
    def turned(draws: Any, images: tf.Tensor) -> tf.Tensor:
        assert draws.count == images.shape[0]
        return images

    np.testing.assert_array_equal(first(batches([Part("turned", turned)]))[0], first(batches([]))[0])


def applied(function: Callable[..., Any], *, mixes: bool = False) -> None:
    first(batches([Part("own.py:f", function, mixes)]))


@pytest.mark.parametrize(
    ("function", "mixes", "message"),
    [
        (lambda images, **_: images[:, 1:], False, r"return pictures .* Received uint8 \(200, 5, 8, 3\)"),
        (lambda images, **_: tf.cast(images, tf.float64), False, "Received float64"),
        (lambda images, **_: images, True, "must return images and targets"),
        (lambda images, targets, **_: (images, targets[:, 1:]), True, r"targets as float32 \(200, 5\).*\(200, 4\)"),
    ],
)
def test_what_a_function_may_not_return(function: Callable[..., Any], mixes: bool, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        applied(function, mixes=mixes)
