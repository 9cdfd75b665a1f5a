"""Batches: in training a function of the step alone, in evaluation every example exactly once, without copies."""

import pathlib
import resource

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcore.data import order
from tfcore.data.augmentation.chain import Augmentation, Part
from tfcore.data.augmentation.mixing import cutmix, mixup
from tfcore.data.batches import EvaluationBatches, Examples, TrainingBatches, data_errors
from tfcore.data.dataset import Split, aligned_empty
from tfcore.errors import ConfigError

SHAPE = (2, 3, 1)


def examples(count: int, indices: np.ndarray | None = None) -> Examples:
    """Example i has label i, and every pixel of its picture is i, so that the two can be compared."""
    labels = np.arange(count, dtype=np.int32)
    images = np.broadcast_to(labels.reshape(-1, 1, 1, 1), (count, *SHAPE)).astype(np.uint8)
    return Examples(Split(images, labels).batch_reader(), indices)


def labels_of(batches: TrainingBatches, first_step: int, steps: int) -> list[list[int]]:
    iterator = batches.from_step(first_step)
    blocks = [next(iterator)[1].numpy() for _ in range(-(-steps // batches.block_steps))]
    return np.concatenate(blocks)[:steps].tolist()


def largest_const_bytes(graph: tf.Graph) -> int:
    """Returns the size of the largest constant in a graph or in any function that it calls."""
    definition = graph.as_graph_def()
    nodes = [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
    return max((node.attr["value"].tensor.ByteSize() for node in nodes if node.op == "Const"), default=0)


def test_labels_are_those_of_the_part_in_its_order() -> None:
    assert examples(5).labels.tolist() == [0, 1, 2, 3, 4]
    assert examples(5, np.array([3, 0])).labels.tolist() == [3, 0]


def test_from_step_starts_at_that_step() -> None:
    batches = TrainingBatches(examples(10), batch_size=4, seed=5)
    whole = labels_of(batches, 0, 12)
    for step in range(12):
        assert labels_of(batches, step, 1) == [whole[step]]
    assert labels_of(batches, 7, 5) == whole[7:]


def test_the_order_is_that_of_the_seed() -> None:
    batches = TrainingBatches(examples(10), batch_size=4, seed=5)
    position = tf.constant(3 * 4, tf.int64)
    assert labels_of(batches, 3, 1) == [order.indices(5, position, 4, 10).numpy().tolist()]
    assert labels_of(TrainingBatches(examples(10), batch_size=4, seed=6), 0, 5) != labels_of(batches, 0, 5)


@pytest.mark.parametrize("batch_size", [1, 4, 10, 27])
def test_batches_straddle_epochs_and_leave_nothing_out(batch_size: int) -> None:
    batches = TrainingBatches(examples(10), batch_size=batch_size, seed=5)
    sequence = np.concatenate(labels_of(batches, 0, -(-30 // batch_size)))[:30]
    np.testing.assert_array_equal(np.sort(sequence.reshape(3, 10), axis=1), [list(range(10))] * 3)


def test_a_block_of_training_batches_has_a_static_shape_and_labels_that_fit() -> None:
    iterator = TrainingBatches(examples(10), batch_size=27, seed=5).from_step(2)
    assert iterator.element_spec == (tf.TensorSpec([20, 27, *SHAPE], tf.uint8), tf.TensorSpec([20, 27], tf.int32))
    images, labels = next(iterator)
    assert images.dtype == tf.uint8
    np.testing.assert_array_equal(images, np.broadcast_to(labels.numpy().reshape(20, 27, 1, 1, 1), images.shape))


@pytest.mark.parametrize(
    ("shape", "batch_size", "expected"),
    [((28, 28, 1), 100, 20), ((32, 32, 3), 128, 20), ((64, 64, 3), 100, 6), ((224, 224, 3), 64, 1)],
)
def test_blocks_are_as_long_as_their_memory_allows(shape: tuple[int, ...], batch_size: int, expected: int) -> None:
    split = Split(np.zeros([1, *shape], np.uint8), np.zeros([1], np.int32))
    assert TrainingBatches(Examples(split.batch_reader()), batch_size=batch_size, seed=0).block_steps == expected


def test_examples_with_indices_yield_only_those() -> None:
    part = examples(10, np.array([2, 3, 5, 7]))
    assert len(part) == part.count == 4
    sequence = np.ravel(labels_of(TrainingBatches(part, batch_size=2, seed=0), 0, 6)).reshape(3, 4)
    np.testing.assert_array_equal(np.sort(sequence, axis=1), [[2, 3, 5, 7]] * 3)
    evaluated = [labels.numpy().tolist() for _, labels, _ in EvaluationBatches(part, batch_size=2)]
    assert evaluated == [[2, 3], [5, 7]]


@settings(max_examples=25)
@given(count=st.integers(1, 40), batch_size=st.integers(1, 50))
def test_an_evaluation_weighs_every_example_once_and_padding_not_at_all(count: int, batch_size: int) -> None:
    batches = EvaluationBatches(examples(count), batch_size=batch_size)
    seen = list(batches)
    assert len(seen) == batches.count
    images, labels, weights = (np.concatenate(parts) for parts in zip(*seen, strict=True))
    assert len(labels) % batch_size == 0
    np.testing.assert_array_equal(labels[weights == 1], np.arange(count))
    np.testing.assert_array_equal(weights, np.arange(len(labels)) < count)
    np.testing.assert_array_equal(images[:, 0, 0, 0], labels)


def test_an_evaluation_batch_has_a_static_shape_and_can_be_iterated_again() -> None:
    batches = EvaluationBatches(examples(10), batch_size=4)
    spec = (tf.TensorSpec([4, *SHAPE], tf.uint8), tf.TensorSpec([4], tf.int32), tf.TensorSpec([4], tf.float32))
    assert iter(batches).element_spec == spec
    first, second = ([labels.numpy().tolist() for _, labels, _ in batches] for _ in range(2))
    assert first == second == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 9, 9]]


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_of_no_example_is_refused(batch_size: int) -> None:
    with pytest.raises(ConfigError, match=rf"`batch_size` must be above 0. Received {batch_size}"):
        TrainingBatches(examples(10), batch_size=batch_size, seed=0)
    with pytest.raises(ConfigError, match=rf"`batch_size` must be above 0. Received {batch_size}"):
        EvaluationBatches(examples(10), batch_size=batch_size)


def test_no_picture_is_baked_into_the_pipeline() -> None:
    images = np.zeros((700, 32, 32, 3), np.uint8)  # 2.1 MB
    pictures = Examples(Split(images, np.zeros([700], np.int32)).batch_reader(), np.arange(600))
    batches = TrainingBatches(pictures, batch_size=8, seed=0)
    places = tf.TensorSpec([8], tf.int64)
    for function, spec in ((pictures.gather, places), (batches._block, tf.TensorSpec([], tf.int64))):
        assert largest_const_bytes(tf.function(function).get_concrete_function(spec).graph) < 10_000

    def baked(rows: tf.Tensor) -> tf.Tensor:
        return tf.gather(tf.constant(images), rows)

    assert largest_const_bytes(tf.function(baked).get_concrete_function(places).graph) > 2_000_000


def test_a_pipeline_holds_no_second_copy_of_the_pictures() -> None:
    """The graph rewriting of tf.data would serialise the graph together with them."""
    count = 40_000
    images = aligned_empty((count, 32, 32, 3))
    images[:] = 1
    part = Examples(Split(images, np.zeros([count], np.int32)).batch_reader())
    before = resident_bytes()
    next(TrainingBatches(part, batch_size=10, seed=0).from_step(0))
    next(iter(EvaluationBatches(part, batch_size=10)))
    assert resident_bytes() - before < images.nbytes / 2


def resident_bytes() -> int:
    """Returns the resident memory of this process."""
    return int(pathlib.Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def weighted(count: int, indices: np.ndarray | None = None) -> Examples:
    """Example i has label i and weight i / 2."""
    labels = np.arange(count, dtype=np.int32)
    reader = Split(np.zeros((count, *SHAPE), np.uint8), labels).batch_reader()
    return Examples(reader, indices, (labels / 2).astype(np.float32))


@pytest.mark.parametrize("indices", [None, np.array([1, 3, 4, 8, 9])])
def test_weights_follow_their_examples(indices: np.ndarray | None) -> None:
    batches = TrainingBatches(weighted(10, indices), batch_size=4, seed=5)
    for step in (0, 3):
        _, labels, weights = next(batches.from_step(step))
        assert weights.dtype == tf.float32
        np.testing.assert_array_equal(weights, labels.numpy() / 2)
    assert len(next(TrainingBatches(examples(10), batch_size=4, seed=5).from_step(0))) == 2


def test_mixed_examples_have_the_weighted_sum_of_their_losses() -> None:
    def batch(part: Examples) -> list[np.ndarray]:
        mix = Augmentation([Part("mixup", mixup, mixes=True), Part("cutmix", cutmix, mixes=True)], classes=10)
        batches = TrainingBatches(part, batch_size=10, seed=5, augmentation=mix)
        return [whole.numpy()[0].astype(np.float64) for whole in next(batches.from_step(2))]

    _, shares = batch(examples(10))  # of the examples, as each has a class of its own
    _, targets, weights = batch(weighted(10))
    np.testing.assert_allclose(weights, shares @ (np.arange(10) / 2), rtol=1e-6)
    np.testing.assert_allclose(weights[:, np.newaxis] * targets, shares * np.arange(10) / 2, rtol=1e-5, atol=1e-7)
    losses = np.random.default_rng(0).uniform(0, 5, [10, 10])  # of each example for each class
    np.testing.assert_allclose(
        weights * (targets * losses).sum(1), (shares * np.arange(10) / 2 * losses).sum(1), rtol=1e-5
    )


@pytest.mark.thorough  # TensorFlow tries for ten seconds
def test_a_tensor_that_cannot_be_allocated_is_told_in_one_line() -> None:
    with pytest.raises(MemoryError, match=r"^TensorFlow cannot allocate what a step needs\. Take a smaller"):
        with data_errors([]):
            tf.zeros([10**15], tf.uint8)
