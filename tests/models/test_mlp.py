"""The multi-layer perceptron against NumPy float64, its names and its start."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from reference import models as reference

from tfcore.errors import ConfigError
from tfcore.layers import Pixels
from tfcore.layers.activation import ACTIVATIONS
from tfcore.models import Mlp
from tfcore.modules import named_parameters

MNIST = (28, 28, 1)
IMAGES = np.random.default_rng(0).integers(0, 256, (6, *MNIST), np.uint8)

each_hidden = pytest.mark.parametrize("hidden", [(), (120,), (50, 50), (9, 8, 7)], ids=str)


def mlp(hidden: tuple[int, ...], *, dtype: tf.DType = tf.float32, activation: str = "relu") -> Mlp:
    """With all its parameters away from zero."""
    model = Mlp(MNIST, 10, pixels=Pixels(dtype=dtype), seed=0, hidden=hidden, activation=activation)
    rng = np.random.default_rng(1)
    for variable in named_parameters(model).values():
        variable.assign_add(rng.normal(scale=0.05, size=variable.shape))
    return model


def layer_names(hidden: tuple[int, ...]) -> list[str]:
    return [*(f"hidden_{number}" for number in range(1, len(hidden) + 1)), "logits"]


@each_hidden
def test_names_and_shapes_of_the_parameters(hidden: tuple[int, ...]) -> None:
    sizes = zip(layer_names(hidden), itertools.pairwise((784, *hidden, 10)), strict=True)
    expected = {}
    for name, (features, units) in sizes:
        expected |= {f"{name}.weights": (features, units), f"{name}.biases": (units,)}
    assert {path: tuple(variable.shape) for path, variable in named_parameters(mlp(hidden)).items()} == expected


@pytest.mark.sampled(7)
@each_hidden
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(tf.float32, 2e-6), (tf.bfloat16, 3e-2)])
def test_logits(hidden: tuple[int, ...], activation: str, dtype: tf.DType, tolerance: float, training: bool) -> None:
    model = mlp(hidden, dtype=dtype, activation=activation)
    found = named_parameters(model)
    layers = [(found[f"{name}.weights"].numpy(), found[f"{name}.biases"].numpy()) for name in layer_names(hidden)]
    expected = reference.mlp(IMAGES, layers, activation)
    logits = tf.cast(model(tf.constant(IMAGES), training=training), tf.float64)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def test_equal_layers_of_one_model_start_from_different_weights() -> None:
    model = Mlp(MNIST, 50, pixels=Pixels(), seed=0, hidden=(50, 50))
    assert np.all(model.hidden_2.weights.numpy() != model.logits.weights.numpy())


def test_the_pinned_start() -> None:
    # Whoever changes these numbers changes the results of every seed.
    model = Mlp((1, 1, 4), 2, pixels=Pixels(), seed=0, hidden=(3,))
    pinned = [[0.583884, -0.2121496, 0.5256256], [0.1041434, -0.51620936, 0.4637864]]
    np.testing.assert_allclose(model.hidden_1.weights[:2], pinned, rtol=1e-6)


def test_a_hidden_layer_without_units_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"`hidden` must be an integer of at least 1. Received 0"):
        Mlp(MNIST, 10, pixels=Pixels(), seed=0, hidden=(50, 0))
