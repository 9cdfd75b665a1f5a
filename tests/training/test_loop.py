"""The loop: events in their order at their steps, one trace for everything, and the same bits however it is cut."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfcore.data.batches import Examples, TrainingBatches
from tfcore.losses import cross_entropy
from tfcore.optimizers import Adam
from tfcore.training.events import Event, Moment, Schedule
from tfcore.training.loop import Block, Loop
from tfcore.training.step import TrainingStep

BATCH, CLASSES, EXAMPLES = 8, 3, 50
each_way = pytest.mark.parametrize("xla", [False, True], ids=["plain", "xla"])
generator = np.random.default_rng(3)
IMAGES = generator.integers(0, 256, (EXAMPLES, 2, 2, 1), np.uint8)
LABELS = generator.integers(0, CLASSES, EXAMPLES).astype(np.int32)


class Model:
    """Linear; counts how often Python runs it."""

    def __init__(self) -> None:
        self.python_calls = 0
        self.weights, self.biases = tf.Variable(tf.zeros([4, CLASSES])), tf.Variable(tf.zeros([CLASSES]))

    def __call__(self, images: tf.Tensor, **_: Any) -> tf.Tensor:
        self.python_calls += 1
        return tf.matmul(tf.reshape(images, [-1, 4]) / 255, self.weights) + self.biases


class Training:
    """A loop over a small model, with its state to look at."""

    def __init__(self, events: list[Event] | None = None, **arguments: Any) -> None:
        self.model = Model()
        parameters = {"weights": self.model.weights, "biases": self.model.biases}
        optimizer = Adam(parameters, learning_rate=0.01)
        self.step = TrainingStep(self.model, optimizer, cross_entropy, seed=0, batch_size=BATCH)
        examples = Examples(tf.constant(IMAGES), tf.constant(LABELS))
        self.batches = TrainingBatches(examples, batch_size=BATCH, seed=4)
        self.loop = Loop(self.step, self.batches, events or [], **arguments)

    def state(self) -> bytes:
        variables = [self.model.weights, self.model.biases, self.step.sums, *self.step.optimizer.variables.values()]
        return b"".join(variable.numpy().tobytes() for variable in variables)

    @property
    def done(self) -> int:
        return int(self.step.optimizer.step)


def event(name: str, every: float, action: Callable[[Moment], None], *, last: bool = False, **more: Any) -> Event:
    return Event(name, Schedule(Fraction(every), also_last=last), action, **more)


def recorded(calls: list[tuple[str, int]], name: str, every: float, **options: Any) -> Event:
    return event(name, every, lambda moment: calls.append((name, moment.step)), **options)


def nothing(_: Moment) -> None:
    pass


def stop_at(training: Training, step: int) -> Callable[[], bool]:
    return lambda: training.done >= step


def test_events_are_called_at_their_steps_and_in_their_order() -> None:
    calls: list[tuple[str, int]] = []
    training = Training([recorded(calls, "b", 3), recorded(calls, "a", 2), recorded(calls, "c", 50, last=True)])
    assert training.loop.run(7) is None
    assert calls == [("a", 2), ("b", 3), ("a", 4), ("b", 6), ("a", 6), ("c", 7)]


def test_an_action_sees_the_state_after_its_step() -> None:
    seen: list[tuple[int, int, int]] = []
    training = Training()
    training.loop.events = tuple(
        event(name, 2.5, lambda moment: seen.append((moment.step, moment.last_step, training.done)))
        for name in ("one", "other")
    )
    training.loop.run(6)
    assert seen == [(3, 6, 3), (3, 6, 3), (5, 6, 5), (5, 6, 5)]


def test_an_event_is_told_what_the_last_step_saw_on_its_batch() -> None:
    moments: list[Moment] = []
    passive = event("passive", 2, moments.append, passive=True)
    training = Training([passive, event("scalars", 2, moments.append), event("after", 3, moments.append)])
    training.loop.run(3)
    assert [moment.step for moment in moments] == [2, 2, 3]
    assert set(moments[0].observed) == {"loss", "total_loss", "accuracy", "learning_rate", "gradient_norm"}
    assert moments[0].observed["learning_rate"] == pytest.approx(0.01)
    for moment in moments:
        other = Training()
        other.loop.run(moment.step - 1)
        images, labels = next(other.batches.from_step(moment.step - 1))
        result = tf.function(other.step.__call__)(images[0], labels[0])
        assert moment.observed["loss"] == float(result.loss)
        assert moment.observed["gradient_norm"] == pytest.approx(float(tf.linalg.global_norm(result.gradients)))


@pytest.mark.parametrize("passive", [False, True])
def test_events_change_no_bit(passive: bool) -> None:
    plain, every_step, now_and_then = (
        Training([event("scalars", every, nothing, passive=passive)]) for every in (99, 1, 3)
    )
    for training in (plain, every_step, now_and_then):
        training.loop.run(20)
    assert plain.state() == every_step.state() == now_and_then.state()


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
    events = [recorded(calls, "stops", 10), recorded(calls, "passive", 4, passive=True)]
    training = Training(events, max_call_steps=8, after_call=completed.append)
    training.loop.run(22)
    assert completed == [8, 10, 18, 20, 22]
    assert calls == [("passive", 4), ("passive", 8), ("stops", 10), ("passive", 12), ("passive", 16), ("passive", 20),
                     ("stops", 20)]  # fmt: skip


def test_a_moment_knows_its_place_in_the_time_of_its_call() -> None:
    moments: list[Moment] = []
    machine = SlowMachine(0.5)
    training = Training([event("look", 3, moments.append, passive=True)], clock=machine, max_call_steps=8)
    training.loop._run_traced = machine.run
    training.loop.run(12)
    assert [(moment.step, moment.train_secs) for moment in moments] == [(3, 1.5), (6, 3.0), (9, 4.5), (12, 6.0)]


@each_way
@pytest.mark.parametrize("max_call_steps", [1, 7, 20, 45])
def test_the_cut_into_calls_changes_no_bit(max_call_steps: int, xla: bool) -> None:
    free, cut = Training(xla=xla), Training(xla=xla, max_call_steps=max_call_steps)
    assert free.batches.block_steps == 20
    free.loop.run(65)
    cut.loop.run(65)
    assert free.state() == cut.state()


@pytest.mark.parametrize("block_steps", [1, 3, 64])
def test_the_size_of_the_blocks_changes_no_bit(block_steps: int) -> None:
    usual, other = Training([event("look", 7, nothing)]), Training([event("look", 7, nothing)])
    other.batches.block_steps = block_steps
    for training in (usual, other):
        training.loop.run(65)
    assert usual.state() == other.state()


def test_steps_compiled_by_xla_are_the_same_steps() -> None:
    plain, compiled = Training(), Training(xla=True)
    for training in (plain, compiled):
        training.loop.run(30)
    np.testing.assert_allclose(compiled.model.weights, plain.model.weights, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(compiled.step.sums, plain.step.sums, rtol=1e-6)
    definition = compiled.loop.run_steps.get_concrete_function(
        (feed := compiled.batches.from_step(0)), Block(*next(feed), tf.constant(0)), tf.constant([1])
    ).graph.as_graph_def()
    assert any(function.attr["_XlaMustCompile"].b for function in definition.library.function)


def test_no_call_is_longer_than_asked() -> None:
    completed: list[int] = []
    training = Training([event("stop", 10, nothing)], max_call_steps=4, after_call=completed.append)
    training.loop.run(14)
    assert completed == [4, 8, 10, 14]


def test_pausing_and_going_on_changes_no_bit() -> None:
    whole, paused = Training(), Training()
    whole.loop.run(20)
    for pause_step in (1, 6, 7, 13):
        assert paused.loop.run(20, pause_step=pause_step) == "interrupted"
        assert paused.done == pause_step
    assert paused.loop.run(20, pause_step=20) is None
    assert whole.state() == paused.state()


def test_a_pause_past_the_end_is_no_pause() -> None:
    training = Training()
    assert training.loop.run(3, pause_step=9) is None
    assert training.done == 3


def test_a_pause_is_not_the_last_step() -> None:
    calls: list[tuple[str, int]] = []
    training = Training([recorded(calls, "end", 50, last=True)])
    training.loop.run(6, pause_step=4)
    assert calls == []
    training.loop.run(6)
    assert calls == [("end", 6)]


def test_a_finished_run_does_nothing_more() -> None:
    calls: list[tuple[str, int]] = []
    training = Training([recorded(calls, "end", 50, last=True)])
    for _ in range(2):
        assert training.loop.run(3) is None
    assert training.done == 3
    assert calls == [("end", 3)]


def test_one_trace_for_all_steps_however_they_are_called() -> None:
    training = Training([event("scalars", 5, nothing)])
    for pause_step in (1, 2, 9, 10, 23):  # each with an iterator of its own
        training.loop.run(40, pause_step=pause_step)
    training.loop.run(40)
    assert training.loop.run_steps.experimental_get_tracing_count() == 1
    assert training.model.python_calls == 1


def test_a_stop_is_heard_after_the_call_and_before_the_event() -> None:
    calls: list[tuple[str, int]] = []
    training = Training([recorded(calls, "event", 10)], max_call_steps=3)
    assert training.loop.run(20, should_stop=stop_at(training, 5)) == "interrupted"
    assert training.done == 6
    assert calls == []
    assert training.loop.run(20) is None
    assert calls == [("event", 10), ("event", 20)]


def test_an_event_at_the_step_of_the_stop_happens_once() -> None:
    calls: list[tuple[str, int]] = []
    training = Training([recorded(calls, "event", 4)], max_call_steps=4)
    assert training.loop.run(12, should_stop=stop_at(training, 4)) == "interrupted"
    assert training.done == 4
    assert calls == [("event", 4)]
    training.loop.run(12)
    assert calls == [("event", 4), ("event", 8), ("event", 12)]


def test_a_stop_at_the_last_step_comes_too_late() -> None:
    training = Training()
    assert training.loop.run(5, should_stop=stop_at(training, 5)) is None


def test_a_stop_before_the_start_trains_nothing() -> None:
    training = Training()
    assert training.loop.run(5, should_stop=lambda: True) == "interrupted"
    assert training.done == 0


def test_an_event_that_ends_the_run_lets_the_others_of_its_step_happen() -> None:
    calls: list[tuple[str, int]] = []
    ending = event("ending", 4, lambda moment: moment.end_run("stopped_early"))
    training = Training([recorded(calls, "before", 2), ending, recorded(calls, "after", 4)])
    assert training.loop.run(20) == "stopped_early"
    assert training.done == 4
    assert calls == [("before", 2), ("before", 4), ("after", 4)]


class SlowMachine:
    """A clock that only training advances."""

    def __init__(self, secs_per_step: float, tracing_secs: float = 0.0) -> None:
        self.now, self._secs_per_step, self._tracing_secs = 0.0, secs_per_step, tracing_secs
        self.calls: list[int] = []

    def __call__(self) -> float:
        return self.now

    def run(self, feed: Any, points: tf.Tensor) -> tuple[Block, tf.Tensor]:
        steps = int(points[-1])
        self.now += steps * self._secs_per_step + (0 if self.calls else self._tracing_secs)
        self.calls.append(steps)
        return feed.block, tf.zeros([len(points), 9])


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
