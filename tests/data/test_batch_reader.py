"""Readers of batches: arrays borrowed or copied, and the same rows from memory as from one Python call a batch."""

import gc

import numpy as np
import pytest
import tensorflow as tf
from tfcore.data.lazy import LazySplit

from tfcore.data.batch_reader import PythonReader, TensorReader, as_tensor
from tfcore.data.dataset import Split, aligned_empty

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 3, 2, 3), np.uint8)
LABELS = np.arange(20, dtype=np.int32)
LAZY = LazySplit([str(number) for number in range(20)], LABELS, (3, 2, 3), lambda path: IMAGES[int(path)])


def test_a_source_chooses_how_its_batches_are_gathered() -> None:
    assert isinstance(Split(IMAGES, LABELS).batch_reader(), TensorReader)
    assert isinstance(LAZY.batch_reader(), PythonReader)


def test_arrays_are_gathered_by_ops_and_files_by_one_call_of_python() -> None:
    for source, calls in ((Split(IMAGES, LABELS), 0), (LAZY, 1)):
        pictures = tf.function(source.batch_reader().pictures)
        graph = pictures.get_concrete_function(tf.TensorSpec([4], tf.int64)).graph.as_graph_def()
        nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
        assert sum(node.op.endswith("PyFunc") or node.op.endswith("PyFuncStateless") for node in nodes) == calls


@pytest.mark.parametrize("source", [Split(IMAGES, LABELS), LAZY], ids=["memory", "files"])
def test_rows_are_those_of_the_array(source: Split | LazySplit) -> None:
    reader = source.batch_reader()
    rows = tf.constant([3, 19, 3, 0], tf.int64)
    np.testing.assert_array_equal(reader.pictures(rows), IMAGES[[3, 19, 3, 0]])
    np.testing.assert_array_equal(reader.labels, LABELS)
    assert reader.pictures(rows).dtype == tf.uint8
    assert reader.error is None


def numbered(shape: tuple[int, ...], offset_bytes: int = 0) -> np.ndarray:
    """0, 1, 2 … in a buffer so many bytes past a 64-byte boundary."""
    size = int(np.prod(shape))
    array = aligned_empty((size + offset_bytes,))[offset_bytes:].reshape(shape)
    array[...] = np.arange(size).reshape(shape)
    return array


def test_an_aligned_array_is_borrowed() -> None:
    array = numbered((4, 8))
    tensor = as_tensor(array)
    array[2, 3] = 255
    np.testing.assert_array_equal(tensor, array)


def test_a_borrowed_array_lives_as_long_as_its_tensor() -> None:
    tensor = as_tensor(numbered((100, 1000)))
    gc.collect()
    others = [np.full((100, 1000), 77, np.uint8) for _ in range(20)]
    np.testing.assert_array_equal(tensor, numbered((100, 1000)))
    assert len(others) == 20


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (numbered((4, 8), offset_bytes=1), "unaligned"),
        (numbered((4, 8), offset_bytes=32), "aligned to less than TensorFlow wants"),
        (numbered((8, 64))[:, :8], "not contiguous"),
        (numbered((4, 8)).T, "not in C order"),
    ],
)
def test_an_array_that_does_not_lie_well_is_copied(array: np.ndarray, why: str) -> None:
    tensor = as_tensor(array)
    before = array.copy()
    array += 100
    np.testing.assert_array_equal(tensor, before, err_msg=why)


def test_a_read_only_array_is_copied() -> None:
    array = numbered((4, 8))
    array.flags.writeable = False
    tensor = as_tensor(array)
    array.flags.writeable = True
    array += 100
    np.testing.assert_array_equal(tensor, np.arange(32).reshape(4, 8))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_a_tensor_keeps_dtype_and_shape(dtype: type) -> None:
    tensor = as_tensor(np.ones((3, 5), dtype))
    assert tensor.dtype == dtype
    assert tensor.shape == (3, 5)
