"""Dropout on given words: against NumPy and plain TensorFlow, fused and not, and where the words are unlucky."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from reference import layers as reference

from tfcore import ops
from tfcore.ops.dropout import LEVELS, kept_levels

Function = Callable[..., tf.Tensor]

MULTIPLIER = 0x9E3779B1  # of a number's place
each_shape = pytest.mark.parametrize("shape", [(5, 7, 9, 3), (1, 1), (3, 13), (2, 1, 1, 5), (4,)], ids=str)
each_rate = pytest.mark.parametrize("rate", [0.5, 0.2])
each_dtype = pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16], ids=lambda dtype: dtype.name)


def random_words(examples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**32, (examples, 2), np.uint32)


def inputs(shape: tuple[int, ...], dtype: tf.DType) -> list[tf.Tensor]:
    """x, of which some numbers are zero, the words, and the gradient that comes from above."""
    rng = np.random.default_rng(1)
    x, upstream = rng.normal(size=(2, *shape))
    x[rng.random(shape) < 0.1] = 0
    return [tf.cast(x, dtype), tf.constant(random_words(shape[0])), tf.cast(upstream, dtype)]


def run(function: Function, x: tf.Tensor, words: tf.Tensor, upstream: tf.Tensor, rate: float) -> tuple[Any, Any]:
    """The function's result and its gradient."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x, words, rate)
    return y, tape.gradient(y, x, upstream)


def in_a_graph(function: Function, arguments: list[tf.Tensor], rate: float) -> tuple[Any, Any]:
    return tf.function(lambda *tensors: run(function, *tensors, rate))(*arguments)


def equal(results: tuple[Any, Any], expected: tuple[Any, Any]) -> None:
    for result, other in zip(results, expected, strict=True):
        assert result.dtype == other.dtype
        np.testing.assert_array_equal(tf.cast(result, tf.float32), tf.cast(other, tf.float32))


def reference_dropout(x: tf.Tensor, words: tf.Tensor, rate: float) -> tf.Tensor:
    """With the mask from NumPy; differentiable."""
    hashes = reference.dropout_hash(words.numpy(), int(np.prod(x.shape[1:])))
    mask = (hashes < kept_levels(rate)).reshape(x.shape)
    return x * tf.cast(mask, x.dtype) * tf.cast(LEVELS / kept_levels(rate), x.dtype)


def reference_relu_dropout(x: tf.Tensor, words: tf.Tensor, rate: float) -> tf.Tensor:
    return reference_dropout(tf.nn.relu(x), words, rate)


@pytest.mark.sampled(5)
@each_shape
@each_dtype
@pytest.mark.parametrize(
    ("function", "expected"),
    [(ops.dropout, reference_dropout), (ops.relu_dropout, reference_relu_dropout)],
    ids=["dropout", "relu_dropout"],
)
def test_fused_plain_and_eager_equal_the_reference_in_values_and_gradients(
    function: Function, expected: Function, shape: tuple[int, ...], dtype: tf.DType
) -> None:
    arguments, rate = inputs(shape, dtype), 0.2
    wanted = run(expected, *arguments, rate)
    equal(in_a_graph(function, arguments, rate), wanted)
    equal(run(function, *arguments, rate), wanted)
    with ops.plain():
        equal(in_a_graph(function, arguments, rate), wanted)


@each_rate
@each_dtype
def test_relu_dropout_is_dropout_after_relu(rate: float, dtype: tf.DType) -> None:
    arguments = inputs((6, 50, 7), dtype)
    expected = run(lambda x, words, rate: ops.dropout(tf.nn.relu(x), words, rate), *arguments, rate)
    equal(in_a_graph(ops.relu_dropout, arguments, rate), expected)
    equal(run(ops.relu_dropout, *arguments, rate), expected)


@pytest.mark.parametrize("compiled", [False, True])
@each_dtype
def test_relu_dropout_has_a_gradient_above_zero_only(compiled: bool, dtype: tf.DType) -> None:
    tiny = 2.0**-120
    x = tf.tile(tf.constant([[-2.0, -tiny, -0.0, 0.0, tiny, 3.0]], dtype), [200, 1])
    arguments = [x, tf.constant(random_words(200)), tf.ones_like(x)]
    y, gradient = in_a_graph(ops.relu_dropout, arguments, 0.5) if compiled else run(ops.relu_dropout, *arguments, 0.5)
    kept = reference.dropout_hash(random_words(200), 6) < LEVELS // 2
    np.testing.assert_array_equal(tf.cast(gradient, tf.float32), kept * [0, 0, 0, 0, 2, 2])
    np.testing.assert_array_equal(tf.cast(y, tf.float64), kept * [0, 0, 0, 0, 2 * tiny, 6])


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("function", [ops.dropout, ops.relu_dropout], ids=["dropout", "relu_dropout"])
@each_dtype
def test_what_is_not_a_number_shows_where_it_is_kept(compiled: bool, function: Function, dtype: tf.DType) -> None:
    words = random_words(3)
    kept = reference.dropout_hash(words, 40) < kept_levels(0.2)
    for bad in (np.nan, np.inf):
        arguments = [tf.fill([3, 40], tf.cast(bad, dtype)), tf.constant(words), tf.ones([3, 40], dtype)]
        y, _ = in_a_graph(function, arguments, 0.2) if compiled else run(function, *arguments, 0.2)
        np.testing.assert_array_equal(tf.cast(y, tf.float32), np.where(kept, bad, 0))


@pytest.mark.parametrize("compiled", [False, True])
@each_dtype
def test_what_max_pooling_makes_of_windows_without_a_number_shows(compiled: bool, dtype: tf.DType) -> None:
    pooled = tf.nn.max_pool2d(tf.fill([20, 2, 2, 9], tf.cast(np.nan, dtype)), 2, 2, "VALID")
    words = random_words(20)
    arguments = [pooled, tf.constant(words), tf.ones_like(pooled)]
    y, _ = in_a_graph(ops.relu_dropout, arguments, 0.5) if compiled else run(ops.relu_dropout, *arguments, 0.5)
    kept = reference.dropout_hash(words, 9) < LEVELS // 2
    np.testing.assert_array_equal(np.isfinite(tf.cast(y, tf.float32)).reshape(20, 9), ~kept)


@each_shape
@pytest.mark.parametrize("function", [ops.dropout, ops.relu_dropout], ids=["dropout", "relu_dropout"])
def test_a_rate_that_rounds_to_zero_keeps_everything(function: Function, shape: tuple[int, ...]) -> None:
    arguments = inputs(shape, tf.float32)
    expected = run(lambda x, *_: tf.nn.relu(x) if function is ops.relu_dropout else tf.identity(x), *arguments, 0.0)
    equal(run(function, *arguments, 2**-34), expected)
    equal(in_a_graph(function, arguments, 2**-34), expected)


@pytest.mark.parametrize(
    ("rate", "levels"),
    [(0.0, 2**32), (2**-34, 2**32), (2**-32, 2**32 - 1), (0.5, 2**31), (0.2, 3435973837), (1 - 2**-32, 1),
     (1 - 2**-40, 1)],
)  # fmt: skip
def test_the_levels_that_are_kept(rate: float, levels: int) -> None:
    assert kept_levels(rate) == levels


def b_of_the_highest_hash() -> int:
    """The word b that, with a = 0, gives place 0 the hash 2^32 - 1: the last rounds undone."""
    h = LEVELS - 1
    h ^= h >> 16
    h = h * pow(0x846CA68B, -1, LEVELS) % LEVELS
    return h ^ h >> 15 ^ h >> 30


@pytest.mark.parametrize("compiled", [False, True])
def test_a_rate_next_to_one_keeps_the_lowest_level_and_a_rate_next_to_zero_drops_the_highest(compiled: bool) -> None:
    words = np.array([[0, 0], [0, b_of_the_highest_hash()]], np.uint32)
    assert reference.dropout_hash(words, 1).ravel().tolist() == [0, LEVELS - 1]
    arguments = [tf.ones([2, 1]), tf.constant(words), tf.ones([2, 1])]
    for rate, expected in [(1 - 2**-40, [LEVELS, 0]), (2**-32, [1, 0])]:
        y, gradient = in_a_graph(ops.dropout, arguments, rate) if compiled else run(ops.dropout, *arguments, rate)
        np.testing.assert_array_equal(tf.squeeze(y), expected)
        np.testing.assert_array_equal(tf.squeeze(gradient), expected)


@pytest.mark.parametrize("places", [1, 2, 7, 100])
def test_examples_whose_first_words_make_their_places_meet_still_have_masks_of_their_own(places: int) -> None:
    # Place e of the second example meets place e + `places` of the first, before the second word is mixed in.
    pairs, numbers = 300, 2048
    first = random_words(pairs, seed=places)
    met = (first[:, :1] + np.uint32(places * MULTIPLIER % LEVELS)).astype(np.uint32)
    ones, other = tf.ones([pairs, numbers]), random_words(pairs, seed=1000 + places)[:, 1:]
    kept, copied, own = (
        ops.dropout(ones, tf.constant(words), 0.5).numpy() > 0
        for words in (first, np.hstack([met, first[:, 1:]]), np.hstack([met, other]))
    )
    np.testing.assert_array_equal(copied[:, :-places], kept[:, places:])  # with the same second word, they are copies
    agree = np.mean(own[:, :-places] == kept[:, places:], axis=1)
    scores = (2 * agree - 1) * np.sqrt(numbers - places)
    assert np.abs(scores).max() < 5
    assert abs(np.mean(scores**2) - 1) < 5 * np.sqrt(2 / pairs)


@pytest.mark.parametrize("word", [0, 1])
@pytest.mark.parametrize("bit", [0, 8, 16, 30, 31])
def test_every_bit_of_both_words_changes_the_mask(word: int, bit: int) -> None:
    words = random_words(20)
    changed = words.copy()
    changed[:, word] ^= np.uint32(1 << bit)
    before, after = (ops.dropout(tf.ones([20, 1000]), tf.constant(each), 0.5).numpy() for each in (words, changed))
    assert np.all(np.mean(before != after, axis=1) > 0.05)


@each_dtype
def test_the_gradient_of_the_gradient_has_the_mask_as_well(dtype: tf.DType) -> None:
    x, words, upstream = inputs((3, 13), dtype)

    def twice(x: tf.Tensor, words: tf.Tensor, upstream: tf.Tensor) -> Any:
        with tf.GradientTape() as outer:
            outer.watch(upstream)
            _, gradient = run(ops.dropout, x, words, upstream, 0.5)
        return outer.gradient(gradient, upstream)

    expected = ops.dropout(tf.ones_like(x), words, 0.5)
    for call in (twice, tf.function(twice)):
        np.testing.assert_array_equal(tf.cast(call(x, words, upstream), tf.float32), tf.cast(expected, tf.float32))
