"""Schedules against float64, up to 10^7 steps, and where their pieces join."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from reference import schedules as reference

from tfcore import schedules
from tfcore.errors import ConfigError
from tfcore.schedules import Constant, Cosine, Exponential, Polynomial, Schedule, StepWise, WarmUp

FAR = 10**7
STEPS = [0, 1, 2, 99, 100, 101, 4321, 2**24 - 1, 2**24 + 1, FAR // 2 + 1, FAR - 2, FAR - 1, FAR, FAR + 1, 3 * FAR]
CASES: dict[str, tuple[Schedule, Callable[[int], float]]] = {
    "constant": (Constant(0.3), lambda _: 0.3),
    "step_wise": (
        StepWise(0.3, (100, FAR, 2**24), 0.1),
        lambda t: reference.step_wise(t, 0.3, (100, FAR, 2**24), 0.1),
    ),
    "no_boundaries": (StepWise(0.3, (), 0.1), lambda _: 0.3),
    "exponential": (Exponential(0.3, FAR, 0.01), lambda t: reference.exponential(t, 0.3, FAR, 0.01)),
    "linear": (Polynomial(0.3, FAR, 1.0, 0.0), lambda t: reference.polynomial(t, 0.3, FAR, 1.0, 0.0)),
    "root": (Polynomial(0.3, FAR, 0.5, 0.001), lambda t: reference.polynomial(t, 0.3, FAR, 0.5, 0.001)),
    "cosine": (Cosine(0.3, FAR, 0.0), lambda t: reference.cosine(t, 0.3, FAR, 0.0)),
    "cosine_to_end": (Cosine(0.3, FAR, 0.02), lambda t: reference.cosine(t, 0.3, FAR, 0.02)),
    "warm_up": (WarmUp(Constant(0.3), 100), lambda t: reference.warm_up(t, 0.3, 100)),
    "long_warm_up": (
        WarmUp(Cosine(0.3, FAR, 0.0), FAR // 2),
        lambda t: reference.warm_up(t, reference.cosine(t, 0.3, FAR, 0.0), FAR // 2),
    ),
}
rates = st.floats(1e-6, 10)
counts = st.integers(1, FAR)
ends = st.just(0.0) | st.floats(1e-30, 1)  # TensorFlow takes float32 numbers below 1e-38 for 0


def at(schedule: Schedule, step: int) -> float:
    return float(schedule(tf.constant(step, tf.int64)))


def operations(schedule: Schedule) -> list[str]:
    function = tf.function(schedule.__call__).get_concrete_function(tf.TensorSpec([], tf.int64))
    graph = [operation.type for operation in function.graph.get_operations()]
    return [name for name in graph if name not in ("Const", "Placeholder", "Identity")]


@pytest.mark.parametrize("name", CASES)
def test_float64_agrees_at_every_distance(name: str) -> None:
    schedule, expected = CASES[name]
    compiled = tf.function(schedule.__call__)
    for step in STEPS:
        rate = schedule(tf.constant(step, tf.int64))
        assert rate.dtype == tf.float32
        assert rate.shape == []
        # Near its end a cosine is a small difference of large numbers, good to 1e-16 of the first rate.
        assert float(rate) == pytest.approx(expected(step), rel=3e-7, abs=1e-16)
        assert float(compiled(tf.constant(step, tf.int64))) == pytest.approx(float(rate), rel=3e-7, abs=1e-16)


@pytest.mark.parametrize("name", CASES)
def test_costs_few_operations(name: str) -> None:
    assert len(operations(CASES[name][0])) <= 16


def test_a_constant_costs_nothing() -> None:
    assert operations(Constant(0.1)) == []


def test_every_schedule_is_in_the_table() -> None:
    public = {
        value
        for value in vars(schedules).values()
        if isinstance(value, type) and hasattr(value, "__dataclass_fields__")
    }
    assert public == {type(schedule) for schedule, _ in CASES.values()}


def test_neighbouring_steps_differ_late_in_a_long_run() -> None:
    schedule = Polynomial(1.0, FAR, 1.0, 0.0)
    late = [at(schedule, step) for step in range(FAR - 10, FAR + 2)]
    np.testing.assert_allclose(late, [max(k, 0) / FAR for k in range(10, -2, -1)], rtol=1e-6)


def test_a_boundary_counts_the_updates_before_it() -> None:
    schedule = StepWise(1.0, (3, 5), 0.1)
    assert [at(schedule, step) for step in range(7)] == pytest.approx([1, 1, 1, 0.1, 0.1, 0.01, 0.01])


def test_warm_up_convention() -> None:
    assert [at(WarmUp(Constant(1.0), 4), step) for step in range(6)] == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])
    assert at(WarmUp(Constant(1.0), 1), 0) == 1


@given(rate=rates, warmup_steps=counts, decay_steps=counts)
def test_warm_up_joins_the_inner_schedule(rate: float, warmup_steps: int, decay_steps: int) -> None:
    inner = Cosine(rate, decay_steps, rate / 10)
    schedule = WarmUp(inner, warmup_steps)
    for step in (warmup_steps - 1, warmup_steps, warmup_steps + 1):
        assert at(schedule, step) == at(inner, step)
    assert at(schedule, 0) == pytest.approx(at(inner, 0) / warmup_steps, rel=1e-6)


@given(rate=rates, decay_steps=counts, power=st.floats(0.1, 5), end=ends)
def test_decays_join_their_end(rate: float, decay_steps: int, power: float, end: float) -> None:
    for schedule, share in (
        (Polynomial(rate, decay_steps, power, end), (1 / decay_steps) ** power),
        (Cosine(rate, decay_steps, end), np.sin(np.pi / (2 * decay_steps)) ** 2),
    ):
        assert at(schedule, 0) == pytest.approx(rate, rel=1e-6)
        last = at(schedule, decay_steps - 1)
        assert last == pytest.approx(end + (rate - end) * share, rel=1e-6, abs=1e-12)
        for step in (decay_steps, decay_steps + 1, 10 * FAR):
            assert at(schedule, step) == np.float32(end)


@given(rate=rates, decay_steps=counts, factor=st.floats(0.01, 2))
def test_exponential_falls_by_its_factor(rate: float, decay_steps: int, factor: float) -> None:
    schedule = Exponential(rate, decay_steps, factor)
    assert at(schedule, 0) == pytest.approx(rate, rel=1e-6)
    assert at(schedule, decay_steps) == pytest.approx(rate * factor, rel=1e-6)
    assert at(schedule, 2 * decay_steps) == pytest.approx(rate * factor**2, rel=1e-6)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Constant(0.0), "learning_rate"),
        (lambda: StepWise(-1.0, (1,), 0.1), "learning_rate"),
        (lambda: StepWise(1.0, (1,), 0.0), "factor"),
        (lambda: StepWise(1.0, (0,), 0.1), "boundaries"),
        (lambda: StepWise(1.0, (3, 2), 0.1), "boundaries"),
        (lambda: StepWise(1.0, (2, 2), 0.1), "boundaries"),
        (lambda: Exponential(float("inf"), 1, 0.1), "learning_rate"),
        (lambda: Exponential(1.0, 0, 0.1), "decay_steps"),
        (lambda: Exponential(1.0, 10, -0.1), "factor"),
        (lambda: Polynomial(0.0, 10, 1.0, 0.0), "learning_rate"),
        (lambda: Polynomial(1.0, 2.5, 1.0, 0.0), "decay_steps"),  # type: ignore[arg-type]
        (lambda: Polynomial(1.0, 10, 0.0, 0.0), "power"),
        (lambda: Polynomial(1.0, 10, 1.0, -0.1), "end_learning_rate"),
        (lambda: Cosine(float("nan"), 10, 0.0), "learning_rate"),
        (lambda: Cosine(1.0, -1, 0.0), "decay_steps"),
        (lambda: Cosine(1.0, 10, -1.0), "end_learning_rate"),
        (lambda: WarmUp(Constant(1.0), 0), "warmup_steps"),
        (lambda: WarmUp(Constant(1.0), True), "warmup_steps"),
    ],
)
def test_arguments_out_of_range_are_refused(make: Callable[[], Schedule], name: str) -> None:
    with pytest.raises(ConfigError, match=f"`{name}`"):
        make()
