"""One layer after the other, and those that become one in training."""

from collections.abc import Callable, Sequence
from typing import Any

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st
from reference.graphs import kernels, operations

from tfcore import ops
from tfcore.errors import ConfigError, ShapeError
from tfcore.layers import Activation, AveragePool, Dropout, Linear, MaxPool, Pixels, Sequential
from tfcore.models import CifarCnn
from tfcore.modules import named_parameters, named_variables
from tfcore.seeds import Key

X = tf.constant(np.random.default_rng(0).normal(size=(5, 6)), tf.float32)
KEY = Key(3, 0, 2**33)
LAYERS: dict[str, Callable[[int], tf.Module]] = {
    "relu": lambda _: Activation("relu"),
    "gelu": lambda _: Activation("gelu"),
    "max": lambda _: MaxPool(2),
    "average": lambda _: AveragePool(2),
    "dropout": lambda number: Dropout(0.5, name=f"dropout_{number}"),
    "no_dropout": lambda number: Dropout(0.0, name=f"dropout_{number}"),
}
RNG = np.random.default_rng(1)
PICTURES = {
    "random": RNG.normal(size=(5, 8, 8, 3)),
    "odd_sizes": RNG.normal(size=(5, 7, 9, 3)),
    "one_window": RNG.normal(size=(1, 2, 2, 1)),
    "windows_below_zero": RNG.normal(size=(5, 8, 8, 3)) - 1,
    "nothing_above_zero": -np.abs(RNG.normal(size=(5, 8, 8, 3))),
    "ties": RNG.integers(-1, 2, (5, 8, 8, 3)),
    "zeros": np.zeros((5, 8, 8, 3)),
}

each_picture = pytest.mark.parametrize("pictures", PICTURES.values(), ids=PICTURES)
each_fusion = pytest.mark.parametrize("names", ["relu dropout", "relu max dropout"])
each_dtype = pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16], ids=lambda dtype: dtype.name)


class Recorder(tf.Module):
    """Adds its number to x, and keeps what it was called with."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number, self.seen = number, []

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        self.seen.append((training, key))
        return x * 10 + self.number


def chain(names: str) -> Sequential:
    return Sequential({f"{name}_{number}": LAYERS[name](number) for number, name in enumerate(names.split())})


def in_turn(model: Sequential, x: tf.Tensor, training: bool = True) -> tf.Tensor:
    """Each layer called by itself."""
    for name in model._order:
        x = getattr(model, name)(x, training=training, key=KEY)
    return x


def with_gradient(call: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The result of a call, and the gradient of a sum in which no number weighs as much as another."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = call(x)
        weights = tf.reshape(tf.sin(tf.range(1, tf.size(y) + 1, dtype=tf.float32)), tf.shape(y))
        loss = tf.reduce_sum(tf.cast(y, tf.float32) * weights)
    return y, tape.gradient(loss, x)


def traced(model: Sequential, x: tf.Tensor, *, training: bool = True) -> Any:
    def run(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return with_gradient(lambda x: model(x, training=training, key=KEY), x)

    return tf.function(run).get_concrete_function(x)


def assert_equal(results: Sequence[tf.Tensor], expected: Sequence[tf.Tensor], tolerance: float = 0.0) -> None:
    for result, other in zip(results, expected, strict=True):
        assert result.dtype == other.dtype
        result, other = (tf.cast(tensor, tf.float32) for tensor in (result, other))
        np.testing.assert_allclose(result, other, rtol=tolerance, atol=tolerance)


def test_values() -> None:
    first, last = Linear(6, 8, name="first", seed=0), Linear(8, 3, name="last", seed=0)
    model = Sequential({"first": first, "relu": Activation("relu"), "last": last})
    expected = np.maximum(X.numpy().astype(np.float64) @ first.weights.numpy(), 0) @ last.weights.numpy()
    np.testing.assert_allclose(model(X, training=False), expected, rtol=0, atol=1e-6)


def test_layers_are_called_in_the_order_given_not_in_that_of_their_names() -> None:
    model = Sequential({"z": Recorder(1), "a": Recorder(2), "m": Recorder(3)})
    assert int(model(tf.constant(0), training=False)) == 123


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("compiled", [True, False])
def test_training_and_key_reach_every_layer(training: bool, compiled: bool) -> None:
    recorders = {"z": Recorder(1), "a": Recorder(2)}
    key = Key(1, 2, 3)
    model = Sequential(recorders)

    def run(x: tf.Tensor) -> tf.Tensor:
        return model(x, training=training, key=key) + model(x, training=training)

    result = (tf.function(run, autograph=False) if compiled else run)(tf.constant(0))
    assert int(result) == 24
    for recorder in recorders.values():
        assert list(recorder.seen) == [(training, key), (training, None)]


@pytest.mark.sampled(6)
@each_picture
@each_dtype
@each_fusion
def test_relu_pool_and_dropout_as_one_are_what_they_are_one_after_the_other(
    names: str, pictures: np.ndarray, dtype: tf.DType
) -> None:
    model, x = chain(names), tf.cast(pictures, dtype)
    fused = traced(model, x)
    assert len(kernels(fused)) == 2
    assert not operations(fused) & {"Relu", "ReluGrad"}
    expected = with_gradient(lambda x: in_turn(model, x), x)
    assert_equal(fused(x), expected)
    with ops.plain():
        plain = traced(model, x)
    assert operations(plain) >= {"Relu", "ReluGrad"}
    assert_equal(plain(x), expected)
    unknown = tf.function(lambda x: model(x, training=True, key=KEY))
    several = unknown.get_concrete_function(tf.TensorSpec([None, *x.shape[1:]], dtype))
    assert_equal([several(x)], expected[:1])


@each_fusion
@each_dtype
def test_what_is_not_a_number_shows_as_it_does_one_after_the_other(names: str, dtype: tf.DType) -> None:
    # Max pooling skips what is not a number, and makes the lowest number of a window where nothing is left. Weights
    # that have diverged fill all windows so: were that zero after the ReLU, the loss would stay finite.
    pictures = PICTURES["random"].copy()
    pictures[::2, ::3, ::3] = np.nan
    pictures[1] = np.nan
    model, x = chain(names), tf.cast(pictures, dtype)
    y, expected = (tf.cast(result, tf.float32) for result in (traced(model, x)(x)[0], in_turn(model, x)))
    assert 0.4 < np.mean(~np.isfinite(expected[1])) < 0.6
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize(
    ("names", "relus", "calls"),
    [
        ("relu average dropout", 1, 2),
        ("gelu dropout", 0, 4),
        ("gelu max dropout", 0, 4),
        ("relu no_dropout", 1, 0),
        ("relu max no_dropout", 1, 0),
        ("relu max max dropout", 1, 2),
        ("relu max", 1, 0),
        ("relu", 1, 0),
        ("max dropout", 0, 2),
        ("dropout relu", 1, 2),
        ("relu gelu dropout", 1, 4),
        ("relu no_dropout dropout", 1, 2),
        ("relu relu dropout", 1, 2),
        ("relu max relu max dropout", 1, 2),
        ("relu dropout relu max dropout dropout", 0, 6),
    ],
)
def test_which_layers_become_one_and_what_the_others_stay(names: str, relus: int, calls: int) -> None:
    model, x = chain(names), tf.constant(PICTURES["random"], tf.float32)
    graph = traced(model, x)
    assert len(kernels(graph)) == calls
    kinds = [operation.type for operation in graph.graph.get_operations()]
    assert kinds.count("Relu") == relus
    assert kinds.count("StatelessRandomUniformFullIntV2") == names.split().count("dropout")
    assert_equal(graph(x), with_gradient(lambda x: in_turn(model, x), x), 1e-6)


@pytest.mark.thorough
@hypothesis.given(names=st.lists(st.sampled_from(sorted(LAYERS)), max_size=5))
@hypothesis.settings(max_examples=20)
def test_any_layers_in_any_order_are_what_they_are_one_after_the_other(names: list[str]) -> None:
    model = chain(" ".join(names))
    x = tf.constant(np.random.default_rng(2).normal(size=(2, 33, 34, 2)), tf.float32)
    assert_equal(traced(model, x)(x), with_gradient(lambda x: in_turn(model, x), x), 1e-6)


@each_dtype
@each_fusion
def test_outside_training_nothing_is_changed(names: str, dtype: tf.DType) -> None:
    model, x = chain(names), tf.cast(PICTURES["odd_sizes"], dtype)
    graph = traced(model, x, training=False)
    assert kernels(graph) == []
    kinds = [operation.type for operation in graph.graph.get_operations()]
    assert "Relu" in kinds[: kinds.index("MaxPool")] if "max" in names else "Relu" in kinds
    assert_equal(graph(x), with_gradient(lambda x: in_turn(model, x, training=False), x))


def test_layers_as_one_still_want_a_key_and_known_sizes() -> None:
    model = chain("relu dropout")
    without = tf.function(lambda x: model(x, training=True), autograph=False)
    with pytest.raises(ConfigError, match="Layer 'dropout_1' draws at random: call the model with `key`"):
        without.get_concrete_function(X)
    unknown = tf.function(lambda x: model(x, training=True, key=KEY), autograph=False)
    with pytest.raises(ShapeError, match=r"Layer 'dropout_1' takes x whose dimensions are known except N"):
        unknown.get_concrete_function(tf.TensorSpec([None, None]))


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("activation", "dtype", "tolerance"),
    [("relu", tf.float32, 1e-5), ("relu", tf.bfloat16, 2e-2), ("gelu", tf.float32, 1e-5), ("silu", tf.bfloat16, 2e-2)],
)
def test_the_gradients_of_a_network_are_those_of_its_plain_form(
    activation: str, dtype: tf.DType, tolerance: float
) -> None:
    rng = np.random.default_rng(0)
    images = tf.constant(rng.integers(0, 256, (6, 13, 12, 3), np.uint8))
    labels = tf.constant(rng.integers(0, 10, 6))

    def step(images: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            logits = tf.cast(model(images, training=True, key=KEY), tf.float32)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        return tape.gradient(loss, named_parameters(model)) | {"loss": loss}

    settings = {"filters": (4, 8, 8), "hidden": (16,), "activation": activation, "seed": 0}
    model = CifarCnn((13, 12, 3), 10, pixels=Pixels(dtype=dtype), **settings)
    fast = tf.function(step).get_concrete_function(images)
    with ops.plain():
        plain = tf.function(step).get_concrete_function(images)
    # Forward and backward: four activations and the dropouts after them, and the dropout of the flat numbers.
    assert len(kernels(fast)) == (10 if activation == "relu" else 18)
    assert kernels(plain) == []
    expected = plain(images)
    for path, gradient in fast(images).items():
        size = np.abs(expected[path]).max()
        assert size > 0
        np.testing.assert_allclose(gradient, expected[path], rtol=0, atol=tolerance * size, err_msg=path)


def test_layers_are_attributes_under_their_names() -> None:
    inner = Sequential({"linear": Linear(6, 8, name="linear", seed=0)}, name="inner")
    model = Sequential({"inner": inner})
    assert model.inner is inner
    assert set(named_variables(model)) == {"inner.linear.weights", "inner.linear.biases"}


def test_without_layers_it_is_the_identity() -> None:
    np.testing.assert_array_equal(Sequential({})(X, training=False), X)


@pytest.mark.parametrize("name", ["name", "variables", "submodules", "with_name_scope", "_flatten"])
def test_a_name_that_a_module_already_has_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"A layer cannot be called '{name}': tf.Module has an attribute"):
        Sequential({name: Activation("relu")})
