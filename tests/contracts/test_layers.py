"""What every layer promises, from one table of all public layers."""

import importlib
import inspect
import pathlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfcore import layers
from tfcore.layers import Flatten, Linear, Pixels, Relu, Sequential
from tfcore.modules import named_parameters, named_variables

STATISTICS = {"mean": np.array([120, 110, 100], np.float32), "std": np.array([60, 70, 80], np.float32)}
MEAN_PICTURE = np.linspace(0, 255, 60).reshape(4, 5, 3).astype(np.float32)
PICTURE = (4, 5, 3)


@dataclass(frozen=True)
class Case:
    """How a layer is made for a compute type, and what goes into it."""

    make: Callable[[tf.DType], tf.Module]
    shape: tuple[int, ...]  # of one example
    takes_bytes: bool = False  # uint8 pictures instead of the compute type


def linear(dtype: tf.DType, name: str = "linear", in_features: int = 6, out_features: int = 4) -> Linear:
    return Linear(in_features, out_features, name=name, seed=0, dtype=dtype)


def sequential(dtype: tf.DType) -> Sequential:
    first, last = linear(dtype, "first", 60, 6), linear(dtype, "last")
    return Sequential(
        {"pixels": Pixels(dtype=dtype), "flatten": Flatten(), "first": first, "relu": Relu(), "last": last}
    )


CASES = {
    "Flatten": Case(lambda _: Flatten(), PICTURE),
    "Linear": Case(linear, (6,)),
    "Pixels-unit": Case(lambda dtype: Pixels("unit", dtype=dtype), PICTURE, takes_bytes=True),
    "Pixels-raw": Case(lambda dtype: Pixels("raw", dtype=dtype), PICTURE, takes_bytes=True),
    "Pixels-centered": Case(lambda dtype: Pixels("centered", mean=MEAN_PICTURE, dtype=dtype), PICTURE, True),
    "Pixels-standardized": Case(lambda dtype: Pixels("standardized", **STATISTICS, dtype=dtype), PICTURE, True),
    "Relu": Case(lambda _: Relu(), PICTURE),
    "Sequential": Case(sequential, PICTURE, takes_bytes=True),
}
# One rounding of the compute type, and a few more where products are summed.
TOLERANCE = {tf.float32: 1e-5, tf.bfloat16: 2e-2}

each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
each_dtype = pytest.mark.parametrize("dtype", TOLERANCE, ids=lambda dtype: dtype.name)


def inputs(case: Case, dtype: tf.DType, examples: int = 7) -> tf.Tensor:
    rng = np.random.default_rng(0)
    if case.takes_bytes:
        return tf.constant(rng.integers(0, 256, (examples, *case.shape), np.uint8))
    return tf.cast(rng.normal(size=(examples, *case.shape)), dtype)


def as_float64(tensor: tf.Tensor) -> np.ndarray:
    return tf.cast(tensor, tf.float64).numpy()


def public_layers() -> set[str]:
    return {name for name in layers.__all__ if inspect.isclass(getattr(layers, name))}


def test_every_public_layer_is_in_the_table() -> None:
    assert public_layers() == {name.split("-")[0] for name in CASES}
    for name, case in CASES.items():
        assert type(case.make(tf.float32)).__name__ == name.split("-")[0]


def test_every_layer_is_public() -> None:
    files = [importlib.import_module(f"tfcore.layers.{file.name}") for file in pkgutil.iter_modules(layers.__path__)]
    defined = {
        name
        for file in files
        for name, value in vars(file).items()
        if inspect.isclass(value) and issubclass(value, tf.Module) and value.__module__ == file.__name__
    }
    assert {name for name in defined if not name.startswith("_")} == public_layers()


@each_case
@each_dtype
def test_variables_exist_at_construction_with_unique_names_in_float32(case: Case, dtype: tf.DType) -> None:
    layer = case.make(dtype)
    before = named_variables(layer)
    assert len(before) == len(layer.variables)
    assert all(variable.dtype == tf.float32 for variable in before.values())
    layer(inputs(case, dtype), training=True)
    after = named_variables(layer)
    assert list(after) == list(before)
    assert all(after[path] is before[path] for path in before)


@each_case
@each_dtype
@pytest.mark.parametrize("training", [True, False])
def test_the_result_has_the_compute_type_and_a_row_for_each_example(
    case: Case, dtype: tf.DType, training: bool
) -> None:
    result = case.make(dtype)(inputs(case, dtype), training=training)
    assert result.dtype == dtype
    assert result.shape[0] == 7
    assert np.isfinite(as_float64(result)).all()


@each_case
def test_bfloat16_agrees_with_float32_to_rounding(case: Case) -> None:
    x = inputs(case, tf.bfloat16)
    low = as_float64(case.make(tf.bfloat16)(x, training=False))
    full = as_float64(case.make(tf.float32)(x if case.takes_bytes else tf.cast(x, tf.float32), training=False))
    np.testing.assert_allclose(low, full, rtol=0, atol=TOLERANCE[tf.bfloat16] * np.abs(full).max())


@each_case
@each_dtype
@pytest.mark.parametrize("training", [True, False])
def test_eager_equals_compiled(case: Case, dtype: tf.DType, training: bool) -> None:
    layer, x = case.make(dtype), inputs(case, dtype)
    eager = as_float64(layer(x, training=training))
    compiled = as_float64(tf.function(layer)(x, training=training))
    np.testing.assert_allclose(compiled, eager, rtol=0, atol=TOLERANCE[dtype] * np.abs(eager).max())


@each_case
def test_one_trace_serves_batches_of_every_size(case: Case) -> None:
    layer = case.make(tf.float32)
    spec = tf.TensorSpec([None, *case.shape], inputs(case, tf.float32).dtype)
    call = tf.function(lambda x: layer(x, training=True), input_signature=[spec])
    sizes = (1, 2, 7, 30)
    assert [call(inputs(case, tf.float32, size)).shape[0] for size in sizes] == list(sizes)
    assert call.experimental_get_tracing_count() == 1


@each_case
def test_examples_do_not_depend_on_each_other_in_evaluation(case: Case) -> None:
    layer, x = case.make(tf.float32), inputs(case, tf.float32)
    whole = as_float64(layer(x, training=False))
    alone = np.concatenate([as_float64(layer(x[row : row + 1], training=False)) for row in range(7)])
    np.testing.assert_allclose(alone, whole, rtol=0, atol=1e-5 * np.abs(whole).max())


@each_case
def test_a_checkpoint_brings_every_variable_back(case: Case, tmp_path: pathlib.Path) -> None:
    saved, restored = case.make(tf.float32), case.make(tf.float32)
    for number, variable in enumerate(saved.variables, start=1):
        variable.assign(tf.reshape(tf.range(variable.shape.num_elements(), dtype=tf.float32) + number, variable.shape))
    path = tf.train.Checkpoint(layer=saved).write(str(tmp_path / "layer"))
    tf.train.Checkpoint(layer=restored).read(path).assert_consumed()
    for name, variable in named_variables(saved).items():
        np.testing.assert_array_equal(named_variables(restored)[name], variable, err_msg=name)
    x = inputs(case, tf.float32)
    np.testing.assert_array_equal(restored(x, training=False), saved(x, training=False))


@each_case
@each_dtype
def test_a_gradient_reaches_every_parameter(case: Case, dtype: tf.DType) -> None:
    layer, x = case.make(dtype), inputs(case, dtype)
    parameters = named_parameters(layer)
    with tf.GradientTape() as tape:
        y = tf.cast(layer(x, training=True), tf.float32)
        loss = tf.reduce_sum(y * tf.sin(tf.reshape(tf.range(tf.size(y), dtype=tf.float32), tf.shape(y))))
    for name, gradient in tape.gradient(loss, parameters).items():
        assert gradient is not None, name
        assert gradient.dtype == tf.float32, name
        assert np.any(gradient.numpy() != 0), name


@each_case
def test_a_gradient_reaches_the_input(case: Case) -> None:
    x = tf.cast(inputs(case, tf.float32), tf.float32)  # mixed pictures are floats
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(case.make(tf.float32)(x, training=True))
    assert np.any(tape.gradient(loss, x).numpy() != 0)


@each_case
def test_training_is_a_required_keyword(case: Case) -> None:
    layer, x = case.make(tf.float32), inputs(case, tf.float32)
    call: Any = inspect.signature(layer).parameters
    assert list(call) == ["x", "training", "key"]
    assert call["training"].kind == call["key"].kind == inspect.Parameter.KEYWORD_ONLY
    assert call["key"].default is None
    with pytest.raises(TypeError, match="training"):
        layer(x)
