"""Averages against NumPy float64 and TensorFlow's own, and the exchange with the weights."""

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from reference.optimizer_rules import moving_average
from reference.optimizers import gradients

from tfcore.errors import ConfigError
from tfcore.optimizers import Adam, GradientDescent, MaxNorm, Optimizer
from tfcore.optimizers.averages import average_share

SHAPES = {"hidden.weights": (3, 4), "hidden.biases": (4,)}
GRADIENTS = gradients(9, 20, list(SHAPES.values()))


def build(average_decay: float | None) -> Adam:
    parameters = {path: tf.Variable(tf.fill(shape, 0.3)) for path, shape in SHAPES.items()}
    return Adam(parameters, 0.1, average_decay=average_decay)


def train(optimizer: Optimizer, all_gradients: list[list[np.ndarray]] = GRADIENTS) -> list[list[np.ndarray]]:
    """The parameters before the first update and after each."""
    apply = tf.function(optimizer.apply, autograph=False)
    path = [values(optimizer.parameters)]
    for step_gradients in all_gradients:
        apply([tf.constant(gradient) for gradient in step_gradients])
        path.append(values(optimizer.parameters))
    return path


def restore(saved: Optimizer, target: Optimizer) -> None:
    """Gives an optimizer's parameters and variables the values of another's."""
    for source, parameter in zip(saved.parameters, target.parameters, strict=True):
        parameter.assign(source)
    for key, variable in target.variables.items():
        variable.assign(saved.variables[key])


def values(variables: Iterable[tf.Variable]) -> list[np.ndarray]:
    return [variable.numpy().copy() for variable in variables]


def assert_equal(left: list[np.ndarray], right: list[np.ndarray]) -> None:
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(a, b)


def test_averages_start_at_the_weights_beside_them_and_are_kept() -> None:
    optimizer = build(0.9)
    keys = [f"{name}.{path}" for name in ("m", "v", "average") for path in SHAPES]
    assert list(optimizer.variables) == ["step", *keys]
    for path, parameter in zip(SHAPES, optimizer.parameters, strict=True):
        average = optimizer.averages[path]
        assert average is optimizer.variables[f"average.{path}"]
        np.testing.assert_array_equal(average, parameter)
        assert (average.dtype, average.device, average.trainable) == (tf.float32, parameter.device, False)


def test_without_a_decay_there_is_no_average() -> None:
    optimizer = build(None)
    assert optimizer.averages == {}
    assert not [key for key in optimizer.variables if key.startswith("average")]


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.6, 0.999])
def test_averages_follow_the_weights(decay: float) -> None:
    optimizer = build(decay)
    path = train(optimizer)
    for average, weights in zip(optimizer.averages.values(), zip(*path, strict=True), strict=True):
        np.testing.assert_allclose(average, moving_average(list(weights), decay), rtol=1e-5, atol=1e-7)


def test_averages_are_those_of_tensorflow() -> None:
    decay, updates = 0.5, tf.Variable(0)  # 0.1, 0.18, … 0.47, 0.5, 0.5
    optimizer = build(decay)
    theirs = tf.train.ExponentialMovingAverage(decay, num_updates=updates)
    theirs.apply(optimizer.parameters)  # makes its variables, of the present weights
    for step, step_gradients in enumerate(GRADIENTS):
        updates.assign(step)
        optimizer.apply([tf.constant(gradient) for gradient in step_gradients])
        theirs.apply(optimizer.parameters)
    for parameter, average in zip(optimizer.parameters, optimizer.averages.values(), strict=True):
        np.testing.assert_allclose(average, theirs.average(parameter), rtol=1e-5)


def test_early_averages_are_not_the_initial_weights() -> None:
    w = tf.Variable([1.0])
    optimizer = GradientDescent({"w": w}, 1.0, average_decay=0.9999)
    for _ in range(10):
        optimizer.apply([tf.constant([0.0])])
        w.assign([0.0])  # as if the first update had gone there
    assert 0 < float(optimizer.averages["w"][0]) < 1e-3


def test_the_share_of_new_weights_is_exact_at_every_step() -> None:
    for t in (0, 1, 8, 9989, 9990, 9991, 10**9):
        share = average_share(0.9991, tf.constant(t, tf.int64))
        assert share.dtype == tf.float32
        np.testing.assert_allclose(share, 1 - min(0.9991, (1 + t) / (10 + t)), rtol=1e-7)


def test_a_resumed_average_equals_an_uninterrupted_one() -> None:
    whole, first, second = (build(0.5) for _ in range(3))
    train(whole)
    train(first, GRADIENTS[:7])
    restore(first, second)
    train(second, GRADIENTS[7:])
    assert_equal(values(whole.parameters), values(second.parameters))
    assert_equal(values(whole.averages.values()), values(second.averages.values()))


def test_averaged_weights_are_there_while_it_lasts() -> None:
    optimizer, undisturbed = build(0.9), build(0.9)
    evaluate = tf.function(lambda: [tf.identity(parameter) for parameter in optimizer.parameters])
    train(optimizer, GRADIENTS[:9])
    weights, averages = values(optimizer.parameters), values(optimizer.averages.values())
    assert all((a != b).any() for a, b in zip(weights, averages, strict=True))
    with optimizer.averaged_weights():
        assert_equal([tensor.numpy() for tensor in evaluate()], averages)
    assert_equal([tensor.numpy() for tensor in evaluate()], weights)
    train(optimizer, GRADIENTS[9:])
    train(undisturbed)
    assert_equal(values(optimizer.variables.values()), values(undisturbed.variables.values()))


def test_the_weights_come_back_where_an_evaluation_fails() -> None:
    optimizer = build(0.9)
    train(optimizer, GRADIENTS[:9])
    weights, averages = values(optimizer.parameters), values(optimizer.averages.values())
    with pytest.raises(ZeroDivisionError), optimizer.averaged_weights():
        raise ZeroDivisionError
    assert_equal(values(optimizer.parameters), weights)
    assert_equal(values(optimizer.averages.values()), averages)


def test_averages_start_again_at_weights_that_were_loaded() -> None:
    optimizer = build(0.9)
    train(optimizer, GRADIENTS[:3])
    for parameter in optimizer.parameters:
        parameter.assign(parameter * 2 + 1)
    optimizer.restart_from_weights()
    assert_equal(values(optimizer.averages.values()), values(optimizer.parameters))
    without = build(None)
    without.restart_from_weights()
    assert without.averages == {}


def test_averaged_weights_need_an_average() -> None:
    with pytest.raises(ConfigError, match="construct with `average_decay`"):
        build(None).averaged_weights()


def test_slow_weights_and_averages_start_again_at_weights_that_were_loaded() -> None:
    w = tf.Variable([1.0, -2.0])
    optimizer = GradientDescent({"w": w}, 0.5, lookahead_steps=1, average_decay=0.9)
    w.assign([8.0, 4.0])
    optimizer.restart_from_weights()
    optimizer.apply([tf.zeros([2])])
    assert w.numpy().tolist() == [8.0, 4.0]
    assert optimizer.variables["average.w"].numpy().tolist() == [8.0, 4.0]


def test_slow_weights_obey_the_constraint_from_the_first() -> None:
    w = tf.Variable([[3.0], [4.0]])
    optimizer = GradientDescent({"w": w}, 0.5, lookahead_steps=1, constraints={"w": MaxNorm(1.0)})
    optimizer.apply([tf.zeros([2, 1])])
    np.testing.assert_allclose(np.linalg.norm(w.numpy()), 1.0, rtol=1e-6)


@pytest.mark.parametrize(
    ("first", "every", "taken"),
    [(5, 1, range(5, 21)), (3, 4, [3, 7, 11, 15, 19]), (Fraction(9, 2), Fraction(10, 3), [5, 8, 12, 15, 18])],
)
def test_an_equal_average_is_the_mean_of_its_weights(first: Fraction, every: Fraction, taken: list[int]) -> None:
    parameters = {path: tf.Variable(tf.fill(shape, 0.3)) for path, shape in SHAPES.items()}
    optimizer = Adam(parameters, 0.1, average_from_steps=first, average_every_steps=every)
    apply, path = tf.function(optimizer.apply, autograph=False), [values(optimizer.parameters)]
    for number, step_gradients in enumerate(GRADIENTS, start=1):
        apply([tf.constant(gradient) for gradient in step_gradients])
        path.append(values(optimizer.parameters))
        used = [path[step] for step in taken if step <= number]
        if not used or number == taken[0]:  # up to its first weights, the average is the present ones
            assert_equal(values(optimizer.averages.values()), path[-1])
            continue
        for average, *weights in zip(optimizer.averages.values(), *used, strict=True):
            mean = np.mean(np.asarray(weights, np.float64), axis=0)
            np.testing.assert_allclose(average, mean, rtol=0, atol=1e-6)  # an update is about 0.1


def test_an_equal_average_resumes_between_its_weights() -> None:
    def make() -> Adam:
        parameters = {path: tf.Variable(tf.fill(shape, 0.3)) for path, shape in SHAPES.items()}
        return Adam(parameters, 0.1, average_from_steps=3, average_every_steps=Fraction(5, 2))

    whole, first, second = make(), make(), make()
    train(whole)
    train(first, GRADIENTS[:7])
    restore(first, second)
    train(second, GRADIENTS[7:])
    assert_equal(values(whole.averages.values()), values(second.averages.values()))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"average_from_steps": 0}, "`average_from_steps` must be above 0"),
        ({"average_from_steps": 3, "average_every_steps": 0}, "`average_every_steps` must be above 0"),
        ({"average_every_steps": 2}, "belongs to `average_from_steps`"),
        ({"average_from_steps": 3, "average_decay": 0.9}, "there is one average"),
    ],
)
def test_settings_of_an_equal_average_are_checked(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Adam({"w": tf.Variable([1.0])}, 0.1, **settings)
