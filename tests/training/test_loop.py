"""The loop: events in order at their steps, one trace, and identical bits for any division into calls."""

import numpy as np
import pytest
import tensorflow as tf
from support.small_loop import IMAGES, LABELS, Training, event, nothing, recorded, stop_at

from tfcore.training.events import Moment

each_way = pytest.mark.parametrize("xla", [False, True], ids=["plain", "xla"])


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


@pytest.mark.sampled(3)
@pytest.mark.parametrize("passive", [False, True])
def test_events_change_no_bit(passive: bool) -> None:
    plain, every_step, now_and_then = (
        Training([event("scalars", every, nothing, passive=passive)]) for every in (99, 1, 3)
    )
    for training in (plain, every_step, now_and_then):
        training.loop.run(20)
    assert plain.state() == every_step.state() == now_and_then.state()


@pytest.mark.sampled(3)
@each_way
@pytest.mark.parametrize("max_call_steps", [1, 7, 20, 45])
def test_the_cut_into_calls_changes_no_bit(max_call_steps: int, xla: bool) -> None:
    free, cut = Training(xla=xla), Training(xla=xla, max_call_steps=max_call_steps)
    assert free.batches.block_steps == 20
    free.loop.run(65)
    cut.loop.run(65)
    assert free.state() == cut.state()


@pytest.mark.sampled(3)
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
    definition = compiled.loop._trace.graph.as_graph_def()
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
    for pause_step in (1, 2, 9, 10, 23):  # each with a new iterator
        training.loop.run(40, pause_step=pause_step)
    training.loop.run(40)
    assert training.model.python_calls == 1


@pytest.mark.sampled(3)
@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize("block_steps", [1, 3, 20])
def test_the_next_step_is_taken_by_the_same_trace_and_can_be_undone(block_steps: int, xla: bool) -> None:
    usual, looked_at = Training(xla=xla), Training(xla=xla)
    looked_at.batches.block_steps = block_steps

    def look(moment: Moment) -> None:
        variables = [looked_at.model.weights, looked_at.model.biases, looked_at.step.sums]
        variables += looked_at.step.optimizer.variables.values()
        before = [variable.numpy() for variable in variables]
        taken = looked_at.loop.next_step()
        assert looked_at.done == moment.step + 1
        numbers = looked_at.batches.numbers(moment.step)
        np.testing.assert_array_equal(taken.images, IMAGES[numbers])
        np.testing.assert_array_equal(taken.labels, LABELS[numbers])
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
        *_, expected = looked_at.step.gradients(taken.images, taken.labels)
        for ours, plain in zip(taken.gradients, expected, strict=True):
            np.testing.assert_allclose(ours, plain, rtol=1e-5, atol=1e-7)

    looked_at.loop.events = (event("look", 4, look, last=True),)
    for training in (usual, looked_at):
        training.loop.run(25)
    assert usual.state() == looked_at.state()
    assert looked_at.loop._trace is not None
    before = looked_at.model.python_calls
    looked_at.loop.next_step()
    assert looked_at.model.python_calls == before  # `gradients` is eager; the step is not


def test_the_next_batch_is_known_before_and_after_all_steps() -> None:
    training = Training()
    for step in (0, 4, 4):
        training.loop.run(step)
        images, labels = training.loop.next_batch()
        numbers = training.batches.numbers(step)
        np.testing.assert_array_equal(images, IMAGES[numbers])
        np.testing.assert_array_equal(labels, LABELS[numbers])


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
