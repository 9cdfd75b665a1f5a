"""Filters of models with unusual structure."""

import numpy as np
import tensorflow as tf

from tfcore.architecture import Architecture
from tfcore.layers import Conv2D
from tfcore.look import model_sheets
from tfcore.modules import outline

PLAN = Architecture("own", (8, 8, 3), ("cat", "dog"), "unit")


class Uncalled(tf.Module):
    """A layer whose `__call__` is never used."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = tf.Variable(tf.ones([5, 2]))


class Net(tf.Module):
    """A model whose last called layer, a convolution or none, does not compute the logits."""

    def __init__(self, conv: Conv2D | None) -> None:
        super().__init__()
        self.conv, self.head = conv, Uncalled()

    def __call__(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
        x = tf.cast(x, tf.float32)
        x = self.conv(x, training=training) if self.conv else tf.concat([x, x], 3)[..., :5]
        return tf.reduce_mean(x, [1, 2]) @ self.head.weights


def test_a_model_without_a_layer_that_is_called_has_no_filters() -> None:
    assert model_sheets.filters(Net(None), PLAN, outline(Net(None), PLAN.image_shape).layers) is None


def test_filters_that_are_no_classes_are_numbered() -> None:
    net = Net(Conv2D(3, 5, 3, name="conv", seed=0))
    drawn = model_sheets.filters(net, PLAN, outline(net, PLAN.image_shape).layers)
    assert drawn is not None
    assert drawn.title == "conv of own: 5 filters of 3x3x3"


def test_of_many_filters_the_first_are_drawn() -> None:
    filters = np.random.default_rng(0).normal(size=(20, 3, 3, 3)).astype(np.float32)
    names = tuple(map(str, range(20)))
    assert model_sheets._filter_sheet("", filters, names, 2) == model_sheets._filter_sheet(
        " (the first 2)", filters[:2], names[:2]
    )
