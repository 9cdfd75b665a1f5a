"""Evaluation sums against NumPy loops, and independence from batches and padding."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcore.errors import ConfigError, DataError
from tfcore.metrics import EvaluationSums, Scores, batch_confusion, batch_top_k_hits

N, C = 101, 6
RANDOM = np.random.default_rng(2)
LABELS = RANDOM.integers(0, C - 1, N)  # class C - 1 has no examples
LOGITS = RANDOM.standard_normal((N, C)).round(1).astype(np.float32)  # rounded: some tie
LOGITS[:, 0] -= 10  # class 0 is never predicted
LOSSES = RANDOM.uniform(0, 5, N).astype(np.float32)


def rank(row: np.ndarray, label: int) -> int:
    """The place of the label in a stable sort by falling logit."""
    return np.argsort(-row, kind="stable").tolist().index(label)


def expected_confusion() -> np.ndarray:
    counts = np.zeros((C, C), np.int64)
    for row, label in zip(LOGITS, LABELS, strict=True):
        counts[label, np.argmax(row)] += 1
    return counts


def add_in_batches(sums: EvaluationSums, size: int, add: object = None) -> None:
    """Adds the whole split; the last batch is filled up with rows that would spoil every sum."""
    add = add or sums.add
    missing = -N % size
    logits = np.concatenate([LOGITS, np.full((missing, C), np.nan, np.float32)])
    losses = np.concatenate([LOSSES, np.full(missing, np.nan, np.float32)])
    labels = np.concatenate([LABELS, np.zeros(missing, np.int64)])
    weights = np.arange(N + missing) < N
    for start in range(0, N + missing, size):
        rows = slice(start, start + size)
        add(*(tf.constant(values[rows]) for values in (losses, logits, labels, weights)))


def test_scores_of_a_split() -> None:
    sums = EvaluationSums(C, k=2)
    add_in_batches(sums, 10)
    scores = sums.scores()
    confusion = expected_confusion()
    assert (scores.examples, scores.k) == (N, 2)
    np.testing.assert_array_equal(scores.confusion, confusion)
    assert scores.loss == pytest.approx(LOSSES.astype(np.float64).mean(), rel=1e-12)
    assert scores.accuracy == np.mean(LOGITS.argmax(axis=1) == LABELS)
    assert scores.top_k == np.mean([rank(row, label) < 2 for row, label in zip(LOGITS, LABELS, strict=True)])
    for c in range(C):
        predicted, true, right = confusion[:, c].sum(), confusion[c].sum(), confusion[c, c]
        assert scores.precision[c] == (right / predicted if predicted else 0)
        assert scores.recall[c] == (right / true if true else 0)
    assert scores.precision[0] == 0  # never predicted
    assert scores.recall[C - 1] == 0  # no examples


@settings(max_examples=10)
@given(size=st.integers(1, N + 5))
def test_scores_do_not_depend_on_the_batch_size(size: int) -> None:
    whole, cut = EvaluationSums(C), EvaluationSums(C)
    add_in_batches(whole, N)
    add_in_batches(cut, size)
    ours, theirs = dataclasses.asdict(cut.scores()), dataclasses.asdict(whole.scores())
    np.testing.assert_array_equal(ours.pop("confusion"), theirs.pop("confusion"))
    assert ours.pop("loss") == pytest.approx(theirs.pop("loss"), rel=1e-12)
    assert ours == theirs


def test_compiled_in_one_trace_and_reset() -> None:
    sums = EvaluationSums(C)
    compiled = tf.function(sums.add)
    add_in_batches(sums, 25, compiled)
    first = sums.scores()
    assert compiled.experimental_get_tracing_count() == 1
    sums.reset()
    with pytest.raises(DataError, match="at least one example"):
        sums.scores()
    add_in_batches(sums, 25, compiled)
    assert sums.scores().loss == first.loss
    np.testing.assert_array_equal(sums.scores().confusion, first.confusion)


@pytest.mark.parametrize("k", range(1, C + 1))
def test_ties_rank_by_class_and_top_1_is_the_accuracy(k: int) -> None:
    level = tf.zeros([C, C])
    labels = tf.range(C)
    ones = tf.ones([C])
    assert int(batch_top_k_hits(level, labels, ones, k)) == k
    hits = int(batch_top_k_hits(tf.constant(LOGITS), tf.constant(LABELS), tf.ones([N]), k))
    assert hits == sum(rank(row, label) < k for row, label in zip(LOGITS, LABELS, strict=True))
    if k == 1:
        assert hits == np.trace(expected_confusion())


def test_in_top_k_agrees_where_nothing_ties() -> None:
    logits = tf.random.stateless_normal([N, C], seed=(1, 2))
    for k in (1, 3, C):
        hits = tf.math.count_nonzero(tf.math.in_top_k(LABELS, logits, k))
        assert int(batch_top_k_hits(logits, tf.constant(LABELS), tf.ones([N]), k)) == int(hits)


def test_logits_that_are_not_finite_are_scored() -> None:
    nan, inf = np.nan, np.inf
    logits = tf.constant([[nan, nan, nan], [0, nan, 1], [inf, 0, inf], [-inf, -inf, -inf]], tf.float32)
    for label in range(3):
        labels = tf.fill([4], label)
        assert int(tf.reduce_sum(batch_confusion(logits, labels, tf.ones([4]), 3))) == 4
        for k in (1, 2, 3):
            assert 0 <= int(batch_top_k_hits(logits, labels, tf.ones([4]), k)) <= 4
    one = tf.ones([1])
    assert int(batch_top_k_hits(logits[:1], tf.constant([0]), one, 3)) == 0  # the label's own logit is NaN
    assert int(batch_top_k_hits(logits[1:2], tf.constant([2]), one, 1)) == 0  # NaN ranks before 1
    assert int(batch_top_k_hits(logits[1:2], tf.constant([2]), one, 2)) == 1
    assert int(batch_top_k_hits(logits[2:3], tf.constant([0]), one, 1)) == 1


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
@pytest.mark.parametrize("weights", [np.array([True, False, True]), np.array([1, 0, 1], np.float32)])
@pytest.mark.parametrize("label_dtype", [tf.uint8, tf.int32, tf.int64])
def test_dtypes(dtype: tf.DType, weights: np.ndarray, label_dtype: tf.DType) -> None:
    sums = EvaluationSums(3)
    logits = tf.constant([[1, 2, 3], [1, 2, 3], [3, 2, 1]], dtype)
    sums.add(tf.constant([1, 2, 3], dtype), logits, tf.constant([2, 0, 1], label_dtype), tf.constant(weights))
    scores = sums.scores()
    assert (scores.examples, scores.loss, scores.accuracy) == (2, 2.0, 0.5)
    np.testing.assert_array_equal(scores.confusion, [[0, 0, 0], [1, 0, 0], [0, 0, 1]])


def test_state_and_defaults() -> None:
    sums = EvaluationSums(3)
    assert sums.k == 3
    assert EvaluationSums(10).k == 5
    assert [variable.dtype for variable in (sums.loss_sum, sums.top_k_hits, sums.confusion)] == [
        tf.float64,
        tf.int64,
        tf.int64,
    ]
    assert not sums.trainable_variables


@pytest.mark.parametrize(("classes", "k", "name"), [(0, None, "classes"), (3, 0, "k"), (3, 4, "k"), (3, 1.5, "k")])
def test_arguments_out_of_range_are_refused(classes: int, k: int, name: str) -> None:
    with pytest.raises(ConfigError, match=f"`{name}`"):
        EvaluationSums(classes, k)


def test_scores_hold_plain_numbers() -> None:
    scores = Scores.from_sums(
        loss_sum=np.float64(6), top_k_hits=np.int64(3), k=2, confusion=np.array([[1, 1], [0, 1]], np.int64)
    )
    assert [type(value) for value in (scores.examples, scores.loss, scores.accuracy, scores.top_k)] == [
        int,
        float,
        float,
        float,
    ]
    assert (scores.loss, scores.top_k, scores.accuracy) == (2.0, 1.0, 2 / 3)
