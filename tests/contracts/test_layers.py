"""Contract of every layer, driven by one table of all public layers."""

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
from tfcore.errors import ConfigError
from tfcore.layers import (
    Activation,
    AveragePool,
    BatchNorm,
    Conv2D,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GlobalAveragePool,
    GlobalMaxPool,
    GroupNorm,
    LayerNorm,
    Linear,
    MaxPool,
    MultiHeadAttention,
    Pixels,
    Residual,
    Sequential,
    StochasticDepth,
    SumPool,
    Whitening,
)  # fmt: skip
from tfcore.layers.activation import ACTIVATIONS
from tfcore.modules import named_parameters, named_variables
from tfcore.seeds import Key

STATISTICS = {"mean": np.array([120, 110, 100], np.float32), "std": np.array([60, 70, 80], np.float32)}
MEAN_PICTURE = np.linspace(0, 255, 60).reshape(4, 5, 3).astype(np.float32)
PICTURE = (4, 5, 3)


@dataclass(frozen=True)
class Case:
    """Constructor of a layer for a compute type, and its input."""

    make: Callable[[tf.DType], tf.Module]  # of the dtype of pictures behind a `Pixels`
    shape: tuple[int, ...]  # of one example
    takes_bytes: bool = False  # uint8 pictures instead of the compute type
    draws: bool = False  # at random when training, so it needs a key
    mixes: bool = False  # when training, an example's result depends on the others of its batch


def linear(name: str = "linear", in_features: int = 6, out_features: int = 4) -> Linear:
    return Linear(in_features, out_features, name=name, seed=0)


def conv(**arguments: Any) -> Conv2D:
    return Conv2D(3, 4, 3, name="conv", seed=0, **arguments)


def norm() -> BatchNorm:
    return BatchNorm(3, name="norm")


def sequential(dtype: tf.DType, dropout: float = 0.0) -> Sequential:
    hidden = {"first": linear("first", 60, 6), "relu": Activation("relu"), "dropout": Dropout(dropout, name="d")}
    return Sequential({"pixels": Pixels(dtype=dtype), "flatten": Flatten(), **hidden, "last": linear("last")})


CASES = {
    **{f"Activation-{name}": Case(lambda _, name=name: Activation(name), PICTURE) for name in ACTIVATIONS},
    "AveragePool": Case(lambda _: AveragePool(2), PICTURE),
    "BatchNorm-pictures": Case(lambda _: norm(), PICTURE, mixes=True),
    "BatchNorm-offset_alone": Case(
        lambda _: BatchNorm(3, name="norm", use_scale=False, offset_factor=8.0), PICTURE, mixes=True
    ),
    "BatchNorm-rows": Case(lambda _: norm(), (3,), mixes=True),
    "Conv2D-same": Case(lambda _: conv(), PICTURE),
    "Conv2D-valid": Case(lambda _: conv(padding="valid"), PICTURE),
    "Conv2D-symmetric": Case(lambda _: conv(padding="symmetric", stride=2), PICTURE),
    "Conv2D-strided": Case(lambda _: conv(stride=2), PICTURE),
    "Conv2D-without_bias": Case(lambda _: conv(use_bias=False), PICTURE),
    "DepthwiseConv2D": Case(lambda _: DepthwiseConv2D(3, 3, name="depthwise", seed=0), PICTURE),
    "DepthwiseConv2D-strided": Case(
        lambda _: DepthwiseConv2D(3, 2, name="depthwise", seed=0, stride=2, use_bias=False), PICTURE
    ),
    "DepthwiseConv2D-symmetric": Case(
        lambda _: DepthwiseConv2D(3, 3, name="depthwise", seed=0, stride=2, padding="symmetric"), PICTURE
    ),
    "Dropout-pictures": Case(lambda _: Dropout(0.25, name="dropout"), PICTURE, draws=True),
    "Dropout-rows": Case(lambda _: Dropout(0.5, name="dropout"), (11,), draws=True),
    "Flatten": Case(lambda _: Flatten(), PICTURE),
    "GlobalAveragePool": Case(lambda _: GlobalAveragePool(), PICTURE),
    "GlobalMaxPool": Case(lambda _: GlobalMaxPool(), PICTURE),
    "GroupNorm-pictures": Case(lambda _: GroupNorm(6, name="norm", groups=2), (4, 5, 6)),
    "GroupNorm-rows": Case(lambda _: GroupNorm(12, name="norm", groups=3), (12,)),
    "GroupNorm-tokens": Case(lambda _: GroupNorm(6, name="norm", groups=1), (4, 6)),
    "LayerNorm-rows": Case(lambda _: LayerNorm(11, name="norm"), (11,)),
    "LayerNorm-tokens": Case(lambda _: LayerNorm(6, name="norm"), (4, 6)),
    "Linear": Case(lambda _: linear(), (6,)),
    "Linear-without_bias": Case(lambda _: Linear(6, 4, name="linear", seed=0, use_bias=False), (6,)),
    "Linear-tokens": Case(lambda _: linear(), (5, 6)),
    "MaxPool": Case(lambda _: MaxPool(2), PICTURE),
    "MaxPool-overlapping": Case(lambda _: MaxPool(3, stride=2, padding="same"), PICTURE),
    "MaxPool-symmetric": Case(lambda _: MaxPool(3, stride=2, padding="symmetric"), PICTURE),
    "MultiHeadAttention": Case(lambda _: MultiHeadAttention(6, 2, name="attention", seed=0), (5, 6)),
    "Pixels-unit": Case(lambda dtype: Pixels("unit", dtype=dtype), PICTURE, takes_bytes=True),
    "Pixels-raw": Case(lambda dtype: Pixels("raw", dtype=dtype), PICTURE, takes_bytes=True),
    "Pixels-centered": Case(lambda dtype: Pixels("centered", mean=MEAN_PICTURE, dtype=dtype), PICTURE, True),
    "Pixels-standardized": Case(lambda dtype: Pixels("standardized", **STATISTICS, dtype=dtype), PICTURE, True),
    "Residual": Case(lambda _: Residual(linear(out_features=6)), (6,)),
    "Residual-shortcut": Case(lambda _: Residual(conv(stride=2), conv(stride=2, use_bias=False)), PICTURE),
    "Sequential": Case(sequential, PICTURE, takes_bytes=True),
    "Sequential-random": Case(lambda dtype: sequential(dtype, 0.5), PICTURE, takes_bytes=True, draws=True),
    "StochasticDepth-pictures": Case(lambda _: StochasticDepth(0.25, name="drop"), PICTURE, draws=True),
    "StochasticDepth-rows": Case(lambda _: StochasticDepth(0.5, name="drop"), (11,), draws=True),
    "SumPool": Case(lambda _: SumPool(2), PICTURE),
    "Whitening": Case(lambda _: Whitening(3, 2, name="whitening"), PICTURE),
}
# One rounding of the compute type, and a few more for sums of products.
TOLERANCE = {tf.float32: 1e-5, tf.bfloat16: 2e-2}
POSITION = 2**33 + 5  # of the batch's first example

each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
each_dtype = pytest.mark.parametrize("dtype", TOLERANCE, ids=lambda dtype: dtype.name)
each_mode = pytest.mark.parametrize("training", [True, False])


def inputs(case: Case, dtype: tf.DType, examples: int = 7) -> tf.Tensor:
    rng = np.random.default_rng(0)
    if case.takes_bytes:
        return tf.constant(rng.integers(0, 256, (examples, *case.shape), np.uint8))
    return tf.cast(rng.normal(size=(examples, *case.shape)), dtype)


def called(layer: Any, x: tf.Tensor, *, training: bool, position: Any = POSITION) -> tf.Tensor:
    """Calls the layer with the key that a training step would give it."""
    return layer(x, training=training, key=Key(0, 0, position) if training else None)


def gradients(layer: tf.Module, x: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns the gradients of a weighted sum, by parameter path and "x"; normalization cannot cancel the weights."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.cast(called(layer, x, training=True), tf.float32)
        loss = tf.reduce_sum(y * tf.sin(tf.reshape(tf.range(tf.size(y), dtype=tf.float32) ** 1.5, tf.shape(y))))
    return tape.gradient(loss, named_parameters(layer) | {"x": x})


def as_float64(tensor: tf.Tensor) -> np.ndarray:
    return tf.cast(tensor, tf.float64).numpy()


def assert_close(result: tf.Tensor, expected: tf.Tensor, tolerance: float, what: str = "") -> None:
    """Compares with a tolerance relative to the largest number."""
    expected = as_float64(expected)
    np.testing.assert_allclose(
        as_float64(result), expected, rtol=0, atol=tolerance * np.abs(expected).max(), err_msg=what
    )


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
    called(layer, inputs(case, dtype), training=True)
    after = named_variables(layer)
    assert list(after) == list(before)
    assert all(after[path] is before[path] for path in before)


@each_case
@each_dtype
@each_mode
def test_the_result_has_the_compute_type_and_a_row_for_each_example(
    case: Case, dtype: tf.DType, training: bool
) -> None:
    result = called(case.make(dtype), inputs(case, dtype), training=training)
    assert result.dtype == dtype
    assert result.shape[0] == 7
    assert np.isfinite(as_float64(result)).all()


@each_case
@each_mode
def test_bfloat16_agrees_with_float32_to_rounding(case: Case, training: bool) -> None:
    x = inputs(case, tf.bfloat16)
    low, full = case.make(tf.bfloat16), case.make(tf.float32)
    wide = x if case.takes_bytes else tf.cast(x, tf.float32)
    expected = called(full, wide, training=training)
    assert_close(called(low, x, training=training), expected, TOLERANCE[tf.bfloat16])
    for path, variable in named_variables(low).items():
        assert_close(variable, named_variables(full)[path], 1e-5, path)


@each_case
def test_gradients_in_bfloat16_agree_with_float32_to_rounding(case: Case) -> None:
    x = tf.cast(inputs(case, tf.bfloat16), tf.bfloat16)
    low, full = gradients(case.make(tf.bfloat16), x), gradients(case.make(tf.float32), tf.cast(x, tf.float32))
    for path, gradient in low.items():
        assert_close(gradient, full[path], TOLERANCE[tf.bfloat16], path)


@pytest.mark.sampled(3)
@each_case
@each_dtype
@each_mode
def test_eager_equals_compiled(case: Case, dtype: tf.DType, training: bool) -> None:
    x = inputs(case, dtype)
    eager, compiled = case.make(dtype), case.make(dtype)  # two: a layer may move its averages
    expected = called(eager, x, training=training)
    result = tf.function(lambda x: called(compiled, x, training=training))(x)
    assert_close(result, expected, TOLERANCE[dtype])
    for path, variable in named_variables(compiled).items():
        assert_close(variable, named_variables(eager)[path], TOLERANCE[dtype], path)


@pytest.mark.sampled(3)
@each_case
@each_dtype
def test_eager_gradients_equal_compiled_ones(case: Case, dtype: tf.DType) -> None:
    x = tf.cast(inputs(case, dtype), dtype)
    eager, compiled = case.make(dtype), case.make(dtype)
    expected = gradients(eager, x)
    for path, gradient in tf.function(lambda x: gradients(compiled, x))(x).items():
        assert_close(gradient, expected[path], TOLERANCE[dtype], path)


@each_case
def test_one_trace_serves_batches_of_every_size(case: Case) -> None:
    layer = case.make(tf.float32)
    specs = [tf.TensorSpec([None, *case.shape], inputs(case, tf.float32).dtype), tf.TensorSpec([], tf.int64)]
    call = tf.function(lambda x, position: called(layer, x, training=True, position=position), input_signature=specs)
    sizes = (1, 2, 7, 30)
    results = [call(inputs(case, tf.float32, size), tf.constant(size, tf.int64)) for size in sizes]
    assert [result.shape[0] for result in results] == list(sizes)
    assert call.experimental_get_tracing_count() == 1


@each_case
def test_examples_do_not_depend_on_each_other_in_evaluation(case: Case) -> None:
    layer, x = case.make(tf.float32), inputs(case, tf.float32)
    whole = called(layer, x, training=False)
    alone = tf.concat([called(layer, x[row : row + 1], training=False) for row in range(7)], axis=0)
    assert_close(alone, whole, 1e-5)


@each_case
def test_a_divided_batch_gives_what_the_whole_does_unless_the_layer_mixes_examples(case: Case) -> None:
    layer, x = case.make(tf.float32), inputs(case, tf.float32)
    whole = as_float64(called(layer, x, training=True))
    parts = [slice(0, 2), slice(2, 3), slice(3, 7)]
    divided = [called(layer, x[rows], training=True, position=POSITION + rows.start) for rows in parts]
    equal = np.allclose(as_float64(tf.concat(divided, axis=0)), whole, rtol=0, atol=1e-5 * np.abs(whole).max())
    assert equal == (not case.mixes)


@each_case
def test_a_layer_that_draws_depends_on_the_key_and_no_other_does(case: Case) -> None:
    layer, x = case.make(tf.float32), inputs(case, tf.float32)
    here, there = (as_float64(called(layer, x, training=True, position=position)) for position in (0, 7))
    assert np.array_equal(here, there) == (not case.draws)


@each_case
def test_a_layer_that_draws_wants_a_key_to_train_and_no_other_does(case: Case) -> None:
    layer, x = case.make(tf.float32), inputs(case, tf.float32)
    if case.draws:
        with pytest.raises(ConfigError, match="draws at random: call the model with `key`"):
            layer(x, training=True)
    else:
        layer(x, training=True)
    layer(x, training=False)


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
    np.testing.assert_array_equal(called(restored, x, training=False), called(saved, x, training=False))


@each_case
@each_dtype
def test_a_gradient_reaches_every_parameter_and_the_input(case: Case, dtype: tf.DType) -> None:
    x = tf.cast(inputs(case, dtype), dtype)  # mixed pictures are floats
    for name, gradient in gradients(case.make(dtype), x).items():
        assert gradient is not None, name
        assert gradient.dtype == (dtype if name == "x" else tf.float32), name
        assert np.any(as_float64(gradient) != 0), name


@each_case
def test_training_is_a_required_keyword(case: Case) -> None:
    layer, x = case.make(tf.float32), inputs(case, tf.float32)
    call: Any = inspect.signature(layer).parameters
    assert list(call) == ["x", "training", "key"]
    assert call["training"].kind == call["key"].kind == inspect.Parameter.KEYWORD_ONLY
    assert call["key"].default is None
    with pytest.raises(TypeError, match="training"):
        layer(x)
