"""Parts by a keyed permutation: disjoint, complete, of exactly the asked size, and without a list."""

import tracemalloc

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tfcore.data import order, splits
from tfcore.data.batches import Examples
from tfcore.data.dataset import Split, split_validation
from tfcore.data.splits import HASHED, HashedPart, divided, kind
from tfcore.errors import ConfigError

BILLION = 10**9


def labels(count: int) -> np.ndarray:
    """Labels that take no memory."""
    return np.broadcast_to(np.int32(0), (count,))


@settings(max_examples=60)
@given(examples=st.integers(1, 3000), share=st.floats(0, 0.99), seed=st.integers(0, 2**63 - 1))
def test_two_parts_hold_every_example_once(examples: int, share: float, seed: int) -> None:
    count = round(share * examples)
    assume(0 < count < examples)
    train, validation = divided(labels(examples), share, seed, HASHED)
    assert len(validation) == count
    both = np.concatenate([train[:], validation[:]])
    np.testing.assert_array_equal(np.sort(both), np.arange(examples))


@pytest.mark.parametrize("amount", [1, 7, 0.3])
def test_the_size_is_exact(amount: float) -> None:
    train, validation = divided(labels(101), amount, 0, HASHED)
    assert len(validation) == (30 if amount < 1 else amount)
    assert len(train) + len(validation) == 101


@pytest.mark.parametrize("amount", [-0.1, 1.5, 101, 0.999])
def test_what_leaves_nothing_to_train_on_is_refused(amount: float) -> None:
    with pytest.raises(ConfigError, match="`validation` must"):
        divided(labels(101), amount, 0, HASHED)


def test_the_split_is_a_function_of_the_seed_and_not_the_order_of_training() -> None:
    one, again, other = (divided(labels(1000), 0.5, seed, HASHED)[1][:] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert abs(len(np.intersect1d(one, other)) - 250) < 80
    trained = order.indices(1, tf.constant(0, tf.int64), 500, 1000).numpy()
    assert abs(len(np.intersect1d(one, trained)) - 250) < 80


def test_the_pinned_split() -> None:
    # Changing these numbers changes the validation part of every run that was started with a hashed one.
    assert divided(labels(20), 0.25, 0, HASHED)[1][:].tolist() == [19, 2, 5, 0, 8]


def test_every_class_has_its_share_nearly() -> None:
    classes = np.repeat(np.arange(10, dtype=np.int32), 10_000)  # sorted by class, as in files
    _, validation = divided(classes, 0.1, 3, HASHED)
    counts = np.bincount(classes[validation[:]], minlength=10)
    assert abs(counts - 1000).max() < 5 * np.sqrt(900)


def test_a_thousand_million_examples_take_no_memory() -> None:
    divided(labels(9), 0.3, 0, HASHED)[0][:2]  # loads what is loaded once
    tracemalloc.start()
    train, validation = divided(labels(BILLION), 0.02, 5, HASHED)
    rows = np.concatenate([train[980_000_000 - 5000 :], validation[:5000], train[:5000]])
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (len(train), len(validation)) == (980_000_000, 20_000_000)
    assert peak_bytes < 1_000_000
    assert len(np.unique(rows)) == 15_000
    assert 0 <= rows.min() < 10**6 < 999 * 10**6 < rows.max() < BILLION


def test_automatic_is_by_class_up_to_ten_million() -> None:
    assert kind("auto", 10_000_000) == "stratified"
    assert kind("auto", 10_000_001) == "hashed"
    assert kind("stratified", BILLION) == "stratified"
    assert kind("hashed", 3) == "hashed"
    classes = np.arange(100, dtype=np.int32) % 4
    for one, other in zip(divided(classes, 0.2, 7, "auto"), split_validation(classes, 0.2, 7), strict=True):
        np.testing.assert_array_equal(one[:], other)
    assert isinstance(divided(labels(splits.LARGEST_STRATIFIED + 1), 0.2, 7, "auto")[0], HashedPart)


def test_examples_of_a_hashed_part() -> None:
    pictures = np.arange(50, dtype=np.uint8).reshape(50, 1, 1, 1)
    reader = Split(pictures, np.arange(50, dtype=np.int32)).batch_reader()
    weights = np.arange(50, dtype=np.float32)
    part, _ = divided(labels(50), 0.4, 1, HASHED)
    examples = Examples(reader, part, weights)
    places = tf.constant([3, 0, 29], tf.int64)
    images, found = examples.gather(places)
    assert len(examples) == 30
    np.testing.assert_array_equal(found, part[:][[3, 0, 29]])
    np.testing.assert_array_equal(images.numpy().ravel(), found)
    np.testing.assert_array_equal(examples.weights(places), found)
    np.testing.assert_array_equal(examples.labels, part[:])
