"""Every model: its size, its names, its start, and its logits against NumPy float64."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from reference import models as reference

from tfcore import models
from tfcore.errors import ConfigError
from tfcore.layers import Pixels
from tfcore.modules import named_parameters, named_variables

CIFAR, MNIST = (32, 32, 3), (28, 28, 1)


@dataclass(frozen=True)
class Case:
    """A model of one size, and what it must turn out to be."""

    model: Callable[..., tf.Module]
    image_shape: tuple[int, int, int]
    sizes: dict[str, Any]
    widths: tuple[int, ...]  # from the pixels to the classes
    parameters: int

    @property
    def layers(self) -> list[str]:
        """The names of the layers that have weights, from the pixels up."""
        return [*(f"hidden_{number}" for number in range(1, len(self.widths) - 1)), "logits"]


CASES = {
    "softmax-cifar": Case(models.Softmax, CIFAR, {}, (3072, 10), 30_730),
    "softmax-mnist": Case(models.Softmax, MNIST, {}, (784, 10), 7_850),
    "mlp-cifar": Case(models.Mlp, CIFAR, {}, (3072, 120, 10), 3072 * 120 + 120 + 120 * 10 + 10),
    "mlp-mnist": Case(models.Mlp, MNIST, {"hidden": (50, 50)}, (784, 50, 50, 10), 42_310),
    "mlp-none-hidden": Case(models.Mlp, MNIST, {"hidden": ()}, (784, 10), 7_850),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def build(case: Case, *, seed: int = 0, dtype: tf.DType = tf.float32, **sizes: Any) -> tf.Module:
    pixels = Pixels("unit", dtype=dtype)
    return case.model(case.image_shape, 10, pixels=pixels, seed=seed, dtype=dtype, **(case.sizes | sizes))


def images(case: Case, count: int = 6) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *case.image_shape), np.uint8)


def disturb(model: tf.Module) -> None:
    """Gives every parameter, zeros included, a value that its logits depend on."""
    rng = np.random.default_rng(1)
    for variable in named_parameters(model).values():
        variable.assign_add(rng.normal(scale=0.05, size=variable.shape))


def expected_logits(case: Case, model: tf.Module) -> np.ndarray:
    found = named_parameters(model)
    layers = [(found[f"{name}.weights"].numpy(), found[f"{name}.biases"].numpy()) for name in case.layers]
    return reference.mlp(images(case), layers)


def test_every_model_is_in_the_table() -> None:
    files = [importlib.import_module(f"tfcore.models.{file.name}") for file in pkgutil.iter_modules(models.__path__)]
    defined = {
        value
        for file in files
        for value in vars(file).values()
        if inspect.isclass(value) and issubclass(value, tf.Module) and value.__module__ == file.__name__
    }
    public = {getattr(models, name) for name in models.__all__}
    assert {cls for cls in defined if not cls.__name__.startswith("_")} == public
    assert public == {case.model for case in CASES.values()}


@each_case
def test_names_and_shapes_of_the_parameters(case: Case) -> None:
    found = named_parameters(build(case))
    shapes = list(zip(case.widths, case.widths[1:], strict=False))
    expected = {f"{name}.weights": shape for name, shape in zip(case.layers, shapes, strict=True)}
    expected |= {f"{name}.biases": shape[1:] for name, shape in zip(case.layers, shapes, strict=True)}
    assert {path: tuple(variable.shape) for path, variable in found.items()} == expected


@each_case
def test_number_of_parameters(case: Case) -> None:
    model = build(case)
    assert sum(variable.shape.num_elements() for variable in named_parameters(model).values()) == case.parameters
    assert set(named_variables(model)) == set(named_parameters(model))  # unit pixels keep no statistics


@each_case
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [(tf.float32, 2e-6), (tf.bfloat16, 3e-2)])
def test_logits(case: Case, dtype: tf.DType, tolerance: float, training: bool) -> None:
    model = build(case, dtype=dtype)
    disturb(model)
    logits = model(tf.constant(images(case)), training=training)
    assert logits.dtype == dtype
    assert logits.shape == (6, 10)
    expected = expected_logits(case, model)
    np.testing.assert_allclose(tf.cast(logits, tf.float64), expected, rtol=0, atol=tolerance * np.abs(expected).max())


@each_case
def test_bytes_and_floats_of_the_same_pictures_give_the_same_logits(case: Case) -> None:
    model = build(case)
    disturb(model)
    from_bytes = model(tf.constant(images(case)), training=False)
    np.testing.assert_array_equal(model(tf.cast(images(case), tf.float32), training=False), from_bytes)


@each_case
def test_one_trace_serves_batches_of_every_size(case: Case) -> None:
    model = build(case)
    spec = tf.TensorSpec([None, *case.image_shape], tf.uint8)
    call = tf.function(lambda x: model(x, training=False), input_signature=[spec])
    assert [call(images(case, count)).shape[0] for count in (1, 2, 5)] == [1, 2, 5]
    assert call.experimental_get_tracing_count() == 1


@each_case
def test_initial_values_depend_on_the_seed_alone(case: Case) -> None:
    first, again, other = (named_parameters(build(case, seed=seed, initializer="he")) for seed in (1, 1, 2))
    in_bfloat16 = named_parameters(build(case, seed=1, initializer="he", dtype=tf.bfloat16))
    for path, variable in first.items():
        np.testing.assert_array_equal(again[path], variable)
        np.testing.assert_array_equal(in_bfloat16[path], variable)
        assert path.endswith("biases") or np.all(other[path].numpy() != variable.numpy())


def test_equal_layers_of_one_model_start_from_different_weights() -> None:
    model = models.Mlp(MNIST, 50, pixels=Pixels("unit"), seed=0, hidden=(50, 50))
    assert np.all(model.hidden_2.weights.numpy() != model.logits.weights.numpy())


def test_a_softmax_starts_from_zeros() -> None:
    model = build(CASES["softmax-cifar"])
    assert all(not np.any(variable.numpy()) for variable in model.variables)


def test_the_pinned_start_of_an_mlp() -> None:
    # Whoever changes these numbers changes the results of every seed.
    model = models.Mlp((1, 1, 4), 2, pixels=Pixels("unit"), seed=0, hidden=(3,))
    pinned = [[0.583884, -0.2121496, 0.5256256], [0.1041434, -0.51620936, 0.4637864]]
    np.testing.assert_allclose(model.hidden_1.weights[:2], pinned, rtol=1e-6)


def test_a_hidden_layer_without_units_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"`hidden` must be an integer of at least 1. Received 0"):
        build(CASES["mlp-mnist"], hidden=(50, 0))


@each_case
def test_an_unknown_initializer_is_refused(case: Case) -> None:
    with pytest.raises(ConfigError, match=r"`initializer` must be one of zeros, .*Received 'ones'"):
        build(case, initializer="ones")
