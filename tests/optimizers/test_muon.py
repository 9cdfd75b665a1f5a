"""Muon: its iteration, filters as matrices, Keras as a witness, no kernel of XLA, and which parameters it takes."""

import doctest
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from reference import optimizers as reference
from reference.optimizer_rules import Muon as Reference

from tfcore.errors import ConfigError, ShapeError
from tfcore.optimizers import Muon, MuonAndAdamW, Optimizer, muon
from tfcore.schedules import Exponential

STEPS = 50
SHAPES = [(5, 3), (3, 5), (4, 4), (3, 2, 2, 6), (1, 7), (7, 1)]


def parameters(shapes: list[tuple[int, ...]]) -> dict[str, tf.Variable]:
    random = np.random.default_rng(0)
    values = (random.normal(size=shape) for shape in shapes)
    return {f"layer_{i}.weights": tf.Variable(value, dtype=tf.float32) for i, value in enumerate(values)}


def path_of(optimizer: Optimizer, gradients: list[list[np.ndarray]]) -> np.ndarray:
    apply = tf.function(optimizer.apply, autograph=False)
    rows = [np.concatenate([np.ravel(parameter) for parameter in optimizer.parameters])]
    for step_gradients in gradients:
        apply([tf.constant(gradient) for gradient in step_gradients])
        rows.append(np.concatenate([np.ravel(parameter) for parameter in optimizer.parameters]))
    return np.stack(rows)


def assert_near(path: np.ndarray, other: np.ndarray) -> None:
    update = np.median(np.abs(np.diff(other, axis=0)), axis=0)
    assert np.abs((path - other) / update).max() < 0.01


@pytest.mark.parametrize("nesterov", [True, False])
def test_matrices_and_filters_of_every_form_against_float64(nesterov: bool) -> None:
    settings = {"momentum": 0.9, "nesterov": nesterov, "weight_decay": 0.2}
    gradients = reference.gradients(7, STEPS, SHAPES)
    ours = parameters(SHAPES)
    start = [parameter.numpy() for parameter in ours.values()]
    rates = [0.01 * 0.97**step for step in range(STEPS)]
    path = path_of(Muon(ours, Exponential(0.01, 1, 0.97), **settings), gradients)
    assert_near(path, reference.trajectory(lambda: Reference(**settings), start, gradients, rates))


@pytest.mark.parametrize("shape", [(4, 4), (6, 3), (3, 6)])
def test_fifty_updates_against_keras(shape: tuple[int, int]) -> None:
    gradients = reference.gradients(8, STEPS, [shape])
    ours = parameters([shape])
    theirs = keras.Variable(next(iter(ours.values())).numpy(), dtype="float32")
    # Keras' factor for the shape, made ours.
    rms_rate = np.sqrt(max(1, shape[1] / shape[0]) / max(shape))
    optimizer = keras.optimizers.Muon(0.01, momentum=0.9, weight_decay=None, rms_rate=rms_rate)
    rows = [np.ravel(theirs)]
    for (gradient,) in gradients:
        optimizer.apply([tf.constant(gradient)], [theirs])
        rows.append(np.ravel(theirs))
    assert_near(path_of(Muon(ours, 0.01, momentum=0.9), gradients), np.stack(rows))


@pytest.mark.parametrize("shape", [(30, 20), (20, 30), (25, 25), (1, 9)])
def test_singular_values_come_near_to_one(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(2)
    for size in (1e-3, 1.0, 1e6):
        matrix = (size * random.normal(size=shape)).astype(np.float32)
        u, values, v = np.linalg.svd(matrix, full_matrices=False)
        result = muon.orthogonalized(tf.constant(matrix)).numpy()
        new = np.diag(u.T @ result @ v.T)
        assert np.all((new > 0.65) & (new < 1.25))
        np.testing.assert_allclose(result, u * new @ v, atol=2e-4)  # the same directions
        assert values.max() / values.min() < 500


def test_no_gradient_no_step() -> None:
    w = tf.Variable(tf.ones([2, 3]))
    Muon({"w": w}).apply([tf.zeros([2, 3])])
    np.testing.assert_array_equal(w, 1)


@pytest.mark.parametrize("shape", [(300, 300), (3, 3, 100, 100)])
def test_products_are_not_compiled_to_a_kernel(shape: tuple[int, ...]) -> None:
    optimizer = MuonAndAdamW({"hidden.weights": tf.Variable(tf.zeros(shape)), "hidden.biases": tf.Variable([0.0])})
    specs = [tf.TensorSpec(parameter.shape) for parameter in optimizer.parameters]
    definition = tf.function(optimizer.apply).get_concrete_function(specs).graph.as_graph_def()
    assert not any(function.attr["_XlaMustCompile"].b for function in definition.library.function)
    assert sum(node.op == "MatMul" for node in definition.node) == 3 * 5


def test_vectors_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"Received 'b' of shape \(1,\)\. MuonAndAdamW gives such parameters to AdamW"):
        Muon({"w": tf.Variable([[1.0]]), "b": tf.Variable([1.0])})


def by_muon(optimizer: MuonAndAdamW) -> set[str]:
    """The paths that Muon trains: AdamW has a second slot."""
    return set(optimizer.paths) - set(optimizer.slots.get("v", {}))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"conv_1.weights", "block.hidden.weights"}),
        ({"muon_variables": "conv"}, {"conv_1.weights"}),  # biases never
        ({"muon_variables": ""}, {"conv_1.weights", "block.hidden.weights", "logits.weights", "embedding.weights"}),
    ],
)
def test_which_parameters_muon_trains(given: dict[str, Any], expected: set[str]) -> None:
    shapes = {"conv_1.weights": [3, 3, 2, 2], "conv_1.biases": [2], "norm.scale": [2], "embedding.weights": [5, 2]}
    shapes |= {"block.hidden.weights": [2, 2], "logits.weights": [2, 2]}
    model = {path: tf.Variable(tf.ones(shape)) for path, shape in shapes.items()}
    assert by_muon(MuonAndAdamW(model, **given)) == expected


def test_nothing_for_muon_is_refused() -> None:
    model = {"logits.weights": tf.Variable([[1.0]]), "logits.biases": tf.Variable([1.0])}
    with pytest.raises(ConfigError, match=r"`muon_variables` must match a parameter of two .* none of logits\.weights"):
        MuonAndAdamW(model)
    with pytest.raises(ConfigError, match="`muon_variables` must be a regular expression"):
        MuonAndAdamW(model, muon_variables="(")


def test_the_docstring_examples_run() -> None:
    result = doctest.testmod(muon)
    assert result.attempted > 0
    assert result.failed == 0


def test_depthwise_filters_are_left_to_adamw() -> None:
    shapes = {"depthwise_1.weights": (3, 3, 8, 1), "conv.weights": (3, 3, 8, 4), "scale": ()}
    optimizer = MuonAndAdamW({path: tf.Variable(tf.ones(shape)) for path, shape in shapes.items()})
    assert {path for path in shapes if f"v.{path}" in optimizer.variables} == {"depthwise_1.weights", "scale"}
