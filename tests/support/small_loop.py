"""Training loop over a small model, for tests of the loop."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np
import tensorflow as tf

from tfcore.data.batches import TrainingBatches
from tfcore.data.dataset import Split
from tfcore.data.examples import Examples
from tfcore.losses import cross_entropy
from tfcore.optimizers import Adam
from tfcore.training.events import Event, Moment, Schedule
from tfcore.training.loop import Loop, _Ran, _Seen
from tfcore.training.phases import Phase
from tfcore.training.step import TrainingStep

BATCH, CLASSES, EXAMPLES = 8, 3, 50
generator = np.random.default_rng(3)
IMAGES = generator.integers(0, 256, (EXAMPLES, 2, 2, 1), np.uint8)
LABELS = generator.integers(0, CLASSES, EXAMPLES).astype(np.int32)


class Model:
    """Linear model that counts how often Python runs it."""

    def __init__(self) -> None:
        self.python_calls = 0
        self.weights, self.biases = tf.Variable(tf.zeros([4, CLASSES])), tf.Variable(tf.zeros([CLASSES]))

    def __call__(self, images: tf.Tensor, **_: Any) -> tf.Tensor:
        self.python_calls += 1
        return tf.matmul(tf.reshape(images, [-1, 4]) / 255, self.weights) + self.biases


class Training:
    """Training loop over a small model, with its state exposed; `frozen` is the path of a parameter from steps on."""

    def __init__(
        self, events: list[Event] | None = None, frozen: Mapping[int, str] = MappingProxyType({}), **arguments: Any
    ) -> None:
        self.model = Model()
        parameters = {"weights": self.model.weights, "biases": self.model.biases}
        optimizer = Adam(parameters, learning_rate=0.01)
        self.step = TrainingStep(self.model, optimizer, cross_entropy, seed=0, batch_size=BATCH)
        examples = Examples(Split(IMAGES, LABELS).batch_reader())
        self.batches = TrainingBatches(examples, batch_size=BATCH, seed=4)
        later = [Phase(step, self.step.freezing([path]), self.batches) for step, path in frozen.items()]
        self.loop = Loop([Phase(0, self.step, self.batches), *later], events or [], **arguments)

    def state(self) -> bytes:
        variables = [self.model.weights, self.model.biases, self.step.sums, *self.step.optimizer.variables.values()]
        return b"".join(variable.numpy().tobytes() for variable in variables)

    @property
    def done(self) -> int:
        return int(self.step.optimizer.step)


class SlowMachine:
    """A clock advanced only by training."""

    def __init__(self, secs_per_step: float, tracing_secs: float = 0.0) -> None:
        self.now, self._secs_per_step, self._tracing_secs = 0.0, secs_per_step, tracing_secs
        self.calls: list[int] = []

    def __call__(self) -> float:
        return self.now

    def run(self, feed: Any, points: tf.Tensor) -> _Ran:
        steps = int(points[-1])
        self.now += steps * self._secs_per_step + (0 if self.calls else self._tracing_secs)
        self.calls.append(steps)
        return _Ran(feed.block, _Seen(tf.zeros([len(points), 5]), tf.zeros([len(points), 4])), ())


def event(name: str, every: float, action: Callable[[Moment], None], *, last: bool = False, **more: Any) -> Event:
    return Event(name, Schedule(Fraction(every), also_last=last), action, **more)


def recorded(calls: list[tuple[str, int]], name: str, every: float, **options: Any) -> Event:
    return event(name, every, lambda moment: calls.append((name, moment.step)), **options)


def nothing(_: Moment) -> None:
    pass


def stop_at(training: Training, step: int) -> Callable[[], bool]:
    return lambda: training.done >= step
