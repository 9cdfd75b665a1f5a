"""Splits and data sets check their arguments; a validation part is a stratified partition."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcore.data.dataset import Dataset, Split, aligned_empty, split_validation, stratified
from tfcore.errors import ConfigError, DataError


def split(labels: list[int], size: int = 4) -> Split:
    return Split(np.zeros((len(labels), size, size, 3), np.uint8), np.array(labels, np.int32))


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (7, 5, 3, 1), (100, 32, 32, 3)])
def test_aligned_empty_starts_on_a_boundary(shape: tuple[int, ...]) -> None:
    array = aligned_empty(shape)
    assert array.shape == shape
    assert array.dtype == np.uint8
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert array.ctypes.data % 64 == 0


def test_no_array_is_promised_that_is_larger_than_the_machines_memory() -> None:
    """Where the system overcommits memory, writing to the array would end some process."""
    with pytest.raises(MemoryError, match=r"1000000000000000 bytes are more than this machine's \d+"):
        aligned_empty((10**15,))


def test_a_dataset_tells_its_shape_and_classes() -> None:
    dataset = Dataset("pair", split([0, 1, 1]), split([1]), ("cat", "dog"))
    assert len(dataset.train) == 3
    assert dataset.image_shape == (4, 4, 3)
    assert dataset.classes == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Split(np.zeros((2, 4, 4, 3), np.float32), np.zeros(2, np.int32)), "`images` must be uint8"),
        (lambda: Split(np.zeros((2, 4, 4), np.uint8), np.zeros(2, np.int32)), r"Received uint8 of shape \(2, 4, 4\)"),
        (lambda: Split(np.zeros((2, 4, 4, 3), np.uint8), np.zeros(2, np.int64)), "`labels` must be int32"),
        (lambda: Split(np.zeros((2, 4, 4, 3), np.uint8), np.zeros((2, 1), np.int32)), r"int32 \[N\]"),
        (lambda: Split(np.zeros((2, 4, 4, 3), np.uint8), np.zeros(3, np.int32)), "2 images and 3 labels"),
        (lambda: split([]), "at least one example"),
        (lambda: Dataset("pair", split([0, 1]), split([0, 2]), ("cat", "dog")), "Received 2 at index 1 of test"),
        (lambda: Dataset("pair", split([0, -1]), split([0]), ("cat", "dog")), "Received -1 at index 1 of train"),
        (lambda: Dataset("pair", split([0]), split([0], size=5), ("cat", "dog")), r"\(4, 4, 3\) in train"),
    ],
)
def test_what_does_not_fit_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        make()


def test_take_gives_views_of_the_first() -> None:
    images = aligned_empty((6, 4, 4, 3))
    images[:] = np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1)
    both = Split(images, np.array([0, 1, 0, 1, 0, 1], np.int32))
    taken = Dataset("pair", both, both, ("cat", "dog")).take(4, test_examples=1)
    assert (len(taken.train), len(taken.test)) == (4, 1)
    np.testing.assert_array_equal(taken.train.images, images[:4])
    np.testing.assert_array_equal(taken.train.labels, [0, 1, 0, 1])
    assert np.shares_memory(taken.train.images, images)
    assert taken.train.images.ctypes.data % 64 == 0
    assert len(taken.take().train) == 4


def test_take_says_when_classes_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    data = Dataset("sorted", split([0, 0, 0, 1, 1, 2]), split([0, 0, 1]), ("cat", "dog", "cow"))
    data.take(test_examples=1)
    data.take(train_examples=6)
    assert caplog.records == []
    data.take(train_examples=3)
    (record,) = caplog.records
    assert "The first 3 training examples of sorted hold none of 2 of its 3 classes" in record.message


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"train_examples": 3}, "`train_examples` must be at most 2, as many as pair has. Received 3"),
        ({"test_examples": 2}, "`test_examples` must be at most 1"),
        ({"train_examples": 0}, "`train_examples` must be an integer of at least 1"),
        ({"test_examples": -1}, "`test_examples` must be an integer of at least 1"),
    ],
)
def test_what_is_not_there_cannot_be_taken(counts: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Dataset("pair", split([0, 1]), split([1]), ("cat", "dog")).take(**counts)


LABELS = st.lists(st.integers(0, 4), min_size=2, max_size=200)


@given(labels=LABELS, share=st.floats(0, 1, exclude_max=True), seed=st.integers(0, 2**31))
def test_a_split_is_a_stratified_partition(labels: list[int], share: float, seed: int) -> None:
    total = round(share * len(labels))
    if total == len(labels):
        share = total = 0
    array = np.array(labels, np.int32)
    train, validation = split_validation(array, share, seed)
    assert train.dtype == validation.dtype == np.int64
    assert len(validation) == total
    np.testing.assert_array_equal(np.sort(np.concatenate([train, validation])), np.arange(len(labels)))
    assert (np.diff(train) > 0).all()
    assert (np.diff(validation) > 0).all()
    exact = np.bincount(array) * total / len(labels)
    assert (abs(np.bincount(array[validation], minlength=len(exact)) - exact) < 1).all()


@given(labels=LABELS, data=st.data())
def test_an_amount_from_one_on_is_a_number_of_examples(labels: list[int], data: st.DataObject) -> None:
    amount = data.draw(st.integers(1, len(labels) - 1))
    _, validation = split_validation(np.array(labels, np.int32), amount, 0)
    assert len(validation) == amount
    _, same = split_validation(np.array(labels, np.int32), float(amount), 0)
    np.testing.assert_array_equal(validation, same)


def test_two_purposes_draw_independently() -> None:
    labels = np.arange(1000, dtype=np.int32) % 10
    _, test = stratified(labels, 100, 0, "test")
    _, validation = split_validation(labels, 0.1, 0)
    assert len(test) == 100
    assert len(np.intersect1d(test, validation)) < 50


def test_the_last_examples_go_to_the_largest_remainders() -> None:
    labels = np.repeat([0, 1, 2], [10, 26, 64]).astype(np.int32)
    _, validation = split_validation(labels, 9, 0)
    # 0.90, 2.34 and 5.76: rounded down these are seven, and classes 0 and 2 lost most.
    np.testing.assert_array_equal(np.bincount(labels[validation]), [1, 2, 6])


def test_the_seed_alone_decides() -> None:
    labels = np.arange(1000, dtype=np.int32) % 10
    first, again, other = (split_validation(labels, 0.1, seed)[1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert len(np.intersect1d(first, other)) < 50
    assert first.max() > 900
    assert first.min() < 100


@pytest.mark.parametrize(
    ("amount", "message"),
    [
        (-0.1, "at least 0"),
        (float("nan"), "at least 0"),
        (2.5, "a whole number of examples"),
        (10, "takes 10 of 10"),
        (11, "takes 11 of 10"),
        (0.96, "takes 10 of 10"),
    ],
)
def test_an_impossible_amount_is_refused(amount: float, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        split_validation(np.zeros(10, np.int32), amount, 0)


def test_weights_are_float32_and_taken_with_their_examples() -> None:
    data = Dataset("pair", split([0, 1, 1]), split([1]), ("cat", "dog"), np.array([0, 2, 0.5]))
    assert data.train_weights is not None
    assert data.train_weights.dtype == np.float32
    taken = data.take(2).train_weights
    assert taken is not None
    assert taken.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(2), r"one number for each of 3 training examples. Received float64 of shape \[2\]"),
        (np.ones((3, 1)), r"Received float64 of shape \[3, 1\]"),
        (np.array(["1", "2", "3"]), "one number for each of 3"),
        (np.array([1, -0.5, 1]), "finite and at least 0. Received -0.5 at index 1"),
        (np.array([1, 1, np.nan]), "finite and at least 0. Received nan at index 2"),
        (np.array([1, 1e300, 1]), r"Received 1e\+300 at index 1"),
        (np.zeros(3), "`train_weights` of pair must not all be 0"),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Dataset("pair", split([0, 1, 1]), split([1]), ("cat", "dog"), weights)
