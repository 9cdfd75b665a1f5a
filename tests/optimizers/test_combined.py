"""Several methods in one optimizer: each part does what it does alone, and the chain is around all of them."""

import doctest
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from reference import optimizers as reference

from tfcore.errors import ConfigError
from tfcore.modules import named_parameters
from tfcore.optimizers import (
    Adafactor,
    Adam,
    AdamW,
    Combined,
    Group,
    Lion,
    MaxNorm,
    Momentum,
    Optimizer,
    Part,
    ScheduleFreeAdamW,
    combined,
)
from tfcore.schedules import Cosine

START = {
    "hidden.weights": np.linspace(-1, 1, 12).reshape(3, 4).astype(np.float32),
    "hidden.biases": np.linspace(0.5, -0.5, 4).astype(np.float32),
    "head.weights": np.linspace(1, -1, 8).reshape(4, 2).astype(np.float32),
}
WEIGHTS, BIASES, HEAD = START
GRADIENTS = reference.gradients(6, 20, [value.shape for value in START.values()])
RATE = Cosine(0.05, 20, 0.0)
PARTS = (
    Part("^hidden.*weights$", Momentum, settings={"momentum": 0.5}),
    Part("^head", AdamW, settings={"weight_decay": 0.2}, learning_rate_factor=0.5),
    Part("", Lion),
)
ALONE = {
    WEIGHTS: (Momentum, {"momentum": 0.5}, 1.0),
    HEAD: (AdamW, {"weight_decay": 0.2}, 0.5),
    BIASES: (Lion, {}, 1.0),
}


def variables(*paths: str) -> dict[str, tf.Variable]:
    return {path: tf.Variable(START[path]) for path in paths or START}


def build(**chain: Any) -> Combined:
    return Combined(variables(), RATE, parts=PARTS, **chain)


def train(optimizer: Optimizer, gradients: list[list[np.ndarray]] = GRADIENTS) -> None:
    apply = tf.function(optimizer.apply, autograph=False)
    for step_gradients in gradients:
        given = dict(zip(START, step_gradients, strict=True))
        apply([tf.constant(given[path]) for path in optimizer.paths])


def alone(path: str, gradients: list[list[np.ndarray]] = GRADIENTS) -> Optimizer:
    part = next(part for part in PARTS if part.takes(path, tf.Variable(START[path])))
    groups = [Group("", learning_rate_factor=part.learning_rate_factor)]
    optimizer = part.method(variables(path), RATE, groups=groups, **part.settings)
    train(optimizer, gradients)
    return optimizer


def state(optimizer: Optimizer) -> dict[str, np.ndarray]:
    parameters = dict(zip(optimizer.paths, optimizer.parameters, strict=True))
    return {name: value.numpy() for name, value in (parameters | optimizer.variables).items()}


def assert_same(left: Mapping[str, np.ndarray], right: Mapping[str, np.ndarray]) -> None:
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


def test_each_part_does_what_its_method_does_alone() -> None:
    optimizer = build()
    train(optimizer)
    expected: dict[str, np.ndarray] = {}
    for path in START:
        expected |= state(alone(path))
    assert_same(state(optimizer), expected)
    slots = {f"v.{WEIGHTS}", f"m.{HEAD}", f"v.{HEAD}", f"m.{BIASES}"}
    assert optimizer.variables.keys() == {"step", *slots}


def test_parts_may_have_slots_of_any_shape_and_take_gradients_elsewhere() -> None:
    parts = [Part("^hidden", Adafactor), Part("", ScheduleFreeAdamW, settings={"beta1": 0.5})]
    optimizer = Combined(variables(), RATE, parts=parts)
    own = ScheduleFreeAdamW(variables(HEAD), RATE, beta1=0.5)
    for each in (optimizer, own):
        train(each)
    slots = [f"row.{WEIGHTS}", f"column.{WEIGHTS}", f"v.{BIASES}", f"z.{HEAD}", f"v.{HEAD}", f"squared_rates.{HEAD}"]
    assert optimizer.variables.keys() == {"step", *slots}
    before = state(optimizer)
    with optimizer.at_gradient_point(), own.at_gradient_point():
        there = state(optimizer)
        np.testing.assert_array_equal(there[HEAD], own.parameters[0])
    assert {name for name in there if np.any(there[name] != before[name])} == {HEAD}
    assert_same(state(optimizer), before)
    optimizer.parameters[2].assign(START[HEAD])
    optimizer.restart_from_weights()
    np.testing.assert_array_equal(optimizer.variables[f"z.{HEAD}"], START[HEAD])


def test_one_part_for_all_is_that_method_to_the_name() -> None:
    one = Combined(variables(), RATE, parts=[Part("", Adam)], average_decay=0.5)
    other = Adam(variables(), RATE, average_decay=0.5)
    train(one)
    train(other)
    assert list(one.variables) == list(other.variables)
    assert_same(state(one), state(other))


def test_resumed_equals_uninterrupted() -> None:
    whole, first, second = (build(clip_norm=1.0, average_decay=0.5) for _ in range(3))
    train(whole)
    train(first, GRADIENTS[:9])
    for target, source in zip(second.parameters, first.parameters, strict=True):
        target.assign(source)
    for name, target in second.variables.items():
        target.assign(first.variables[name])
    train(second, GRADIENTS[9:])
    assert_same(state(whole), state(second))


def test_clipping_is_of_all_gradients_together() -> None:
    norms = [np.sqrt(sum(np.sum(np.square(g)) for g in step)) for step in GRADIENTS]
    clipped = [[g * min(1, 0.5 / norm) for g in step] for step, norm in zip(GRADIENTS, norms, strict=True)]
    optimizer = build(clip_norm=0.5)
    train(optimizer)
    for path, parameter in zip(START, optimizer.parameters, strict=True):
        np.testing.assert_allclose(parameter, alone(path, clipped).parameters[0], rtol=1e-5, atol=1e-6)


def test_a_parameter_of_a_part_can_be_frozen_later() -> None:
    whole, optimizer = build(lookahead_steps=2), build(lookahead_steps=2)
    train(whole)
    train(optimizer, GRADIENTS[:5])
    kept = {name: variable.numpy() for name, variable in optimizer.variables.items() if name.endswith(WEIGHTS)}
    weights = optimizer.parameters[list(START).index(WEIGHTS)].numpy()
    train(optimizer.freezing([WEIGHTS]), GRADIENTS[5:])
    for path, ours, theirs in zip(START, optimizer.parameters, whole.parameters, strict=True):
        np.testing.assert_array_equal(ours, weights if path == WEIGHTS else theirs)
    for name, value in kept.items():
        np.testing.assert_array_equal(optimizer.variables[name], value)


def test_a_parameter_that_is_frozen_later_is_not_moved_for_its_gradient() -> None:
    parts = [Part("^hidden", Adafactor), Part("", ScheduleFreeAdamW, settings={"beta1": 0.5})]
    optimizer = Combined(variables(), RATE, parts=parts)
    train(optimizer)
    before = state(optimizer)
    with optimizer.freezing([HEAD]).at_gradient_point():
        assert_same(state(optimizer), before)
    with optimizer.at_gradient_point():
        assert np.any(state(optimizer)[HEAD] != before[HEAD])


def test_groups_constraints_and_averages_are_of_all_parts() -> None:
    groups = [Group(WEIGHTS, learning_rate_factor=0), Group(HEAD, learning_rate_factor=0.5, weight_decay=0.7)]
    optimizer = build(groups=groups, constraints={HEAD: MaxNorm(0.5)}, average_decay=0.5)
    before = optimizer.slots["v"][WEIGHTS].numpy()
    train(optimizer)
    parameters = dict(zip(START, optimizer.parameters, strict=True))
    np.testing.assert_array_equal(parameters[WEIGHTS], START[WEIGHTS])  # a part that is all frozen
    np.testing.assert_array_equal(optimizer.slots["v"][WEIGHTS], before)
    head_group = [Group("", learning_rate_factor=0.25)]
    head = AdamW(variables(HEAD), RATE, weight_decay=0.7, groups=head_group, constraints={HEAD: MaxNorm(0.5)})
    train(head)
    np.testing.assert_array_equal(parameters[HEAD], head.parameters[0])
    assert set(optimizer.averages) == set(START)
    with optimizer.averaged_weights():
        np.testing.assert_allclose(parameters[WEIGHTS], START[WEIGHTS], rtol=1e-6)


def test_the_first_part_that_takes_a_parameter_applies() -> None:
    parts = [Part("", Momentum, least_dimensions=2), Part("^hidden", Lion), Part("biases", Adam)]
    optimizer = Combined(variables(), 0.1, parts=parts)
    assert optimizer.variables.keys() == {"step", f"v.{WEIGHTS}", f"v.{HEAD}", f"m.{BIASES}"}


def test_no_decay_may_be_asked_of_a_method_that_has_none() -> None:
    parts = [Part("weights$", AdamW), Part("", Adam)]
    Combined(variables(), 0.1, parts=parts, groups=[Group("biases", weight_decay=0.0)])
    with pytest.raises(ConfigError, match="'biases' sets `weight_decay`, which this optimizer does not have"):
        Combined(variables(), 0.1, parts=parts, groups=[Group("biases", weight_decay=0.1)])


BAD = {
    "no regular expression": (lambda: [Part("(", Adam)], r"`pattern` must be a regular expression. Received"),
    "no parameter": (
        lambda: [Part("kernel", Adam), Part("", Adam)],
        "`pattern` must match a parameter. 'kernel' matches",
    ),
    "one left": (lambda: [Part("weights", Adam)], r"None takes 'hidden\.biases' of shape \(4,\)\. Add a part"),
    "none": (list, r"None takes 'hidden\.weights'"),
    "no rate": (lambda: [Part("", Adam, learning_rate_factor=0.0)], "`learning_rate_factor` must be above 0"),
    "no method": (lambda: [Part("", tf.Module)], "must be an optimizer of one rule"),
    "nested": (lambda: [Part("", Combined)], "must be an optimizer of one rule"),
    "chain": (lambda: [Part("", Adam, settings={"clip_norm": 1.0})], "`clip_norm` belongs to the whole optimizer"),
    "setting": (lambda: [Part("", Adam, settings={"beta1": 1.0})], "`beta1` must be at least 0 and below 1"),
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_parts_are_refused(bad: str) -> None:
    make, message = BAD[bad]
    with pytest.raises(ConfigError, match=message):
        Combined(variables(), 0.1, parts=make())


def test_no_parameters_are_refused_first() -> None:
    with pytest.raises(ConfigError, match="at least one variable"):
        Combined({}, 0.1, parts=[Part("", Adam)])


def test_the_model_stays_the_owner_of_its_parameters() -> None:
    owner = tf.Module()
    owner.weights, owner.biases = tf.Variable([[1.0]]), tf.Variable([1.0])
    owner.optimizer = Combined(named_parameters(owner), 0.1, parts=[Part("", Adam)])
    assert len(owner.variables) == 2


def test_the_docstring_examples_run() -> None:
    result = doctest.testmod(combined)
    assert result.attempted > 0
    assert result.failed == 0
