"""Adafactor: filters as one matrix for each position, Keras as a witness, and gradients far below 1."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from reference import optimizers as reference
from reference.optimizer_rules import Adafactor as Reference

from tfcore.optimizers import Adafactor
from tfcore.schedules import Exponential

STEPS, RATE = 15, 0.01
SHAPES = [(5, 3), (3, 2, 4, 6), (3, 3, 5, 1), (7,), ()]
SETTINGS = {"beta1": 0.0, "scale_by_weights": True, "weight_decay": 0.0}
START = [np.random.default_rng(0).normal(size=shape).astype(np.float32) for shape in SHAPES]
GRADIENTS = reference.gradients(7, STEPS, SHAPES)


def flat(tensors: object) -> np.ndarray:
    return np.concatenate([np.ravel(tensor) for tensor in tensors])


def trained(factor: float = 1.0) -> np.ndarray:
    """The path of all elements, where every gradient is multiplied by the factor."""
    parameters = {f"w{number}": tf.Variable(value) for number, value in enumerate(START)}
    apply = tf.function(Adafactor(parameters, Exponential(RATE, 1, 0.97)).apply, autograph=False)
    rows = [flat(parameters.values())]
    for gradients in GRADIENTS:
        apply([tf.constant(factor * gradient, tf.float32) for gradient in gradients])
        rows.append(flat(parameters.values()))
    return np.stack(rows)


def keras_path() -> np.ndarray:
    variables = [keras.Variable(value) for value in START]
    optimizer = keras.optimizers.Adafactor(RATE)
    rows = [flat(variables)]
    for step, gradients in enumerate(GRADIENTS):
        optimizer.learning_rate = RATE * 0.97**step  # below 1 / sqrt(t), Keras' other bound
        optimizer.apply([tf.constant(gradient) for gradient in gradients], variables)
        rows.append(flat(variables))
    return np.stack(rows)


def assert_near(path: np.ndarray, other: np.ndarray) -> None:
    update = np.median(np.abs(np.diff(other, axis=0)), axis=0)
    assert np.abs((path - other) / update).max() < 0.01


@pytest.fixture(scope="module")
def ours() -> np.ndarray:
    return trained()


def test_filters_against_float64(ours: np.ndarray) -> None:
    rates = [RATE * 0.97**step for step in range(STEPS)]
    assert_near(ours, reference.trajectory(lambda: Reference(**SETTINGS), START, GRADIENTS, rates))


def test_filters_against_keras(ours: np.ndarray) -> None:
    assert_near(ours, keras_path().astype(np.float64))


@pytest.mark.parametrize("factor", [1e-10, 1e10])
def test_the_scale_of_the_gradients_does_not_matter(ours: np.ndarray, factor: float) -> None:
    assert_near(trained(factor), ours.astype(np.float64))


def test_a_matrix_keeps_a_row_and_a_column() -> None:
    parameters = {"weights": tf.Variable(tf.ones([3, 2, 4, 6])), "biases": tf.Variable(tf.ones([6]))}
    shapes = {name: tuple(variable.shape) for name, variable in Adafactor(parameters).variables.items()}
    assert shapes == {"step": (), "row.weights": (3, 2, 4), "column.weights": (3, 2, 6), "v.biases": (6,)}
