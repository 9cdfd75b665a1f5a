"""Division of steps into calls: passive events, which do not divide them, and the pace."""

from fractions import Fraction

import pytest
from support.small_loop import SlowMachine, Training, event, nothing, recorded, stop_at

from tfcore.training.events import Event, Moment, Schedule

each_way = pytest.mark.parametrize("xla", [False, True], ids=["plain", "xla"])


@pytest.mark.sampled(4)
@each_way
@pytest.mark.parametrize("max_call_steps", [None, 1, 7])
def test_passive_events_see_every_moment_as_if_training_had_stopped_for_them(
    max_call_steps: int | None, xla: bool
) -> None:
    seen: dict[bool, list[Moment]] = {False: [], True: []}
    for passive, moments in seen.items():
        look = event("look", 3.5, moments.append, last=True, passive=passive)
        Training([look], max_call_steps=max_call_steps, xla=xla).loop.run(65)
    assert len(seen[True]) == 19
    for one, other in zip(*seen.values(), strict=True):
        assert (one.step, one.observed, one.sums) == (other.step, other.observed, other.sums)


def test_the_sums_of_a_moment_are_those_after_its_step() -> None:
    moments: list[Moment] = []
    training = Training([event("look", 3, moments.append, passive=True)])
    for end in (3, 6, 9):
        training.loop.run(9, pause_step=end)
        assert moments[-1].sums == tuple(training.step.sums.numpy())
    other: list[Moment] = []
    Training([event("look", 3, other.append, passive=True)], max_call_steps=9).loop.run(9)
    assert [moment.sums for moment in other] == [moment.sums for moment in moments]


def test_training_does_not_stop_for_passive_events_but_others_wait_for_them() -> None:
    calls: list[tuple[str, int]] = []
    completed: list[int] = []
    first = Event("first", Schedule(Fraction(9), offset=1), lambda moment: calls.append(("first", moment.step)), True)
    events = [recorded(calls, "stops", 10), recorded(calls, "passive", 4, passive=True), first]
    training = Training(events, max_call_steps=8, after_call=completed.append)
    training.loop.run(22)
    assert completed == [8, 10, 18, 20, 22]
    assert calls == [("first", 1), ("passive", 4), ("passive", 8), ("first", 10), ("stops", 10), ("passive", 12),
                     ("passive", 16), ("first", 19), ("passive", 20), ("stops", 20)]  # fmt: skip


def test_a_stop_within_a_call_comes_after_the_passive_events_of_the_call() -> None:
    calls: list[tuple[str, int]] = []
    training = Training([recorded(calls, "passive", 2, passive=True)], max_call_steps=3)
    assert training.loop.run(20, should_stop=stop_at(training, 5)) == "interrupted"
    assert calls == [("passive", 2), ("passive", 4), ("passive", 6)]
    assert training.loop.run(8) is None
    assert calls[3:] == [("passive", 8)]


def test_a_passive_event_cannot_end_the_run() -> None:
    ending = event("ending", 4, lambda moment: moment.end_run("stopped_early"), passive=True)
    with pytest.raises(ValueError, match="passive event cannot end the run"):
        Training([ending]).loop.run(20)


def test_a_moment_knows_its_place_in_the_time_of_its_call() -> None:
    moments: list[Moment] = []
    machine = SlowMachine(0.5)
    training = Training([event("look", 3, moments.append, passive=True)], clock=machine, max_call_steps=8)
    training.loop._run_traced = machine.run
    training.loop.run(12)
    assert [(moment.step, moment.train_secs) for moment in moments] == [(3, 1.5), (6, 3.0), (9, 4.5), (12, 6.0)]


def paced(machine: SlowMachine, last_step: int, events: list[Event] | None = None) -> list[int]:
    training = Training(events, clock=machine)
    training.loop._run_traced = machine.run
    training.loop.run(last_step)
    assert training.loop.train_secs == pytest.approx(machine.now)
    return machine.calls


def test_calls_grow_at_most_fourfold_and_settle_at_a_second() -> None:
    assert paced(SlowMachine(1 / 128), 600) == [1, 4, 16, 64, 128, 128, 128, 128, 3]


def test_a_slow_first_call_is_forgotten() -> None:
    assert paced(SlowMachine(1 / 32, tracing_secs=10), 60) == [1, 1, 4, 16, 32, 6]


def test_a_step_of_more_than_a_second_is_a_call_of_its_own() -> None:
    assert paced(SlowMachine(3.0), 4) == [1, 1, 1, 1]


def test_a_clock_that_stands_still_is_no_obstacle() -> None:
    assert paced(SlowMachine(0.0), 100) == [1, 4, 16, 64, 15]


def test_events_cut_the_calls() -> None:
    assert paced(SlowMachine(1 / 128), 30, [event("log", 10, nothing)]) == [1, 4, 5, 10, 10]


def test_the_progress_line_hears_of_every_call() -> None:
    completed: list[int] = []
    machine = SlowMachine(1 / 4)
    training = Training(clock=machine, after_call=completed.append)
    training.loop._run_traced = machine.run
    training.loop.run(11)
    assert completed == [1, 5, 9, 11]
