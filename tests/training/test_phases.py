"""Phases of the loop: each with its own step and trace, and identical bits wherever a run is cut."""

import numpy as np
import pytest
import tensorflow as tf
from support.small_loop import BATCH, CLASSES, IMAGES, LABELS, SlowMachine, Training, event, nothing, recorded

from tfcore.data.augmentation.geometry import resized
from tfcore.data.batches import TrainingBatches
from tfcore.data.dataset import Split
from tfcore.data.examples import Examples
from tfcore.losses import cross_entropy
from tfcore.optimizers import Adam
from tfcore.training.events import Moment
from tfcore.training.loop import Loop
from tfcore.training.phases import Phase
from tfcore.training.step import TrainingStep

FROZEN = {7: "weights", 23: "biases"}  # the weights in steps 7 to 22, then the biases
END = 31


def variables(training: Training) -> list[tf.Variable]:
    model, step = training.model, training.step
    return [model.weights, model.biases, step.sums, *step.optimizer.variables.values()]


@pytest.fixture(scope="module")
def whole() -> Training:
    training = Training(frozen=FROZEN)
    training.loop.run(END)
    return training


@pytest.mark.parametrize("xla", [False, pytest.param(True, marks=pytest.mark.thorough)], ids=["plain", "xla"])
def test_each_phase_is_a_run_of_its_step(xla: bool) -> None:
    whole, other = Training(frozen=FROZEN, xla=xla), Training()
    whole.loop.run(END)
    weights, biases = list[np.ndarray](), list[np.ndarray]()
    steps = [other.step, *(other.step.freezing([path]) for path in FROZEN.values())]
    for step, end in zip(steps, (7, 23, END), strict=True):
        Loop([Phase(0, step, other.batches)], xla=xla).run(end)
        weights.append(other.model.weights.numpy())
        biases.append(other.model.biases.numpy())
    assert other.state() == whole.state()
    np.testing.assert_array_equal(weights[0], weights[1])
    np.testing.assert_array_equal(biases[1], biases[2])
    assert np.any(weights[1] != weights[2])
    assert np.any(biases[0] != biases[1])


@pytest.mark.sampled(3)
@pytest.mark.parametrize("max_call_steps", [5, 1, 40])
def test_the_cut_into_calls_changes_no_bit(whole: Training, max_call_steps: int) -> None:
    completed: list[int] = []
    cut = Training(frozen=FROZEN, max_call_steps=max_call_steps, after_call=completed.append)
    cut.loop.run(END)
    assert cut.state() == whole.state()
    assert {7, 23} < set(completed)  # no call reaches past the end of a phase


@pytest.mark.sampled(4)
@pytest.mark.parametrize("stop", [7, 6, 8, 23])
def test_a_run_resumed_near_the_end_of_a_phase_is_the_same(whole: Training, stop: int) -> None:
    first, second = Training(frozen=FROZEN), Training(frozen=FROZEN)
    first.loop.run(END, pause_step=stop)
    for target, source in zip(variables(second), variables(first), strict=True):
        target.assign(source)
    second.loop.run(END)
    assert second.state() == whole.state()
    first.loop.run(END)  # by the same loop
    assert first.state() == whole.state()


def test_a_phase_is_traced_once_when_it_is_reached() -> None:
    training, traced = Training(frozen=FROZEN), list[int]()
    for pause_step in (3, 7, 8, 20, 23, 25, END):
        training.loop.run(END, pause_step=pause_step)
        traced.append(training.model.python_calls)
    assert traced == [1, 1, 2, 2, 2, 3, 3]


def test_the_next_step_is_that_of_the_next_phase(whole: Training) -> None:
    frozen: list[tuple[int, list[bool]]] = []

    def look(moment: Moment) -> None:
        values = [variable.numpy() for variable in variables(training)]
        gradients = training.loop.next_step().gradients
        frozen.append((moment.step, [not np.any(gradient) for gradient in gradients]))
        for variable, value in zip(variables(training), values, strict=True):
            variable.assign(value)

    calls: list[tuple[str, int]] = []
    training = Training([event("look", 23 / 2, look), recorded(calls, "log", 7)], frozen=FROZEN)
    training.loop.run(END)
    assert frozen == [(12, [True, False]), (23, [False, True])]
    assert calls == [("log", 7), ("log", 14), ("log", 21), ("log", 28)]
    assert training.model.python_calls == 3
    assert training.state() == whole.state()


def test_each_phase_begins_with_a_call_of_one_step() -> None:
    machine = SlowMachine(1 / 128)
    training = Training([event("log", 50, nothing, passive=True)], frozen={150: "weights"}, clock=machine)
    run = machine.run

    def counted(feed: object, points: tf.Tensor) -> object:
        training.step.optimizer.step.assign_add(int(points[-1]))
        return run(feed, points)

    training.loop._run_traced = counted  # type: ignore[method-assign, assignment]
    training.loop.run(400)
    assert machine.calls == [1, 4, 16, 64, 65, 1, 4, 16, 64, 128, 37]


class Mean:
    """Linear in the mean pixel, for pictures of any size; counts how often Python runs it."""

    def __init__(self) -> None:
        self.python_calls = 0
        self.weights = tf.Variable(tf.zeros([1, CLASSES]))

    def __call__(self, images: tf.Tensor, **_: object) -> tf.Tensor:
        self.python_calls += 1
        return tf.matmul(tf.reduce_mean(tf.cast(images, tf.float32), axis=[1, 2]) / 255, self.weights)


def growing(model: Mean) -> tuple[Loop, TrainingStep]:
    """A loop over pictures of 1x2 for 6 steps, then of 2x2, with the step."""
    step = TrainingStep(model, Adam({"weights": model.weights}, 0.01), cross_entropy, seed=0, batch_size=BATCH)
    examples = Examples(Split(IMAGES, LABELS).batch_reader())
    small, whole = (TrainingBatches(examples, batch_size=BATCH, seed=4, image_size=size) for size in ((1, 2), None))
    return Loop([Phase(0, step, small), Phase(6, step, whole)]), step


@pytest.mark.sampled(2)
@pytest.mark.parametrize("stop", [5, 7, 6])
def test_pictures_can_grow(stop: int) -> None:
    models = [Mean(), Mean()]
    (whole, one), (cut, other) = map(growing, models)
    whole.run(15)
    cut.run(15, pause_step=stop)
    images, labels = cut.next_batch()
    places = TrainingBatches(Examples(Split(IMAGES, LABELS).batch_reader()), batch_size=BATCH, seed=4).numbers(stop)
    expected = tf.constant(IMAGES[places])
    np.testing.assert_array_equal(images, expected if stop >= 6 else resized(expected, (1, 2)))
    np.testing.assert_array_equal(labels, LABELS[places])
    cut.run(15)
    np.testing.assert_array_equal(models[0].weights, models[1].weights)
    np.testing.assert_array_equal(one.sums, other.sums)
    assert [model.python_calls for model in models] == [2, 2]
