"""Schedules against float64, up to 10^7 steps, and where their pieces join."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from reference import schedules as reference

from tfcore import schedules
from tfcore.errors import ConfigError
from tfcore.schedules import (
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    OneCycle,
    Polynomial,
    Schedule,
    StepWise,
    Trapezoid,
    WarmUp,
)

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
    "trapezoid": (Trapezoid(0.3, FAR, 0.2, 0.0), lambda t: reference.trapezoid(t, 0.3, FAR, 0.2, 0.0)),
    "trapezoid_to_end": (Trapezoid(0.3, FAR, 0.6, 0.02), lambda t: reference.trapezoid(t, 0.3, FAR, 0.6, 0.02)),
    "equal_periods": (CosineRestarts(0.3, 100, 1, 0.0), lambda t: reference.cosine_restarts(t, 0.3, 100, 1, 0.0)),
    "longer_periods": (CosineRestarts(0.3, 33, 3, 0.02), lambda t: reference.cosine_restarts(t, 0.3, 33, 3, 0.02)),
    "one_cycle": (OneCycle(0.3, FAR, 0.3, 25.0, 0.0), lambda t: reference.one_cycle(t, 0.3, FAR, 0.3, 25.0, 0.0)),
    "late_peak": (OneCycle(0.3, 4321, 0.9, 1.0, 0.02), lambda t: reference.one_cycle(t, 0.3, 4321, 0.9, 1.0, 0.02)),
    "warm_up": (WarmUp(Constant(0.3), 100), lambda t: reference.warm_up(t, 0.3, 100)),
    "long_warm_up": (
        WarmUp(Cosine(0.3, FAR, 0.0), FAR // 2),
        lambda t: reference.warm_up(t, reference.cosine(t, 0.3, FAR, 0.0), FAR // 2),
    ),
}
rates = st.floats(1e-6, 10)
counts = st.integers(1, FAR)
shares = st.floats(0.01, 0.99)
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


@given(rate=rates, decay_steps=counts, share=shares, end=ends)
def test_a_trapezoid_is_flat_and_joins_its_fall_and_its_end(
    rate: float, decay_steps: int, share: float, end: float
) -> None:
    schedule = Trapezoid(rate, decay_steps, share, end)
    corner = decay_steps * (1 - share)
    for step in (0, int(corner) // 2, int(corner)):
        assert at(schedule, step) == pytest.approx(rate, rel=1e-6)
    slope = abs(rate - end) / (decay_steps * share)  # of the fall, which begins within the step after the corner
    assert abs(at(schedule, int(corner) + 1) - at(schedule, int(corner))) <= slope + 1e-6 * max(rate, end)
    for step in (decay_steps, decay_steps + 1, 10 * FAR):
        assert at(schedule, step) == np.float32(end)


@given(rate=rates, decay_steps=counts, share=shares, divisor=st.floats(1, 1e4), end=ends)
def test_one_cycle_joins_its_start_its_peak_and_its_end(
    rate: float, decay_steps: int, share: float, divisor: float, end: float
) -> None:
    schedule = OneCycle(rate, decay_steps, share, divisor, end)
    assert at(schedule, 0) == pytest.approx(rate / divisor, rel=1e-6)
    peak = decay_steps * share
    for step, part, other in ((int(peak), peak, rate / divisor), (int(peak) + 1, decay_steps - peak, end)):
        furthest = 1 - np.cos(np.pi * min(1 / part, 1))  # from a peak at most a step away
        assert abs(at(schedule, step) - rate) <= abs(rate - other) * furthest / 2 + 1e-6 * max(rate, end)
    for step in (decay_steps, decay_steps + 1, 10 * FAR):
        assert at(schedule, step) == np.float32(end)


@given(rate=rates, period_steps=st.integers(1, 10**5), factor=st.integers(1, 4), end=ends, restart=st.integers(1, 9))
def test_restarts_have_the_full_rate_and_come_at_the_end_of_a_period(
    rate: float, period_steps: int, factor: int, end: float, restart: int
) -> None:
    schedule = CosineRestarts(rate, period_steps, factor, end)
    last = period_steps * factor ** (restart - 1)
    start = sum(period_steps * factor**period for period in range(restart))
    assert at(schedule, start) == at(schedule, 0) == pytest.approx(rate, rel=1e-6)
    before = at(Cosine(rate, last, end), last - 1)
    assert at(schedule, start - 1) == pytest.approx(before, rel=1e-6, abs=1e-12)
    assert at(schedule, start + 1) == pytest.approx(at(Cosine(rate, last * factor, end), 1 % (last * factor)), rel=1e-6)


@pytest.mark.parametrize(("period_factor", "end"), [(1, 0.0), (2, 0.25), (3, 0.125)])
def test_restarts_agree_with_keras(period_factor: int, end: float) -> None:
    ours = CosineRestarts(0.5, 10, period_factor, end)
    theirs = keras.optimizers.schedules.CosineDecayRestarts(0.5, 10, t_mul=period_factor, m_mul=1.0, alpha=end / 0.5)
    restarts = np.cumsum([10 * period_factor**period for period in range(5)])
    steps = sorted({*range(0, 400, 7)} - {*(restarts if period_factor > 1 else ())})  # Keras' logarithms round there
    np.testing.assert_allclose(
        [at(ours, step) for step in steps], [theirs(step) for step in steps], rtol=2e-4, atol=1e-6
    )


def test_one_cycle_is_pytorchs_one_update_later() -> None:
    """PyTorch's formula for OneCycleLR(max_lr=1, total_steps=10, pct_start=0.4): the peak at step 3, the end at 9."""
    schedule = OneCycle(1.0, 10, 0.4, 25.0, 4e-6)
    pytorch = [0.04, 0.28, 0.76, 1.0, 0.9330127, 0.75, 0.5, 0.25, 0.0669873, 4e-6]
    assert [at(schedule, step) for step in range(4, 11)] == pytest.approx(pytorch[3:], abs=1e-5)
    rising = [at(OneCycle(1.0, 9, 3 / 9, 25.0, 0.0), step) for step in range(4)]
    assert rising == pytest.approx(pytorch[:4], rel=1e-6)


def test_a_warm_up_makes_a_trapezoid() -> None:
    schedule = WarmUp(Trapezoid(1.0, 10, 0.4, 0.0), 2)
    assert [at(schedule, step) for step in range(12)] == pytest.approx([0.5, *[1] * 6, 0.75, 0.5, 0.25, 0, 0])


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
        (lambda: Trapezoid(0.0, 10, 0.2, 0.0), "learning_rate"),
        (lambda: Trapezoid(1.0, 0, 0.2, 0.0), "decay_steps"),
        (lambda: Trapezoid(1.0, 10, 1.0, 0.0), "cooldown_share"),
        (lambda: Trapezoid(1.0, 10, 0.2, -1.0), "end_learning_rate"),
        (lambda: CosineRestarts(0.0, 10, 1, 0.0), "learning_rate"),
        (lambda: CosineRestarts(1.0, 0, 1, 0.0), "period_steps"),
        (lambda: CosineRestarts(1.0, 10, 1.5, 0.0), "period_factor"),  # type: ignore[arg-type]
        (lambda: CosineRestarts(1.0, 10, 1, -1.0), "end_learning_rate"),
        (lambda: OneCycle(0.0, 10, 0.3, 25.0, 0.0), "learning_rate"),
        (lambda: OneCycle(1.0, 0, 0.3, 25.0, 0.0), "decay_steps"),
        (lambda: OneCycle(1.0, 10, 0.0, 25.0, 0.0), "warmup_share"),
        (lambda: OneCycle(1.0, 10, 0.3, 0.5, 0.0), "start_divisor"),
        (lambda: OneCycle(1.0, 10, 0.3, 25.0, -1.0), "end_learning_rate"),
        (lambda: WarmUp(Constant(1.0), 0), "warmup_steps"),
        (lambda: WarmUp(Constant(1.0), True), "warmup_steps"),
    ],
)
def test_arguments_out_of_range_are_refused(make: Callable[[], Schedule], name: str) -> None:
    with pytest.raises(ConfigError, match=f"`{name}`"):
        make()
