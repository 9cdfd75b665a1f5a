"""A worker's share of the batches: the rows of the whole batch, to the bit, whatever is drawn and mixed."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from support.augmented import EXAMPLES, pictures

from tfcore.build import lookup
from tfcore.build.tables import AUGMENTATIONS
from tfcore.data import order
from tfcore.data.augmentation.chain import Augmentation, Part
from tfcore.data.batches import EvaluationBatches, TrainingBatches
from tfcore.data.dataset import Split
from tfcore.data.examples import Examples
from tfcore.data.share import Share, partners
from tfcore.errors import ConfigError

CLASSES, STEPS = 5, 12  # 12 batches are more than two epochs
MIXING = ("mixup", "cutmix")
SMALL: dict[str, dict[str, Any]] = {"cutout": {"size": 3}, "translate": {"share": 0.2}}  # for small pictures
WEIGHTS = np.random.default_rng(4).uniform(0.5, 2, EXAMPLES).astype(np.float32)


def part(name: str) -> Part:
    function = lookup.find(name, AUGMENTATIONS)
    return Part(name, lambda **given: function(**given, **SMALL.get(name, {})), mixes=name in MIXING)


def tensors(share: Share, batch_size: int, names: tuple[str, ...], weights: np.ndarray | None) -> list[np.ndarray]:
    """Images, labels and weights of all steps, each `[steps, rows, …]`."""
    split = Split(pictures(EXAMPLES), np.arange(EXAMPLES, dtype=np.int32) % CLASSES)
    augmentation = Augmentation([part(name) for name in names], classes=CLASSES) if names else None
    examples = Examples(split.batch_reader(), None, weights)
    batches = TrainingBatches(examples, batch_size=batch_size, seed=1, augmentation=augmentation, share=share)
    iterator = batches.from_step(1)
    blocks = [next(iterator) for _ in range(-(-STEPS // batches.block_steps))]
    return [np.concatenate(parts)[:STEPS] for parts in zip(*blocks, strict=True)]


def assert_shares_are_the_whole(
    count: int, batch_size: int, names: tuple[str, ...], microbatches: int = 1, weights: np.ndarray | None = None
) -> None:
    whole = tensors(Share(), batch_size, names, weights)
    rows = []
    for number in range(count):
        share = Share(number, count, microbatches)
        rows.append(share.rows(batch_size, 1))
        for own, all_rows in zip(tensors(share, batch_size, names, weights), whole, strict=True):
            np.testing.assert_array_equal(own, all_rows[:, rows[-1]])
    np.testing.assert_array_equal(np.sort(np.concatenate(rows)), np.arange(batch_size))


@pytest.mark.parametrize("names", [(), *((name,) for name in AUGMENTATIONS), ("flip", "mixup", "cutmix", "crop")])
def test_shares_are_the_rows_of_the_whole_batch(names: tuple[str, ...]) -> None:
    assert_shares_are_the_whole(2, 12, names)


@pytest.mark.parametrize(("count", "batch_size", "microbatches"), [(3, 9, 1), (2, 6, 1), (5, 15, 1), (2, 12, 3)])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_partners_in_another_share_are_read_too(
    count: int, batch_size: int, microbatches: int, weights: np.ndarray | None
) -> None:
    assert_shares_are_the_whole(count, batch_size, ("flip", "mixup", "cutmix"), microbatches, weights)


def test_each_worker_gathers_its_own_share_only() -> None:
    assert Share(1, 3).rows(9, 2).tolist() == [3, 4, 5, 12, 13, 14]
    assert Share(1, 2, 3).rows(12, 1).tolist() == [2, 3, 6, 7, 10, 11]
    assert Share(0, 3).rows_and_partners(9, 1).tolist() == [0, 1, 2, 3]
    assert Share(1, 3).rows_and_partners(9, 1).tolist() == [2, 3, 4, 5]
    assert partners(np.arange(5), 5).tolist() == [1, 0, 3, 2, 4]


@pytest.mark.parametrize(
    ("share", "batch_size", "told"),
    [
        (Share(0, 3), 100, "multiple of 3 for 3 workers. Received 100; the nearest that are: 99 and 102."),
        (Share(0, 4, 8), 20, "of 32 for 4 workers with --microbatches=8. Received 20; the nearest that is: 32."),
        (Share(0, 1, 3), 100, "multiple of 3 with --microbatches=3. Received 100; the nearest that are: 99 and 102."),
    ],
)
def test_a_batch_that_cannot_be_shared_is_refused_with_the_nearest(share: Share, batch_size: int, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        share.check(batch_size)
    assert told in str(caught.value)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_workers_evaluate_every_example_once(count: int) -> None:
    labels = np.arange(23, dtype=np.int32)
    examples = Examples(Split(np.zeros([23, 1, 1, 1], np.uint8), labels).batch_reader())
    found, before = [], 0
    for number in range(count):
        batches = EvaluationBatches(examples, batch_size=4, share=Share(number, count))
        assert batches.first == before
        before += batches.count
        found += [label for _, labels, weights in batches for label in labels.numpy()[weights.numpy() > 0]]
    assert found == labels.tolist()


@pytest.mark.parametrize("blocks", [None, order.Blocks(np.array([20, 7, 23]), at_once=2)])
def test_the_order_of_some_rows_is_that_of_all(blocks: order.Blocks | None) -> None:
    rows, position = Share(1, 3).rows(9, 3), tf.constant(140, tf.int64)
    whole = order.indices(5, position, 27, EXAMPLES, blocks)
    some = order.indices(5, position, 27, EXAMPLES, blocks, rows=rows)
    np.testing.assert_array_equal(some, tf.gather(whole, rows))
