"""Every method against NumPy float64 and Keras, over 50 updates; and that the comparison can fail."""

import doctest
import inspect
from dataclasses import replace
from functools import cache, partial
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from reference import optimizers as reference
from reference.optimizers import CASES, Case

from tfcore import optimizers
from tfcore.schedules import Exponential

STEPS = 50
START = {"hidden.weights": np.linspace(-1, 1, 12).reshape(3, 4), "hidden.biases": np.array([0.5, -0.5]), "scale": 0.1}
GRADIENTS = reference.gradients(3, STEPS, [np.shape(value) for value in START.values()])

cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def variables() -> dict[str, tf.Variable]:
    return {path: tf.Variable(value, dtype=tf.float32) for path, value in START.items()}


def flat(tensors: Any) -> np.ndarray:
    return np.concatenate([np.ravel(tensor) for tensor in tensors])


def rates(case: Case) -> list[float]:
    return [reference.learning_rate(case, step) for step in range(STEPS)]


def expected(case: Case, *, form: type | None = None, **wrong: Any) -> np.ndarray:
    start = [np.float32(value) for value in START.values()]
    settings = case.settings | wrong
    return reference.trajectory(lambda: (form or case.reference)(**settings), start, GRADIENTS, rates(case))


@cache
def ours(case: Case) -> np.ndarray:
    """[STEPS + 1, elements]: the path that tfcore takes in one trace."""
    parameters = variables()
    schedule = Exponential(case.learning_rate, 1, 0.97)
    optimizer = getattr(optimizers, case.method)(parameters, schedule, **case.settings)
    apply = tf.function(optimizer.apply)
    rows = [flat(parameters.values())]
    for gradients in GRADIENTS:
        apply([tf.constant(gradient) for gradient in gradients])
        rows.append(flat(parameters.values()))
    assert apply.experimental_get_tracing_count() == 1
    return np.stack(rows)


def keras_path(case: Case) -> np.ndarray:
    """The same with Keras' optimizer of that method."""
    variables = [keras.Variable(value, dtype="float32") for value in START.values()]
    renamed = {"beta1": "beta_1", "beta2": "beta_2", "initial_accumulator": "initial_accumulator_value"}
    settings = {renamed.get(name, name): value for name, value in case.settings.items()}
    name = {"GradientDescent": "SGD", "Momentum": "SGD"}.get(case.method, case.method)
    optimizer = getattr(keras.optimizers, name)(**settings)
    rows = [flat(variables)]
    for step, gradients in enumerate(GRADIENTS):
        optimizer.learning_rate = reference.learning_rate(case, step)
        if case.method in ("Adam", "AdamW"):
            # Keras adds epsilon to the uncorrected root: this is the paper's epsilon in that place.
            optimizer.epsilon = settings["epsilon"] * np.sqrt(1 - settings["beta_2"] ** (step + 1))
        optimizer.apply([tf.constant(gradient) for gradient in gradients], variables)
        rows.append(flat(variables))
    return np.stack(rows)


def distance(path: np.ndarray, other: np.ndarray) -> float:
    """How far two paths ever part in an element, in updates of a median size of that element."""
    update = np.median(np.abs(np.diff(other, axis=0)), axis=0)
    return float((np.abs(path - other) / update).max())


@cases
def test_fifty_updates_against_float64(case: Case) -> None:
    assert distance(ours(case), expected(case)) < 0.01


@pytest.mark.sampled(4)
@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items() if case.in_keras])
def test_fifty_updates_against_keras(case: Case) -> None:
    assert distance(ours(case), keras_path(case).astype(np.float64)) < 0.01


def test_fifty_updates_of_lamb_against_keras() -> None:
    case = replace(CASES["lamb"], settings=CASES["lamb"].settings | {"weight_decay": 0.0})
    weights = START["hidden.weights"].size  # keras scales the others too
    assert distance(ours(case)[:, :weights], keras_path(case).astype(np.float64)[:, :weights]) < 0.01
    assert distance(ours(case)[:, weights:], ours(CASES["adam"])[:, weights:]) < 1e-4


@pytest.mark.parametrize(
    ("case", "wrong"),
    [pytest.param(case, wrong, id=f"{name}-{wrong}") for name, case in CASES.items() for wrong in case.wrong_settings],
)
def test_the_comparison_tells_settings_apart(case: Case, wrong: dict[str, Any]) -> None:
    assert distance(ours(case), expected(case, **wrong)) > 0.1


@pytest.mark.parametrize(
    ("case", "form"),
    [
        pytest.param(case, form, id=f"{name}-{form.__name__}")
        for name, case in CASES.items()
        for form in case.wrong_forms
    ],
)
def test_the_comparison_tells_forms_apart(case: Case, form: type) -> None:
    assert distance(ours(case), expected(case, form=form)) > 0.1


@cases
def test_gradients_change_sign_and_size(case: Case) -> None:
    sizes = np.abs(np.stack([flat(gradients) for gradients in GRADIENTS]))
    assert np.all(sizes.max(axis=0) / np.median(sizes, axis=0) > 5)
    signs = np.sign(np.stack([flat(gradients) for gradients in GRADIENTS]))
    assert np.all(np.abs(signs.sum(axis=0)) < STEPS * 0.7)
    assert case.learning_rate > 0


@cases
def test_default_settings_stay_finite_without_gradient(case: Case) -> None:
    parameters = variables()
    optimizer = getattr(optimizers, case.method)(parameters)
    for _ in range(3):
        optimizer.apply([tf.zeros_like(parameter) for parameter in optimizer.parameters])
    assert np.isfinite(flat(parameters.values())).all()


def test_adam_takes_steps_of_the_rate_whatever_the_scale_of_the_gradient() -> None:
    for scale in (1e-4, 1.0, 1e6):
        w = tf.Variable([1.0, 1.0])
        optimizer = optimizers.Adam({"w": w}, 0.125)
        for _ in range(3):
            optimizer.apply([tf.constant([scale, -scale])])
        np.testing.assert_allclose(w, [0.625, 1.375], rtol=1e-3)


def test_adam_bias_corrections_are_exact_from_the_first_update_to_the_last() -> None:
    case = CASES["adam"]
    settings = optimizers.adam.Settings(beta1=0.9, beta2=0.999, epsilon=case.settings["epsilon"])
    for t in (1, 2, 10, 1000, 10**7):
        scalars = optimizers.adam.adam_scalars(tf.constant(t - 1, tf.int64), tf.constant(0.5), settings)
        root = np.sqrt(1 - 0.999**t)
        np.testing.assert_allclose(scalars.minus_rate, -0.5 * root / (1 - 0.9**t), rtol=2e-7)
        np.testing.assert_allclose(scalars.epsilon, case.settings["epsilon"] * root, rtol=2e-7)


def test_nadam_corrections_are_exact_from_the_first_update_to_the_last() -> None:
    settings = optimizers.nadam.Settings(beta1=0.9, beta2=0.999, epsilon=0.05)
    u = 0.9 * (1 - 0.5 * 0.96 ** np.arange(1, 5003))  # u[0] is u_1
    for t in (1, 2, 10, 999, 1000, 1001, 5000):
        scalars = optimizers.nadam.nadam_scalars(tf.constant(t - 1, tf.int64), tf.constant(0.5), settings)
        root = np.sqrt(1 - 0.999**t)
        np.testing.assert_allclose(scalars.mean_rate, -0.5 * root * u[t] / (1 - np.prod(u[: t + 1])), rtol=2e-7)
        np.testing.assert_allclose(
            scalars.gradient_rate, -0.5 * root * (1 - u[t - 1]) / (1 - np.prod(u[:t])), rtol=2e-7
        )
        np.testing.assert_allclose(scalars.epsilon, 0.05 * root, rtol=2e-7)


def test_a_product_of_nadam_does_not_wait_for_rounding() -> None:
    # With beta1 near 1 the product is still large when the table ends.
    t = 3000
    expected = np.prod(0.9999 * (1 - 0.5 * 0.96 ** np.arange(1, t + 1)))
    product = optimizers.nadam.momentum_product(tf.constant(t, tf.float64), 0.9999)
    np.testing.assert_allclose(product, expected, rtol=1e-12)
    assert float(optimizers.nadam.momentum_product(tf.constant(0, tf.float64), 0.9)) == 1


def test_no_sign_that_lion_takes_is_a_near_tie() -> None:
    case = CASES["lion"]
    rules = [case.reference(**case.settings) for _ in START]
    for gradients in GRADIENTS:
        for rule, gradient in zip(rules, gradients, strict=True):
            rule.update(np.zeros(gradient.shape), gradient.astype(np.float64), 0.01)
    # Far above the rounding of float32.
    assert min(rule.margin for rule in rules) > 1e-5


@pytest.mark.parametrize("method", ["Lars", "Lamb"])
def test_weights_of_zero_take_a_step_of_the_rate_alone(method: str) -> None:
    zeros, one = tf.Variable(tf.zeros([2, 2])), tf.ones([2, 2])
    getattr(optimizers, method)({"w": zeros}, 0.125).apply([one])
    np.testing.assert_allclose(zeros, -0.125 * one, rtol=1e-4)


def test_a_layer_moves_by_its_norm_whatever_the_scale_of_the_gradient() -> None:
    for make, step in ((partial(optimizers.Lars, trust_coefficient=0.25), 0.125), (optimizers.Lamb, 0.5)):
        for scale in (1e-4, 1.0, 1e6):
            w = tf.Variable([[3.0, 4.0]])
            make({"w": w}, 0.5).apply([tf.constant([[scale, -scale]])])
            np.testing.assert_allclose(np.linalg.norm(w - [[3.0, 4.0]]), step * 5, rtol=1e-4)


def test_centered_rmsprop_is_finite_under_a_gradient_that_does_not_change() -> None:
    w = tf.Variable([0.0, 0.0])
    optimizer = optimizers.RMSprop({"w": w}, 1e-6, centered=True)
    apply = tf.function(optimizer.apply)
    for _ in range(300):
        apply([tf.constant([1000.0, 0.3])])
        assert np.isfinite(w).all()


@pytest.mark.parametrize("method", sorted({case.method for case in CASES.values()}))
def test_the_docstring_examples_run(method: str) -> None:
    module = inspect.getmodule(getattr(optimizers, method))
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
