"""The contract of every optimizer: refusals before any change, slots, the chain, resuming, and minimization."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from reference import optimizers as reference
from reference.optimizers import CASES, Case, slots_of

from tfcore import optimizers
from tfcore.errors import ConfigError, ShapeError
from tfcore.optimizers import AdamW, GradientDescent, Momentum, Optimizer
from tfcore.optimizers.chain import Chain
from tfcore.schedules import Cosine

SHAPES = {"hidden_1.weights": (3, 4), "hidden_1.biases": (4,)}
GRADIENTS = reference.gradients(4, 20, list(SHAPES.values()))

cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def build(case: Case, **arguments: Any) -> Optimizer:
    parameters = {path: tf.Variable(tf.ones(shape), name=path) for path, shape in SHAPES.items()}
    arguments = {"learning_rate": Cosine(0.05, 20, 0.0), **case.settings} | arguments
    optimizer: Optimizer = getattr(optimizers, case.method)(parameters, **arguments)
    return optimizer


def state(optimizer: Optimizer) -> list[np.ndarray]:
    return [variable.numpy().copy() for variable in (*optimizer.parameters, *optimizer.variables.values())]


def apply_all(
    optimizer: Optimizer, gradients: list[list[np.ndarray]], apply: Callable[..., None] | None = None
) -> None:
    for step_gradients in gradients:
        (apply or optimizer.apply)([tf.constant(gradient) for gradient in step_gradients])


def assert_same(left: list[np.ndarray], right: list[np.ndarray], rtol: float = 0) -> None:
    for a, b in zip(left, right, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)


def keys_of(case: Case) -> list[str]:
    """The checkpoint's names of all slots, in order."""
    slots = dict.fromkeys((*case.slots, *(case.vector_slots or ())))
    return [f"{slot}.{path}" for slot in slots for path, shape in SHAPES.items() if slot in slots_of(case, shape)]


@cases
def test_slots_mirror_the_parameters(case: Case) -> None:
    optimizer = build(case)
    keys = keys_of(case)
    assert list(optimizer.variables) == ["step", *keys]
    assert optimizer.step.dtype == tf.int64
    assert int(optimizer.step) == 0
    for path, parameter in zip(SHAPES, optimizer.parameters, strict=True):
        for slot in slots_of(case, parameter.shape):
            variable = optimizer.slots[slot][path]
            assert variable is optimizer.variables[f"{slot}.{path}"]
            shape = case.shapes.get(slot, lambda shape: shape)(tuple(parameter.shape))
            dtype = tf.float32 if shape else tf.float64  # scalars are sums over a whole run
            assert (variable.dtype, variable.shape, variable.device) == (dtype, shape, parameter.device)
            assert not variable.trainable
            np.testing.assert_array_equal(variable, np.float32(slot in case.copies or case.starts.get(slot, 0.0)))
    apply_all(optimizer, GRADIENTS[:3])
    assert int(optimizer.step) == 3
    assert list(optimizer.variables) == ["step", *keys]


@cases
def test_the_parameters_stay_the_models_own(case: Case) -> None:
    owner = tf.Module()
    owner.optimizer = build(case)
    assert owner.variables == ()
    saved = tf.train.Checkpoint(optimizer=build(case).variables)
    assert len(saved.optimizer) == 1 + len(keys_of(case))


BAD_GRADIENTS = {
    "none": (lambda good: [good[0], None], r"'hidden_1\.biases' is None"),
    "too few": (lambda good: good[:1], r"each of the 2 `parameters`\. Received 1"),
    "too many": (lambda good: [*good, good[0]], r"each of the 2 `parameters`\. Received 3"),
    "other order": (lambda good: good[::-1], r"'hidden_1\.weights' must have shape \(3, 4\)"),
    "would broadcast": (lambda good: [good[0], tf.ones([1])], r"'hidden_1\.biases' must have shape \(4,\)"),
    "bfloat16": (lambda good: [good[0], tf.cast(good[1], tf.bfloat16)], "dtype float32. Received .* bfloat16"),
    "float64": (lambda good: [good[0], tf.cast(good[1], tf.float64)], "dtype float32. Received .* float64"),
    "sparse": (
        lambda good: [tf.IndexedSlices(good[0], tf.range(3), tf.constant([3, 4])), good[1]],
        r"'hidden_1\.weights' must be a dense tensor",
    ),
}


@pytest.mark.sampled(5)
@cases
@pytest.mark.parametrize("bad", BAD_GRADIENTS)
@pytest.mark.parametrize("compiled", [False, True])
def test_bad_gradients_are_refused_before_anything_changes(case: Case, bad: str, compiled: bool) -> None:
    optimizer = build(case)
    apply_all(optimizer, GRADIENTS[:2])
    before = state(optimizer)
    spoil, message = BAD_GRADIENTS[bad]
    good = [tf.ones(shape) for shape in SHAPES.values()]
    apply = tf.function(optimizer.apply, autograph=False) if compiled else optimizer.apply
    with pytest.raises(ShapeError, match=message):
        apply(spoil(good))
    assert_same(before, state(optimizer))


@cases
def test_sparse_gradients_made_dense_are_taken(case: Case) -> None:
    sparse = tf.IndexedSlices(tf.ones([1, 4]), tf.constant([1]), tf.constant([3, 4]))
    optimizer = build(case, **({"weight_decay": 0.0} if "weight_decay" in case.settings else {}))
    optimizer.apply([tf.convert_to_tensor(sparse), tf.zeros([4])])
    changed = optimizer.parameters[0].numpy() != 1
    assert changed[1].all()
    assert not changed[[0, 2]].any()


@pytest.mark.sampled(4)
@cases
def test_eager_compiled_and_looped_agree_in_one_trace(case: Case) -> None:
    eager, compiled, looped = build(case), build(case), build(case)
    apply_all(eager, GRADIENTS)
    apply = tf.function(compiled.apply)
    apply_all(compiled, GRADIENTS, apply)
    assert apply.experimental_get_tracing_count() == 1
    stacked = [tf.constant(np.stack(column)) for column in zip(*GRADIENTS, strict=True)]

    @tf.function
    def loop(start: tf.Tensor, end: tf.Tensor) -> None:
        for step in tf.range(start, end):
            looped.apply([gradients[step] for gradients in stacked])

    loop(tf.constant(0), tf.constant(7))
    loop(tf.constant(7), tf.constant(20))
    assert loop.experimental_get_tracing_count() == 1
    assert_same(state(eager), state(compiled), rtol=1e-5)
    assert_same(state(compiled), state(looped), rtol=1e-5)


@pytest.mark.sampled(4)
@cases
@pytest.mark.parametrize("chain", [{}, {"lookahead_steps": 4, "average_decay": 0.5}], ids=str)
def test_resumed_equals_uninterrupted(case: Case, chain: dict[str, Any]) -> None:
    whole, first, second = (build(case, **chain) for _ in range(3))
    apply_all(whole, GRADIENTS)
    apply_all(first, GRADIENTS[:9])
    saved = {key: variable.numpy() for key, variable in first.variables.items()}
    for key, variable in second.variables.items():
        variable.assign(saved[key])
    for source, target in zip(first.parameters, second.parameters, strict=True):
        target.assign(source)
    apply_all(second, GRADIENTS[9:])
    assert_same(state(whole), state(second))
    forgetful = build(case, **chain)
    for source, target in zip(first.parameters, forgetful.parameters, strict=True):
        target.assign(source)
    apply_all(forgetful, GRADIENTS[9:])
    assert any(np.any(a != b) for a, b in zip(state(whole), state(forgetful), strict=True))


def minimized(case: Case, rate: float, start: list[float], steps: int, function: Callable[..., tf.Tensor]) -> float:
    """Minimizes from `start` at a rate that falls to 0, with a small epsilon, since a large one slows every step."""
    point = tf.Variable([start] if case.needs_matrices else start)
    settings = {name: value for name, value in case.settings.items() if name not in ("epsilon", "weight_decay")}
    settings |= {"weight_decay": 0.0} if "weight_decay" in case.settings else {}
    optimizer = getattr(optimizers, case.method)({"point": point}, Cosine(rate, steps, 0.0), **settings)

    @tf.function
    def run() -> tf.Tensor:
        for _ in tf.range(steps):
            with optimizer.at_gradient_point():
                with tf.GradientTape() as tape:
                    value = function(tf.reshape(point, [-1]))
                gradients = tape.gradient(value, [point])
            optimizer.apply(gradients)
        return function(tf.reshape(point, [-1]))

    return float(run())


@pytest.mark.sampled(4)
@cases
def test_converges_on_a_parabola(case: Case) -> None:
    assert minimized(case, case.parabola_rate, [3.0, -2.0], 600, lambda p: tf.reduce_sum(p**2 * [1.0, 5.0])) < 1e-6


@pytest.mark.sampled(4)
@cases
def test_converges_in_rosenbrocks_valley(case: Case) -> None:
    def valley(p: tf.Tensor) -> tf.Tensor:
        return (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2

    assert minimized(case, case.valley_rate, [-1.2, 1.0], 4000, valley) < 0.03  # from 24.2


def operations(optimizer: Optimizer) -> list[str]:
    specs = [[tf.TensorSpec(parameter.shape) for parameter in optimizer.parameters]]
    graph = tf.function(optimizer.apply, autograph=False).get_concrete_function(*specs).graph
    return [operation.type for operation in graph.get_operations()]


def many(make: Callable[..., Optimizer], count: int, start: Any = (1.0, 2.0), **arguments: Any) -> list[str]:
    return operations(make({f"w{i}": tf.Variable(start) for i in range(count)}, 0.1, **arguments))


@pytest.mark.sampled(4)
@cases
def test_the_graph_holds_nothing_that_is_switched_off_and_no_scalar_twice(case: Case) -> None:
    make = getattr(optimizers, case.method)
    start = {"start": [[1.0, 2.0]] if case.needs_matrices else [1.0, 2.0]}
    plain = many(make, 3, **start, **case.settings)
    assert not {"Maximum", "L2Loss", "ClipByValue"} - case.operations & set(plain)
    # One assignment a parameter, one for the step, one a slot of a parameter.
    assert plain.count("AssignAddVariableOp") == 3 + 1
    assert plain.count("AssignVariableOp") == 3 * len(slots_of(case, np.shape(start["start"])))
    assert plain.count("Pow") == case.powers
    assert many(make, 9, **start, **case.settings).count("Pow") == plain.count("Pow")
    assert "L2Loss" in many(make, 3, **start, clip_norm=1.0, **case.settings)
    if "weight_decay" in case.settings:
        without = many(make, 3, **start, **(case.settings | {"weight_decay": 0.0}))
        # A factor and a product once; read, multiply and subtract for each. A rule that reads the weights has them.
        assert len(plain) == len(without) + (1 + 3 * case.decay_operations if case.reads_weights else 2 + 3 * 3)


def test_adamw_without_decay_is_adam() -> None:
    assert many(AdamW, 3, weight_decay=0.0) == many(optimizers.Adam, 3)


def test_the_rate_comes_from_the_step_before_the_update() -> None:
    w = tf.Variable([0.0])
    optimizer = GradientDescent({"w": w}, lambda step: tf.cast(step + 1, tf.float32))
    positions = []
    for _ in range(4):
        optimizer.apply([tf.constant([-1.0])])
        positions.append(float(w[0]))
    assert positions == [1, 3, 6, 10]
    assert float(optimizer.learning_rate(optimizer.step)) == 5
    assert float(Momentum({"w": w}, 0.25).learning_rate(tf.constant(7, tf.int64))) == 0.25


@pytest.mark.sampled(5)
@cases
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("clip_value", 0.0),
        ("clip_norm", -1.0),
        ("momentum", 1.0),
        ("beta1", 1.0),
        ("beta2", -0.1),
        ("epsilon", 0.0),
        ("weight_decay", -0.1),
        ("rho", 1.0),
        ("initial_accumulator", -0.1),
        ("trust_coefficient", 0.0),
        ("fallback_learning_rate_factor", 0.0),
        ("average_decay", 1.0),
        ("lookahead_steps", 0),
        ("lookahead_share", 0.5),
    ],
)
def test_settings_out_of_range_are_refused(case: Case, name: str, value: float) -> None:
    known = name in case.settings or name == "learning_rate" or name in Chain.__annotations__
    error = ConfigError if known else TypeError  # a setting that the method does not have
    with pytest.raises(error, match=name):
        build(case, **{name: value})


@cases
def test_parameters_must_exist_and_be_float32(case: Case) -> None:
    make = getattr(optimizers, case.method)
    with pytest.raises(ConfigError, match="at least one variable"):
        make({}, 0.1)
    with pytest.raises(ShapeError, match=r"'hidden\.weights' must be float32. Received bfloat16"):
        make({"hidden.weights": tf.Variable([[1.0]], dtype=tf.bfloat16)}, 0.1)


def test_decay_is_of_the_value_before_the_update() -> None:
    w = tf.Variable([2.0])
    AdamW({"w": w}, 0.5, weight_decay=0.25).apply([tf.constant([1.0])])
    np.testing.assert_allclose(w, [2 - 0.5 - 0.5 * 0.25 * 2], rtol=1e-6)
