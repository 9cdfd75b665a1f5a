"""Models that are built like none of ours: their table, their graph, and what their parts give."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfcore.layers import Linear
from tfcore.modules import graph, outline, outputs
from tfcore.seeds import Key


class Narrowed(Linear):
    """Calls the class above, and gives something else."""

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        return super().__call__(x, training=training, key=key)[:, :2]


class Pair(tf.Module):
    """Gives two tensors, the first of them of no known rank, or nothing."""

    def __init__(self, *, gives: bool) -> None:
        super().__init__()
        self.scale, self.gives = tf.Variable([1.0, 2.0]), gives

    def __call__(self, x: tf.Tensor) -> Any:
        return (tf.numpy_function(np.abs, [x], tf.float32), x) if self.gives else None


class Odd(tf.Module):
    """Parts whose names TensorFlow takes for no scope, and whose results are no tensor of numbers."""

    def __init__(self) -> None:
        super().__init__(name="__odd")
        self._narrow, self.by_name = (
            Narrowed(12, 5, name="narrow", seed=0),
            {"a b: c": Linear(2, 3, name="head", seed=0)},
        )
        self.pair, self.nothing = Pair(gives=True), Pair(gives=False)

    def __call__(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
        x = self._narrow(tf.cast(tf.reshape(x, [-1, 12]), tf.float32), training=training)
        self.nothing(self.pair(x)[1])
        return self.by_name["a b: c"](x, training=training)


class Compiled(Odd):
    """Branches on tensors, as the docs have it."""

    @tf.function(autograph=False)
    def __call__(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
        return super().__call__(x, training=training)


@pytest.mark.parametrize("cls", [Odd, Compiled])
def test_parts_that_look_like_none_of_ours_are_in_the_table_and_in_the_graph(cls: type[Odd]) -> None:
    rows = {row.path: (row.output_shape, row.parameters) for row in outline(cls(), (2, 2, 3)).layers}
    assert rows == {
        "_narrow": ((None, 2), 65),
        "pair": ((), 2),
        "nothing": ((), 2),
        "by_name.a b: c": ((None, 3), 9),
    }
    assert graph(cls(), (2, 2, 3)).node


def test_outputs_are_numbers_that_can_be_looked_at() -> None:
    images = np.ones((4, 2, 2, 3), np.uint8)
    found = outputs(Odd(), images)
    assert {path: tuple(output.shape) for path, output in found.items()} == {
        "_narrow": (4, 2), "pair": (4, 2), "by_name.a b: c": (4, 3), "__odd": (4, 3),
    }  # fmt: skip
    assert list(outputs(Compiled(), images)) == ["__odd"]


def test_a_graph_is_drawn_without_the_numbers_of_its_constants() -> None:
    class Fixed(Odd):
        """Multiplies by numbers that are no variable."""

        def __call__(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
            noise = np.random.default_rng(0).normal(size=[2, 2, 50_000]).astype(np.float32)
            return super().__call__(x, training=training) * tf.reduce_sum(tf.constant(noise))

    assert 0 < len(graph(Fixed(), (2, 2, 3)).SerializeToString()) < 50_000
