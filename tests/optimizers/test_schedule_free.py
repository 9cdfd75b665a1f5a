"""Schedule-free AdamW: where gradients are taken, the sequence beside the weights, and Keras as a witness."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from reference import optimizers as reference
from reference.optimizer_rules import ScheduleFreeAdamW as Reference

from tfcore.optimizers import Adam, Group, MaxNorm, ScheduleFreeAdamW
from tfcore.schedules import Constant, WarmUp

START = np.linspace(-1, 1, 6).reshape(3, 2).astype(np.float32)
TARGET = np.linspace(2, -1, 6).reshape(3, 2).astype(np.float32)
SETTINGS = {"beta1": 0.8, "beta2": 0.97, "epsilon": 0.05, "weight_decay": 0.1}
STEPS, RATE, WARMUP = 20, 0.05, 8


def expected(**changed: Any) -> np.ndarray:
    """The path of x on a parabola, in float64."""
    rule, x = Reference(**(SETTINGS | changed)), START.astype(np.float64)
    rows = [x]
    for step in range(STEPS):
        x = rule.update(x, rule.gradient_point(x) - TARGET, RATE * min(1, (step + 1) / WARMUP))
        rows.append(x)
    return np.stack(rows)


def ours() -> np.ndarray:
    w = tf.Variable(START)
    optimizer = ScheduleFreeAdamW({"w": w}, WarmUp(Constant(RATE), WARMUP), **SETTINGS)

    @tf.function(autograph=False)
    def run() -> None:
        with optimizer.at_gradient_point():
            gradient = w - TARGET
        optimizer.apply([gradient])

    rows = [w.numpy()]
    for _ in range(STEPS):
        run()
        rows.append(w.numpy())
    return np.stack(rows)


def distance(path: np.ndarray, other: np.ndarray) -> float:
    update = np.median(np.abs(np.diff(other, axis=0)), axis=0)
    return float((np.abs(path - other) / update).max())


def test_gradients_are_taken_between_the_average_and_the_fast_sequence() -> None:
    path = ours()
    assert distance(path, expected()) < 0.01
    assert distance(path, expected(beta1=0.75)) > 0.1  # the test can fail


def test_fifty_updates_against_keras() -> None:
    gradients = reference.gradients(3, 50, [START.shape])
    # At a lower beta1, Keras 3.15 on TensorFlow takes the new z for the old one when it recovers x from y.
    settings = {"beta1": 0.999999, "beta2": 0.97, "epsilon": 0.05}
    w, theirs = tf.Variable(START), keras.Variable(START)
    optimizer = ScheduleFreeAdamW({"w": w}, RATE, **settings)
    their_optimizer = keras.optimizers.ScheduleFreeAdamW(RATE, beta_1=0.999999, beta_2=0.97, epsilon=0.05)
    rows: list[list[np.ndarray]] = [[START, START]]
    for (gradient,) in gradients:
        optimizer.apply([tf.constant(gradient)])
        their_optimizer.apply([tf.constant(gradient)], [theirs])
        with optimizer.at_gradient_point():  # what Keras' variables hold
            rows.append([w.numpy(), theirs.value.numpy()])
    path, other = np.array(rows).swapaxes(0, 1)
    assert distance(path, other.astype(np.float64)) < 0.01


def moved() -> tuple[ScheduleFreeAdamW, tf.Variable, tf.Variable]:
    """After two updates; the second parameter is frozen."""
    w, frozen = tf.Variable(START), tf.Variable(START)
    groups = [Group("frozen", learning_rate_factor=0)]
    optimizer = ScheduleFreeAdamW({"w": w, "frozen": frozen}, RATE, groups=groups)
    for sign in (1.0, -0.3):
        optimizer.apply([tf.fill([3, 2], sign)] * 2)
    return optimizer, w, frozen


def test_the_weights_come_back_to_the_bit_whatever_happens_inside() -> None:
    optimizer, w, frozen = moved()
    before = w.numpy()

    def fail() -> None:
        with optimizer.at_gradient_point():
            assert np.all(w.numpy() != before)
            np.testing.assert_array_equal(frozen, START)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    np.testing.assert_array_equal(w, before)


def test_other_methods_leave_the_weights_in_place_without_an_operation() -> None:
    optimizer = Adam({"w": tf.Variable(START)})

    def enter() -> None:
        with optimizer.at_gradient_point():
            pass

    assert tf.function(enter, autograph=False).get_concrete_function().graph.get_operations() == []


def test_constraints_are_of_the_fast_sequence_too() -> None:
    w = tf.Variable(0.1 * START)
    optimizer = ScheduleFreeAdamW({"w": w}, 1.0, constraints={"w": MaxNorm(0.5)})
    for _ in range(3):
        optimizer.apply([tf.constant(TARGET)])
        for values in (optimizer.slots["z"]["w"], w):
            assert np.linalg.norm(values, axis=0).max() <= 0.5 * (1 + 1e-6)


def test_it_starts_again_at_weights_that_were_loaded() -> None:
    w = tf.Variable(START)
    optimizer = ScheduleFreeAdamW({"w": w}, RATE)
    w.assign(TARGET)
    optimizer.restart_from_weights()
    optimizer.apply([tf.zeros([3, 2])])
    np.testing.assert_array_equal(w, TARGET)


def test_a_rate_of_zero_changes_nothing() -> None:
    w = tf.Variable(START)
    optimizer = ScheduleFreeAdamW({"w": w}, lambda step: tf.cast(step, tf.float32))
    optimizer.apply([tf.ones([3, 2])])
    np.testing.assert_array_equal(w, START)
    optimizer.apply([tf.ones([3, 2])])
    assert np.all(w.numpy() < START)


def test_the_average_still_moves_after_a_hundred_million_updates() -> None:
    w = tf.Variable(START)
    optimizer = ScheduleFreeAdamW({"w": w}, RATE)
    total, square = optimizer.slots["squared_rates"]["w"], np.float64(np.float32(RATE)) ** 2
    total.assign(1e8 * square)
    optimizer.apply([tf.ones([3, 2])])
    np.testing.assert_allclose(total / square, 1e8 + 1, rtol=1e-13)
