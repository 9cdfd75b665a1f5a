"""Pictures to rows."""

import numpy as np
import pytest
import tensorflow as tf

from tfcore.errors import ShapeError
from tfcore.layers import Flatten


@pytest.mark.parametrize("shape", [(3, 4, 5, 2), (3, 7), (3,), (0, 4, 5, 2)])
def test_the_last_axis_varies_fastest(shape: tuple[int, ...]) -> None:
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    features = int(np.prod(shape[1:]))
    np.testing.assert_array_equal(Flatten()(x, training=False), x.reshape(shape[0], features))


@pytest.mark.parametrize("dtype", [tf.uint8, tf.bfloat16, tf.float32])
def test_the_dtype_is_kept(dtype: tf.DType) -> None:
    assert Flatten()(tf.zeros([2, 3, 3], dtype), training=True).dtype == dtype


def test_the_size_of_the_rows_is_static_where_the_batch_is_not() -> None:
    spec = tf.TensorSpec([None, 4, 5, 2])
    traced = tf.function(lambda x: Flatten()(x, training=False)).get_concrete_function(spec)
    assert traced.output_shapes.as_list() == [None, 40]


def test_an_unknown_size_is_refused() -> None:
    traced = tf.function(lambda x: Flatten()(x, training=False), autograph=False)
    with pytest.raises(ShapeError, match=r"every axis but the first. Received shape \(None, None, 5, 2\)"):
        traced.get_concrete_function(tf.TensorSpec([None, None, 5, 2]))
