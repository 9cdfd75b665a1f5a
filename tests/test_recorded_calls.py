"""Recorded calls: in one thread alone, and nothing of them stays."""

import threading
from typing import Any

import pytest
import tensorflow as tf

from tfcore.modules import outline, outputs
from tfcore.recorded_calls import recorded_calls


class Layer(tf.Module):
    """Adds what it was told to."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.number = tf.Variable(number)

    def __call__(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:  # noqa: ARG002
        return tf.cast(x, tf.float32) + self.number


class Inheriting(Layer):
    """Has the call of the class above."""


class Net(tf.Module):
    """Two layers, one of which inherits its call."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Layer(1.0), Inheriting(2.0)

    def __call__(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
        return self.second(self.first(x, training=training), training=training)


CLASSES = (Layer, Inheriting, Net)


@pytest.fixture(autouse=True)
def nothing_stays() -> Any:
    """The classes are afterwards what they were."""
    before = [dict(vars(cls)) for cls in CLASSES]
    yield
    assert [dict(vars(cls)) for cls in CLASSES] == before


def test_another_thread_calls_the_classes_own() -> None:
    net, other, scopes = Net(), Net(), []
    paths = {id(net): (net, "net"), id(net.first): (net.first, "first"), id(net.second): (net.second, "second")}

    def elsewhere() -> None:
        traced = tf.function(lambda x: other(x, training=False), autograph=False)
        names = traced.get_concrete_function(tf.TensorSpec([None], tf.float32)).graph.get_operations()
        scopes.extend(operation.name for operation in names if "/" in operation.name and "Read" not in operation.name)

    with recorded_calls(paths) as calls:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert calls.returned == {}
        net(tf.zeros([1]), training=False)
    assert scopes == []  # no module's name stands around the ops of the other thread
    assert [paths[identity][1] for identity in calls.returned] == ["first", "second", "net"]


def test_threads_that_record_the_same_classes_do_not_mix() -> None:
    problems: list[str] = []
    start = threading.Barrier(4)

    def work(number: int) -> None:
        net = Net()
        start.wait()
        for _ in range(10):
            rows = outline(net, (2, 2, 1)).layers
            found = outputs(net, tf.fill([1, 2, 2, 1], tf.constant(number, tf.uint8)))
            if [row.path for row in rows] != ["first", "second"]:
                problems.append(f"rows {rows}")
            if [float(found[path][0, 0, 0, 0]) for path in ("first", "second")] != [number + 1.0, number + 3.0]:
                problems.append(f"outputs {found}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_an_error_leaves_nothing_behind() -> None:
    net = Net()
    with pytest.raises(KeyError), recorded_calls({id(net): (net, "net")}) as calls:
        raise KeyError
    assert calls.broken == []
    with pytest.raises(TypeError), recorded_calls({id(net): (net, "net")}) as calls:
        net(None, wrong=1)
    assert calls.broken == [(net, None)]
