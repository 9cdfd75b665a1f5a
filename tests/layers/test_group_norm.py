"""Group normalisation against NumPy float64, with Keras as second witness."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from reference import layers as reference

from tfcore.errors import ConfigError, ShapeError
from tfcore.layers import GroupNorm
from tfcore.modules import named_parameters

RNG = np.random.default_rng(0)
INPUTS = {
    "rows": RNG.normal(3, 2, (5, 12)),
    "tokens": RNG.normal(-1, 0.5, (4, 5, 12)),
    "pictures": RNG.normal(0, 4, (3, 4, 2, 12)),
}
SCALE, OFFSET = np.linspace(0.5, 2, 12), np.linspace(-1, 1, 12)
EPSILON = 1e-2  # large, so that another place for it would show

each_input = pytest.mark.parametrize("x", INPUTS.values(), ids=INPUTS)
each_count = pytest.mark.parametrize("groups", [1, 3, 4])


def norm(groups: int) -> GroupNorm:
    layer = GroupNorm(12, name="norm_1", groups=groups, epsilon=EPSILON)
    layer.scale.assign(SCALE)
    layer.offset.assign(OFFSET)
    return layer


def close(result: Any, wanted: np.ndarray, tolerance: float) -> None:
    np.testing.assert_allclose(tf.cast(result, tf.float64), wanted, rtol=0, atol=tolerance * np.abs(wanted).max())


@each_input
@each_count
@pytest.mark.parametrize(("dtype", "tolerance"), [(tf.float32, 1e-5), (tf.bfloat16, 1e-2)])
def test_values(x: np.ndarray, groups: int, dtype: tf.DType, tolerance: float) -> None:
    given = tf.cast(x, dtype)
    expected = reference.group_norm(tf.cast(given, tf.float64).numpy(), SCALE, OFFSET, groups, EPSILON)
    for training in (True, False):
        result = norm(groups)(given, training=training)
        assert (result.dtype, result.shape) == (dtype, x.shape)
        close(result, expected, tolerance)


@each_count
def test_gradients(groups: int) -> None:
    layer, x = norm(groups), INPUTS["pictures"][:1]
    upstream = np.sin(np.arange(x.size) ** 1.5).reshape(x.shape)
    with tf.GradientTape() as tape:
        given = tf.constant(x, tf.float32)
        tape.watch(given)
        loss = tf.reduce_sum(layer(given, training=True) * upstream)
    from_x, from_scale, from_offset = tape.gradient(loss, [given, layer.scale, layer.offset])

    def total(x: np.ndarray, scale: np.ndarray, offset: np.ndarray) -> float:
        return float(np.sum(reference.group_norm(x, scale, offset, groups, EPSILON) * upstream))

    close(from_x, reference.gradient(lambda x: total(x, SCALE, OFFSET), x), 1e-4)
    close(from_scale, reference.gradient(lambda scale: total(x, scale, OFFSET), SCALE), 1e-5)
    close(from_offset, reference.gradient(lambda offset: total(x, SCALE, offset), OFFSET), 1e-5)


@each_input
@each_count
def test_keras_agrees(x: np.ndarray, groups: int) -> None:
    theirs = keras.layers.GroupNormalization(groups, epsilon=EPSILON)
    theirs.build(x.shape)
    theirs.set_weights([SCALE, OFFSET])
    given = tf.constant(x, tf.float32)
    close(norm(groups)(given, training=True), theirs(given).numpy().astype(np.float64), 1e-5)


def test_many_numbers_far_from_zero_are_summed_in_float32() -> None:
    layer = GroupNorm(2, name="norm_1", groups=1)
    x = tf.cast(RNG.uniform(8, 9, (2, 200, 200, 2)), tf.bfloat16)
    y = tf.cast(layer(x, training=True), tf.float64).numpy()
    assert np.abs(y.mean((1, 2, 3))).max() < 1e-2
    np.testing.assert_allclose(y.std((1, 2, 3)), 1, rtol=1e-2)


def test_a_size_of_the_picture_may_be_unknown() -> None:
    layer, x = norm(3), tf.constant(INPUTS["pictures"], tf.float32)
    call = tf.function(lambda x: layer(x, training=False), input_signature=[tf.TensorSpec([None, None, None, 12])])
    close(call(x), layer(x, training=False).numpy(), 1e-6)


def test_its_parameters() -> None:
    layer = GroupNorm(64, name="norm_1")
    parameters = {path: variable.numpy().tolist() for path, variable in named_parameters(layer).items()}
    assert parameters == {"offset": [0.0] * 64, "scale": [1.0] * 64}
    assert (layer.groups, layer.epsilon) == (32, 1e-5)


@pytest.mark.parametrize("shape", [(9, 11), (12,), (2, 12, 1)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"Layer 'norm_1' takes x of shape \[N, …, 12\]. Received \("):
        norm(3)(tf.zeros(shape), training=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": 0}, "`features` must be an integer of at least 1"),
        ({"epsilon": 0.0}, "`epsilon` must be above 0"),
        ({"groups": 5}, "`groups` must divide `features`, which is 12. Received 5"),
        ({"groups": 0}, "`groups` must be an integer of at least 1"),
    ],
)
def test_a_bad_argument_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GroupNorm(**{"features": 12, "name": "norm_1", "groups": 3} | arguments)
