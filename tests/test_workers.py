"""A single process is workers of one: nothing is exchanged, and no op added."""

from typing import Any

import pytest
import tensorflow as tf
from reference import graphs

from tfcore import losses
from tfcore.layers import BatchNorm, Linear
from tfcore.optimizers import Adam
from tfcore.training.step import TrainingStep
from tfcore.workers import ALONE, Workers, across_workers, summed_across


class Doubled(Workers):
    """A worker of two whose other one has the same batch, as far as sums can tell."""

    count = 2

    def all_reduce(self, tensor: Any) -> Any:
        return tensor + tensor


def trace(workers: Workers | None, **settings: Any) -> Any:
    """The training step on a batch of 4, of 8 over two workers."""
    count = workers.count if workers else 1
    norm, linear = BatchNorm(3, name="norm"), Linear(3, 2, name="linear", seed=0)

    class Net(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.linear = norm, linear

        def __call__(self, x: tf.Tensor, *, training: bool, key: Any = None) -> tf.Tensor:
            return self.linear(self.norm(x, training=training, key=key), training=training, key=key)

    net = Net()
    parameters = {variable.name: variable for variable in net.trainable_variables}
    if workers is not None:
        settings["workers"] = workers
    optimizer = Adam(parameters, learning_rate=0.1)
    step = TrainingStep(net, optimizer, losses.cross_entropy, seed=0, batch_size=4 * count, **settings)
    specs = (tf.TensorSpec([4, 3]), tf.TensorSpec([4], tf.int32))
    return step, norm, tf.function(step, autograph=False).get_concrete_function(*specs)


def test_workers_of_one_add_no_op_to_the_step() -> None:
    before, alone = (trace(workers)[2].graph.as_graph_def() for workers in (None, Workers()))
    assert [(node.op, list(node.input)) for node in before.node] == [(n.op, list(n.input)) for n in alone.node]
    assert [f.node_def for f in before.library.function] == [f.node_def for f in alone.library.function]
    bodies = [alone.node, *(function.node_def for function in alone.library.function)]
    nodes = [node for body in bodies for node in body]
    assert not any("Collective" in node.op for node in nodes)
    sums = [node for node in nodes if node.op == "AddV2" and node.attr["T"].type == tf.int64.as_datatype_enum]
    assert len(sums) == 1  # the optimizer counts its step; to the position of the first example nothing is added


def test_workers_of_one_have_what_they_give() -> None:
    assert ALONE.is_chief
    assert ALONE.exchange({"a": 1}) == [{"a": 1}]
    assert ALONE.broadcast("x") == "x"
    one = tf.constant(1.0)
    assert ALONE.all_reduce(one) is one
    with ALONE.watched():
        ALONE.share([])


IMAGES = tf.constant([[1.0, 2, 3], [4, 5, 9], [7, 8, 2], [-1, 0, 5]])
LABELS = tf.constant([0, 1, 1, 0])


@pytest.mark.parametrize("synced", [True, False])
def test_a_batch_of_two_equal_halves_trains_as_one_half_does(synced: bool) -> None:
    (alone, norm, one), (both, other, two) = trace(None), trace(Doubled(), synced=synced)
    expected, found = one(IMAGES, LABELS), two(IMAGES, LABELS)
    for here, there in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        assert here.numpy() == pytest.approx(there.numpy(), rel=1e-5, abs=1e-6)
    assert both.sums.numpy().tolist() == pytest.approx((2 * alone.sums).numpy().tolist(), rel=1e-6)
    assert other.moving_mean.numpy() == pytest.approx(norm.moving_mean.numpy(), rel=1e-5)
    factor = (8 / 7) / (4 / 3) if synced else 1  # the unbiased variance of eight values, not of four
    moved, expected_move = other.moving_variance - 0.99, norm.moving_variance - 0.99
    assert moved.numpy() == pytest.approx((factor * expected_move).numpy(), rel=1e-4)


def test_parts_of_the_step_are_compiled_and_the_sums_between_them_are_not() -> None:
    *_, whole = trace(Doubled(), xla=True)
    assert len(graphs.kernels(whole)) == 2  # gradients and update
    *_, synced = trace(Doubled(), xla=True, synced=True)
    assert len(graphs.kernels(synced)) == 1  # the update


def test_sums_across_workers_end_with_the_context() -> None:
    with summed_across(tf.identity):
        assert across_workers() is tf.identity
    assert across_workers() is None
