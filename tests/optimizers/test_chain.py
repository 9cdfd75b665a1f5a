"""The links around the rule: clipping, groups, constraints and averages, for every method; and their order."""

import doctest
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from reference import optimizers as reference
from reference.optimizer_rules import max_norm, moving_average
from reference.optimizers import CASES, Case

from tfcore import optimizers
from tfcore.errors import ConfigError
from tfcore.optimizers import Adam, AdamW, Combined, GradientDescent, Group, MaxNorm, Optimizer, chain, global_norm
from tfcore.optimizers.update import Update

STEPS = 20
START = {
    "hidden.weights": np.linspace(-1, 1, 12).reshape(3, 4).astype(np.float32),
    "hidden.biases": np.linspace(0.5, -0.5, 4).astype(np.float32),
    "head.weights": np.linspace(1, -1, 8).reshape(4, 2).astype(np.float32),
}
WEIGHTS, BIASES, HEAD = START
GRADIENTS = reference.gradients(6, STEPS, [value.shape for value in START.values()])

cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def variables(start: dict[str, np.ndarray] = START) -> dict[str, tf.Variable]:
    return {path: tf.Variable(value) for path, value in start.items()}


def rate(case: Case) -> Callable[[tf.Tensor], tf.Tensor]:
    return lambda step: case.learning_rate * tf.pow(0.97, tf.cast(step, tf.float32))


def build(case: Case, start: dict[str, np.ndarray] = START, **arguments: Any) -> Optimizer:
    optimizer: Optimizer = getattr(optimizers, case.method)(
        variables(start), **({"learning_rate": rate(case)} | case.settings | arguments)
    )
    return optimizer


def train(optimizer: Optimizer, gradients: list[list[np.ndarray]] = GRADIENTS) -> list[dict[str, np.ndarray]]:
    """The parameters by path, before the first update and after each."""
    apply = tf.function(optimizer.apply, autograph=False)
    path = [{path: p.numpy().copy() for path, p in zip(optimizer.paths, optimizer.parameters, strict=True)}]
    for step_gradients in gradients:
        apply([tf.constant(gradient) for gradient in step_gradients])
        path.append({path: p.numpy().copy() for path, p in zip(optimizer.paths, optimizer.parameters, strict=True)})
    return path


def expected(
    case: Case,
    name: str,
    *,
    factor: float = 1,
    limit: float | None = None,
    gradients: list[list[np.ndarray]] = GRADIENTS,
    lookahead: tuple[int, float] = (1, 1.0),
    **changed: Any,
) -> np.ndarray:
    """[STEPS + 1, …]: what the reference makes of one parameter, each new value within `limit`."""
    rule = case.reference(**(case.settings | changed))
    rule.limit = limit  # for a rule with a sequence of its own
    slow = w = START[name].astype(np.float64)
    path = [w]
    for step, step_gradients in enumerate(gradients):
        gradient = step_gradients[list(START).index(name)].astype(np.float64)
        w = rule.update(w, gradient, factor * reference.learning_rate(case, step))
        w = w if limit is None else max_norm(w, limit)
        if (step + 1) % lookahead[0] == 0:
            w = slow + lookahead[1] * (w - slow)
            w = slow = w if limit is None else max_norm(w, limit)
        path.append(w)
    return np.stack(path)


def assert_near(ours: list[dict[str, np.ndarray]], name: str, path: np.ndarray) -> None:
    """Within 1 % of one update, the median one of each element."""
    update = np.median(np.abs(np.diff(path, axis=0)), axis=0)
    assert np.all(np.abs(np.stack([step[name] for step in ours]) - path) < 0.01 * update)


def test_global_norm() -> None:
    gradients = [np.random.default_rng(5).standard_normal(shape).astype(np.float32) for shape in [(3, 4), (7,), ()]]
    expected = np.sqrt(sum((gradient.astype(np.float64) ** 2).sum() for gradient in gradients))
    np.testing.assert_allclose(global_norm(gradients), expected, rtol=1e-6)
    low = [tf.cast(gradient, tf.bfloat16) for gradient in gradients]
    assert global_norm(low).dtype == tf.float32
    np.testing.assert_allclose(global_norm(low), expected, rtol=1e-2)
    assert float(global_norm([tf.zeros([3])])) == 0


def change(gradients: list[list[float]], **arguments: Any) -> np.ndarray:
    """The change that gradient descent at rate 1 makes, flat."""
    parameters = {f"w{i}": tf.Variable(tf.zeros(len(gradient))) for i, gradient in enumerate(gradients)}
    GradientDescent(parameters, 1.0, **arguments).apply([tf.constant(gradient) for gradient in gradients])
    return -np.concatenate([parameter.numpy() for parameter in parameters.values()])


def test_clipping() -> None:
    gradients = [[3.0, 0.0], [-4.0, 0.5]]
    np.testing.assert_array_equal(change(gradients, clip_value=1.0), [1, 0, -1, 0.5])
    flat = np.concatenate(gradients)
    np.testing.assert_allclose(change(gradients, clip_norm=1.0), flat / np.linalg.norm(flat), rtol=1e-6)
    np.testing.assert_array_equal(change(gradients, clip_norm=6.0), flat)
    np.testing.assert_array_equal(change([[0.0], [0.0, 0.0]], clip_norm=1.0), [0, 0, 0])
    by_value = np.array([1, 0, -1, 0.5])
    both = change(gradients, clip_value=1.0, clip_norm=0.75)
    np.testing.assert_allclose(both, by_value * 0.75 / np.linalg.norm(by_value), rtol=1e-6)


@cases
def test_clipping_comes_before_the_rule_and_decay_after_it(case: Case) -> None:
    bounded = [[np.clip(gradient, -0.3, 0.3) for gradient in gradients] for gradients in GRADIENTS]
    norms = [np.sqrt(sum((gradient.astype(np.float64) ** 2).sum() for gradient in step)) for step in bounded]
    bounded = [[g * min(1, 0.5 / norm) for g in step] for step, norm in zip(bounded, norms, strict=True)]
    path = train(build(case, clip_value=0.3, clip_norm=0.5))
    for name in START:
        assert_near(path, name, expected(case, name, gradients=bounded))


@cases
def test_a_wrong_keyword_is_named(case: Case) -> None:
    with pytest.raises(TypeError, match="clip_nrom"):
        build(case, clip_nrom=1.0)


@cases
def test_a_group_has_its_own_rate(case: Case) -> None:
    groups = [Group("weights$", learning_rate_factor=0.3), Group("^hidden", learning_rate_factor=2)]
    path = train(build(case, groups=groups))
    for name, factor in {WEIGHTS: 0.3, BIASES: 2, HEAD: 0.3}.items():  # the first that matches decides
        assert_near(path, name, expected(case, name, factor=factor))


def test_a_group_for_the_rest_may_find_nothing_left() -> None:
    case = CASES["adamw"]
    path = train(build(case, groups=[Group(""), Group("", weight_decay=0.0)]))
    assert_near(path, BIASES, expected(case, BIASES))


def changes(optimizer: Optimizer) -> list[np.ndarray]:
    """What the rule, with weight decay, would change at every update if the weights stayed as they are."""
    update = Update(optimizer._rule, optimizer.settings, reads_weights=optimizer._reads_weights)
    every = optimizer.slots.items()
    slots = {
        name: {slot: tf.convert_to_tensor(of[name]) for slot, of in every if name in of} for name in optimizer.paths
    }
    rows = []
    for step, gradients in enumerate(GRADIENTS):
        shared = optimizer._shared(tf.constant(step, tf.int64), tf.constant(0.1))
        for (name, weights), gradient in zip(START.items(), gradients, strict=True):
            if name in optimizer.paths:
                given = tf.constant(weights), tf.constant(gradient), slots[name]
                change, slots[name] = update.change(*given, *shared[optimizer._terms[name]])
                rows.append(change.numpy())
    return rows


@pytest.mark.sampled(4)
@cases
def test_every_rule_is_linear_in_the_rate(case: Case) -> None:
    given = {"weight_decay": 0.0} if case.copies else {}  # whose decay follows the slots
    whole, half = (build(case, groups=[Group("", learning_rate_factor=factor)], **given) for factor in (1, 0.5))
    parts = [optimizer._parts if isinstance(optimizer, Combined) else (optimizer,) for optimizer in (whole, half)]
    for one, other in zip(*parts, strict=True):
        for change, half_change in zip(changes(one), changes(other), strict=True):
            np.testing.assert_allclose(change * 0.5, half_change, rtol=0, atol=2e-7 if case.copies else 0)
            assert change.any()


@pytest.mark.parametrize("case", [CASES["adamw"], CASES["lion"]], ids=["adamw", "lion"])
def test_a_group_has_its_own_weight_decay(case: Case) -> None:
    groups = [Group("biases$", weight_decay=0.0), Group("^head", weight_decay=0.7, learning_rate_factor=0.5)]
    path = train(build(case, groups=groups))
    assert_near(path, WEIGHTS, expected(case, WEIGHTS))
    assert_near(path, BIASES, expected(case, BIASES, weight_decay=0.0))
    assert_near(path, HEAD, expected(case, HEAD, weight_decay=0.7, factor=0.5))


def test_a_group_may_bring_decay_to_an_optimizer_whose_own_is_zero() -> None:
    case = CASES["lion"]
    path = train(build(case, weight_decay=0.0, groups=[Group("weights$", weight_decay=0.7)]))
    assert_near(path, HEAD, expected(case, HEAD, weight_decay=0.7))
    assert_near(path, BIASES, expected(case, BIASES, weight_decay=0.0))


@cases
def test_frozen_parameters_stay_as_they_are(case: Case) -> None:
    gradients = [[np.full_like(hidden, np.nan), biases, head] for hidden, biases, head in GRADIENTS]
    frozen = Group("hidden.weights", learning_rate_factor=0)
    optimizer = build(case, groups=[frozen], clip_norm=0.5, constraints={WEIGHTS: MaxNorm(0.1)})
    before = {slot: values[WEIGHTS].numpy() for slot, values in optimizer.slots.items() if WEIGHTS in values}
    path = train(optimizer, gradients)
    for step in path:
        np.testing.assert_array_equal(step[WEIGHTS], START[WEIGHTS])
    for slot, value in before.items():
        np.testing.assert_array_equal(optimizer.slots[slot][WEIGHTS], value)
    # The norm is that of the other two.
    norms = [np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in step[1:])) for step in GRADIENTS]
    bounded = [[g * min(1, 0.5 / norm) for g in step] for step, norm in zip(GRADIENTS, norms, strict=True)]
    for name in (BIASES, HEAD):
        assert_near(path, name, expected(case, name, gradients=bounded))


BAD_CHAINS = {
    "no regular expression": (lambda: {"groups": [Group("weights(")]}, r"regular expression. Received 'weights\('"),
    "no parameter": (lambda: {"groups": [Group("kernel")]}, r"'kernel' matches none of hidden\.weights, hidden\.b"),
    "negative factor": (lambda: {"groups": [Group("", learning_rate_factor=-1)]}, "`learning_rate_factor` must be"),
    "factor not finite": (lambda: {"groups": [Group("", learning_rate_factor=np.inf)]}, "`learning_rate_factor` must"),
    "negative decay": (lambda: {"groups": [Group("", weight_decay=-0.1)]}, "`weight_decay` must be at least 0"),
    "all frozen": (lambda: {"groups": [Group("", learning_rate_factor=0)]}, "a parameter to train. All are frozen"),
    "unknown path": (lambda: {"constraints": {"hidden.weight": MaxNorm(1)}}, "Did you mean 'hidden.weights'"),
    "share without steps": (lambda: {"lookahead_share": 0.5}, "`lookahead_share` belongs to `lookahead_steps`"),
    "share above one": (lambda: {"lookahead_steps": 5, "lookahead_share": 1.5}, "above 0 and at most 1. Received 1.5"),
    "average of one": (lambda: {"average_decay": 1.0}, "`average_decay` must be at least 0 and below 1"),
}


@pytest.mark.sampled(5)
@cases
@pytest.mark.parametrize("bad", BAD_CHAINS)
def test_a_bad_chain_is_refused(case: Case, bad: str) -> None:
    arguments, message = BAD_CHAINS[bad]
    with pytest.raises(ConfigError, match=message):
        build(case, **arguments())


@cases
def test_weight_decay_of_a_group_needs_a_method_that_has_it(case: Case) -> None:
    groups = [Group("biases", weight_decay=0.0)]
    if "weight_decay" in case.settings:
        build(case, groups=groups)
        return
    with pytest.raises(ConfigError, match=r"'biases' sets `weight_decay`, which this optimizer does not have\. Choose"):
        build(case, groups=groups)


@cases
def test_a_constraint_holds_after_every_update(case: Case) -> None:
    constraints = {WEIGHTS: MaxNorm(0.6), HEAD: MaxNorm(0.9)}
    path = train(build(case, constraints=constraints))
    for name, limit in {WEIGHTS: 0.6, BIASES: None, HEAD: 0.9}.items():
        assert_near(path, name, expected(case, name, limit=limit))
    for step in path[1:]:
        for name, constraint in constraints.items():
            assert np.linalg.norm(step[name], axis=0).max() <= constraint.limit * (1 + 1e-6)


@pytest.mark.sampled(3)
@cases
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_the_weights_return_to_the_slow_ones(case: Case, share: float) -> None:
    given = {} if share == 0.5 else {"lookahead_share": share}
    optimizer = build(case, lookahead_steps=3, constraints={HEAD: MaxNorm(0.9)}, average_decay=0.6, **given)
    path = train(optimizer)
    for name, limit in {WEIGHTS: None, BIASES: None, HEAD: 0.9}.items():
        assert_near(path, name, expected(case, name, limit=limit, lookahead=(3, share)))
        np.testing.assert_array_equal(optimizer.variables[f"slow.{name}"], path[18][name])  # of 20 updates
    expected_average = moving_average([step[WEIGHTS] for step in path], 0.6)
    np.testing.assert_allclose(optimizer.averages[WEIGHTS], expected_average, rtol=2e-6, atol=2e-7)


def test_a_frozen_parameter_has_slow_weights_that_stay() -> None:
    optimizer = build(CASES["adam"], groups=[Group(HEAD, learning_rate_factor=0)], lookahead_steps=2)
    for step in train(optimizer):
        np.testing.assert_array_equal(step[HEAD], START[HEAD])
    np.testing.assert_array_equal(optimizer.variables[f"slow.{HEAD}"], START[HEAD])


@pytest.mark.sampled(3)
@cases
def test_parameters_frozen_later_stay_as_they_are_from_then_on(case: Case) -> None:
    decay = {"weight_decay": 0.1} if "weight_decay" in case.settings else {}
    chain = {"lookahead_steps": 3, "average_decay": 0.6, "constraints": {WEIGHTS: MaxNorm(0.1)}, **decay}
    optimizer, whole = build(case, **chain), build(case, **chain)
    before = train(optimizer, GRADIENTS[:7])
    held = {name: variable.numpy() for name, variable in optimizer.variables.items() if name.endswith(WEIGHTS)}
    later = optimizer.freezing([WEIGHTS])
    assert (later.frozen, optimizer.frozen) == ((True, False, False), (False, False, False))
    after = train(later, [[np.full_like(weights, np.nan), *others] for weights, *others in GRADIENTS[7:]])
    for step in after:
        np.testing.assert_array_equal(step[WEIGHTS], before[-1][WEIGHTS])
    for name, value in held.items():
        if not name.startswith("average."):
            np.testing.assert_array_equal(optimizer.variables[name], value)
    expected_average = moving_average([step[WEIGHTS] for step in [*before, *after[1:]]], 0.6)
    np.testing.assert_allclose(optimizer.averages[WEIGHTS], expected_average, rtol=2e-6, atol=2e-7)
    path = train(whole)
    for name in (BIASES, HEAD):  # which go on as if nothing had happened
        np.testing.assert_array_equal(after[-1][name], path[-1][name])
    with pytest.raises(ConfigError, match=r"a parameter to train\. All are frozen"):
        later.freezing([BIASES, HEAD])


def branches(types: list[str]) -> int:
    return sum(kind in ("If", "StatelessIf") for kind in types)


def test_lookahead_adds_one_branch_for_all_parameters() -> None:
    few, many = (operations(count, lookahead_steps=5) for count in (3, 9))
    assert (branches(few), branches(many)) == (1, 1)
    assert branches(operations()) == 0


@cases
def test_the_average_comes_last(case: Case) -> None:
    groups = [Group("biases", learning_rate_factor=0.0)]
    optimizer = build(case, average_decay=0.6, groups=groups, constraints={HEAD: MaxNorm(0.9)})
    path = train(optimizer)
    for name, average in optimizer.averages.items():
        expected_average = moving_average([step[name] for step in path], 0.6)
        np.testing.assert_allclose(average, expected_average, rtol=2e-6, atol=2e-7)


def operations(count: int = 3, make: type[Optimizer] = AdamW, **arguments: Any) -> list[str]:
    optimizer = make({f"w{i}": tf.Variable([[1.0, 2.0]]) for i in range(count)}, 0.1, **arguments)
    specs = [[tf.TensorSpec(parameter.shape) for parameter in optimizer.parameters]]
    graph = tf.function(optimizer.apply, autograph=False).get_concrete_function(*specs).graph
    return [operation.type for operation in graph.get_operations()]


def test_links_that_change_nothing_leave_no_operation() -> None:
    plain = operations()
    assert operations(make=GradientDescent).count("Mul") == 3  # the rate times each gradient
    assert operations(groups=[Group("w1")], constraints={}, average_decay=None) == plain
    undecayed = operations(groups=[Group("", weight_decay=0.0)])
    assert undecayed == operations(make=Adam)
    one_frozen = operations(groups=[Group("w1", learning_rate_factor=0)])
    assert sorted(one_frozen) == sorted([*operations(2), "Placeholder"])  # its gradient comes and goes nowhere


def test_the_scalars_of_a_group_are_computed_once() -> None:
    groups = [Group("w0"), Group("w1", weight_decay=0.5), Group("", learning_rate_factor=0.5)]
    few, many = operations(3, groups=groups), operations(9, groups=groups)
    assert few.count("Pow") == many.count("Pow") == 2 * 2  # two rates; two powers for each
    per_parameter = (len(operations(9)) - len(operations(3))) / 6
    assert (len(many) - len(few)) / 6 == per_parameter
    averaged = len(operations(9, average_decay=0.9)) - len(operations(3, average_decay=0.9))
    assert averaged / 6 == per_parameter + 1 + 5  # its variable; two values read, subtract, multiply, assign


@pytest.mark.parametrize("module", [chain, optimizers.constraints])
def test_the_docstring_examples_run(module: Any) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
