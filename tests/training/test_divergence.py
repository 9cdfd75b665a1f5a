"""Location of the first bad number, in models whose attribute names sort differently from the order of calls."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from support.small_loop import BATCH, CLASSES, IMAGES, LABELS

from tfcore.data.batches import TrainingBatches
from tfcore.data.dataset import Split
from tfcore.data.examples import Examples
from tfcore.losses import cross_entropy
from tfcore.modules import named_parameters
from tfcore.optimizers import GradientDescent, Optimizer, ScheduleFreeAdamW
from tfcore.training import divergence
from tfcore.training.events import Event
from tfcore.training.loop import Loop
from tfcore.training.phases import Phase
from tfcore.training.step import TrainingStep

FEATURES = 4


class Scale(tf.Module):
    """x · weights, by element."""

    def __init__(self, size: int = FEATURES) -> None:
        super().__init__()
        self.weights = tf.Variable(tf.ones([size]))

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """[N, size] from [N, size]."""
        return x * self.weights


@tf.custom_gradient
def bad_gradient(x: tf.Tensor) -> Any:
    """The identity, whose derivative is NaN."""
    return x, lambda upstream: upstream * float("nan")


def bad_output(x: tf.Tensor) -> tf.Tensor:
    """Infinity."""
    return x / 0.0


def nothing(x: tf.Tensor) -> tf.Tensor:
    return x


class Breakable(tf.Module):
    """A model in which `fault` is applied at one place; `head` is the last layer called."""

    def __init__(self, fault: Callable[[tf.Tensor], tf.Tensor]) -> None:
        super().__init__(name="model")
        self.fault = fault
        self.head = Scale(CLASSES)

    def __call__(self, images: tf.Tensor, *, training: bool, key: Any = None) -> tf.Tensor:  # noqa: ARG002
        """Logits [N, classes]."""
        x = tf.reshape(tf.cast(images, tf.float32), [-1, FEATURES]) / 255
        return self.head(self.body(x)[:, :CLASSES])

    def body(self, x: tf.Tensor) -> tf.Tensor:
        raise NotImplementedError


class Reversed(Breakable):
    """c, b, fault, a: the opposite of the order of names."""

    def __init__(self, fault: Callable[[tf.Tensor], tf.Tensor]) -> None:
        super().__init__(fault)
        self.a, self.b, self.c = Scale(), Scale(), Scale()

    def body(self, x: tf.Tensor) -> tf.Tensor:
        """[N, features]."""
        return self.a(self.fault(self.b(self.c(x))))


class Branches(Breakable):
    """A stem, then two branches, the right one called first; the fault is after their sum."""

    def __init__(self, fault: Callable[[tf.Tensor], tf.Tensor]) -> None:
        super().__init__(fault)
        self.left, self.right, self.stem = Scale(), Scale(), Scale()

    def body(self, x: tf.Tensor) -> tf.Tensor:
        """[N, features]."""
        stem = self.stem(x)
        right = self.right(stem)
        return self.fault(right + self.left(stem))


class OneBranch(Branches):
    """The fault is in the right branch, so the left one stays finite."""

    def body(self, x: tf.Tensor) -> tf.Tensor:
        """[N, features]."""
        stem = self.stem(x)
        right = self.fault(self.right(stem))
        return right + self.left(stem)


class Block(tf.Module):
    """Two layers and a factor held by the block itself, which counts as called when the block returns."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.a_second, self.a_factor = Scale(), Scale(), tf.Variable(1.0)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """[N, features] from [N, features]."""
        return self.a_factor * self.a_second(self.first(x))


class Nested(Breakable):
    """A layer, then a block of two layers."""

    def __init__(self, fault: Callable[[tf.Tensor], tf.Tensor]) -> None:
        super().__init__(fault)
        self.stem, self.block = Scale(), Block()

    def body(self, x: tf.Tensor) -> tf.Tensor:
        """[N, features]."""
        return self.fault(self.block(self.stem(x)))


class Run:
    """A run of a small model without checkpoints; `frozen` are the paths of parameters in a first phase of 2 steps."""

    def __init__(
        self,
        model: tf.Module,
        learning_rate: float,
        make: Callable[..., Optimizer] = GradientDescent,
        *,
        frozen: tuple[str, ...] = (),
    ) -> None:
        self.model = model
        optimizer = make(named_parameters(model), learning_rate=learning_rate)
        whole = TrainingStep(model, optimizer, cross_entropy, seed=0, batch_size=BATCH)
        self.step = whole.freezing(frozen)
        self.batches = TrainingBatches(Examples(Split(IMAGES, LABELS).batch_reader()), batch_size=BATCH, seed=4)
        self.phases = (Phase(0, self.step, self.batches), Phase(2, whole, self.batches))

    def loop(self, events: list[Event]) -> Loop:
        return Loop(self.phases, events)

    def go_back(self) -> int:
        return 0


def place(model: type[Breakable], fault: Callable[[tf.Tensor], tf.Tensor], learning_rate: float = 0.1) -> str:
    """The location found by a replay of three steps."""
    found = divergence.find(lambda: Run(model(fault), learning_rate), 3)
    assert found is not None
    assert found.step == 1
    return found.where


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("model", "parameter"),
    [
        (Reversed, "b.weights"),
        (Branches, "left.weights"),
        (OneBranch, "right.weights"),
        (Nested, "block.a_factor"),
    ],
)
def test_the_first_bad_gradient_is_that_of_the_last_layer_called(model: type[Breakable], parameter: str) -> None:
    assert place(model, bad_gradient) == f"in the gradient of {parameter}"


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("model", "layer"), [(Reversed, "a"), (Branches, "head"), (OneBranch, "head")])
def test_the_first_bad_output_is_that_of_the_first_layer_called(model: type[Breakable], layer: str) -> None:
    assert place(model, bad_output) == f"in the output of {layer}"


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("model", "variable"),
    [(Reversed, "c.weights"), (Branches, "stem.weights"), (Nested, "stem.weights")],
)
def test_the_first_bad_update_is_that_of_the_first_layer_called(model: type[Breakable], variable: str) -> None:
    def steep(x: tf.Tensor) -> tf.Tensor:
        return 1e3 * x - tf.stop_gradient(999 * x)

    assert place(model, steep, learning_rate=3e38) == f"in the update of {variable}"


@pytest.mark.thorough
def test_the_place_is_that_of_the_weights_at_which_gradients_are_taken() -> None:
    make = partial(ScheduleFreeAdamW, beta1=0.5)
    run = Run(Reversed(nothing), 0.01, make)
    run.loop([]).run(2)
    average = np.abs(run.model.c.weights - 1).max()
    with run.step.optimizer.at_gradient_point():
        between = (average + np.abs(run.model.c.weights - 1).max()) / 2
    assert average < between  # which the average does not reach in the next step

    def new_run() -> Run:
        model = Reversed(nothing)
        model.fault = lambda x: x * tf.where(tf.reduce_max(tf.abs(model.c.weights - 1)) > between, np.inf, 1.0)
        return Run(model, 0.01, make)

    found = divergence.find(new_run, 3)
    assert found is not None
    assert (found.step, found.where) == (3, "in the output of a")


def test_the_step_is_that_of_its_phase() -> None:
    found = divergence.find(lambda: Run(Reversed(bad_gradient), 0.1, frozen=("b.weights", "c.weights")), 5)
    assert found is not None
    assert (found.step, found.where) == (3, "in the gradient of b.weights")
