"""Schedules: due exactly at the steps of their formula."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcore.errors import ConfigError
from tfcore.training.events import Moment, Schedule

intervals = st.fractions(Fraction(1, 20), 40, max_denominator=60)
schedules = st.builds(Schedule, intervals, offset=st.integers(0, 7), also_last=st.booleans())


def due_steps(schedule: Schedule, last_step: int) -> list[int]:
    """All due steps."""
    return list(schedule.between(0, last_step, last_step))


def by_definition(schedule: Schedule, last_step: int) -> list[int]:
    first = 0 if schedule.offset else 1
    numbers = range(first, math.ceil((last_step + 1) / schedule.every_steps) + 1)
    steps = {schedule.offset + math.ceil(number * schedule.every_steps) for number in numbers}
    return sorted({step for step in steps if step <= last_step} | ({last_step} if schedule.also_last else set()))


@pytest.mark.parametrize(
    ("schedule", "last_step", "expected"),
    [
        (Schedule(Fraction(3)), 10, [3, 6, 9]),
        (Schedule(Fraction(3)), 9, [3, 6, 9]),
        (Schedule(Fraction(3), also_last=True), 10, [3, 6, 9, 10]),
        (Schedule(Fraction(3), also_last=True), 9, [3, 6, 9]),
        (Schedule(Fraction(50), also_last=True), 4, [4]),
        (Schedule(Fraction(50)), 4, []),
        (Schedule(Fraction(100), offset=1), 301, [1, 101, 201, 301]),
        (Schedule(Fraction(100), offset=1), 300, [1, 101, 201]),
        (Schedule(Fraction(4), offset=5), 14, [5, 9, 13]),
        (Schedule(Fraction(5, 2)), 11, [3, 5, 8, 10]),
        (Schedule(Fraction(10, 3)), 20, [4, 7, 10, 14, 17, 20]),
        (Schedule(Fraction(1, 3)), 4, [1, 2, 3, 4]),
        (Schedule(Fraction(3, 4)), 6, [1, 2, 3, 4, 5, 6]),
    ],
)
def test_a_schedule_is_due_at_these_steps(schedule: Schedule, last_step: int, expected: list[int]) -> None:
    assert due_steps(schedule, last_step) == expected


@given(schedules, st.integers(1, 90))
def test_the_due_steps_are_those_of_the_formula(schedule: Schedule, last_step: int) -> None:
    assert due_steps(schedule, last_step) == by_definition(schedule, last_step)


@given(schedules, st.integers(1, 90), st.data())
def test_next_after_is_the_least_due_step_past_any_step(
    schedule: Schedule, last_step: int, data: st.DataObject
) -> None:
    step = data.draw(st.integers(0, last_step))
    later = [due for due in by_definition(schedule, last_step) if due > step]
    assert schedule.next_after(step, last_step) == min(later, default=last_step + 1)


@given(schedules, st.integers(1, 60))
def test_is_due_agrees(schedule: Schedule, last_step: int) -> None:
    asked = [step for step in range(last_step + 3) if schedule.is_due(step, last_step)]
    assert asked == by_definition(schedule, last_step)


def test_a_long_run_of_odd_epochs_does_not_drift() -> None:
    epoch = Fraction(45_000, 128)
    assert Schedule(epoch).is_due(math.ceil(100_000 * epoch), 10**12)
    assert not Schedule(epoch).is_due(math.ceil(100_000 * epoch) - 1, 10**12)


@pytest.mark.parametrize("every", [Fraction(0), Fraction(-1, 2)])
def test_an_interval_has_to_be_positive(every: Fraction) -> None:
    with pytest.raises(ConfigError, match="`every_steps` must be above 0"):
        Schedule(every)


def test_an_offset_is_not_negative() -> None:
    with pytest.raises(ConfigError, match="`offset` must be at least 0"):
        Schedule(Fraction(1), offset=-1)


def test_an_event_can_end_the_run() -> None:
    moment = Moment(step=3, last_step=10)
    assert moment.ended_by is None
    moment.end_run("stopped_early")
    assert moment.ended_by == "stopped_early"


@given(schedules, st.integers(0, 60), st.integers(0, 60), st.integers(1, 50))
def test_those_between_two_steps_are_those_after_the_first_up_to_the_second(
    schedule: Schedule, step: int, end: int, last_step: int
) -> None:
    expected = [due for due in by_definition(schedule, last_step) if step < due <= end]
    assert list(schedule.between(step, end, last_step)) == expected
