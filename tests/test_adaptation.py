"""Layers that adapt to training pictures, in networks of any structure."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfcore.adaptation import adapt
from tfcore.errors import ConfigError
from tfcore.layers import Flatten, Linear, Pixels, Sequential

IMAGES = tf.constant(np.random.default_rng(0).integers(0, 256, (50, 4, 4, 1), np.uint8))


class Standardize(tf.Module):
    """Subtracts the mean that it adapted to, as a user might write it."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = tf.Variable(0.0, trainable=False)

    def adapt(self, x: tf.Tensor) -> None:
        self.mean.assign(tf.reduce_mean(x))

    def __call__(self, x: tf.Tensor, *, training: bool, key: Any = None) -> tf.Tensor:  # noqa: ARG002
        return x - self.mean


def chained(*layers: tf.Module) -> tf.Module:
    return Sequential({f"layer_{number}": layer for number, layer in enumerate(layers)})


class Branched(tf.Module):
    """Two branches, inside a function of TensorFlow."""

    def __init__(self, left: tf.Module, right: tf.Module) -> None:
        super().__init__()
        self.pixels, self.left, self.right = Pixels(), left, right

    @tf.function
    def __call__(self, x: tf.Tensor, *, training: bool, key: Any = None) -> tf.Tensor:  # noqa: ARG002
        x = self.pixels(x, training=training)
        return self.left(x, training=training) + self.right(2 * x, training=training)


def linear() -> Linear:
    return Linear(16, 3, name="linear", seed=0)


@pytest.mark.parametrize(
    "net", [lambda layer: chained(Pixels(), layer, Flatten(), linear()), lambda layer: chained(Pixels(), layer)]
)
def test_a_layer_gets_what_reaches_it(net: Callable[[tf.Module], tf.Module]) -> None:
    layer = Standardize()
    adapt(net(layer), IMAGES)
    np.testing.assert_allclose(layer.mean, np.mean(IMAGES) / 255, rtol=1e-6)


def test_a_second_layer_gets_the_result_of_the_first() -> None:
    layers = Standardize(), Standardize()
    adapt(chained(Pixels(), *layers, Flatten()), IMAGES)
    assert abs(layers[1].mean.numpy()) < 1e-6 < layers[0].mean.numpy()


def test_branches_inside_a_function_adapt() -> None:
    left, right = Standardize(), Standardize()
    adapt(Branched(left, right), IMAGES)
    np.testing.assert_allclose([left.mean, right.mean], np.array([1, 2]) * np.mean(IMAGES) / 255, rtol=1e-6)
    assert not tf.config.functions_run_eagerly()


def test_a_layer_that_is_called_twice_adapts_once() -> None:
    layer = Standardize()
    adapt(Branched(layer, layer), IMAGES)
    np.testing.assert_allclose(layer.mean, np.mean(IMAGES) / 255, rtol=1e-6)


def test_a_layer_that_is_never_called_is_named() -> None:
    net = chained(Pixels(), Flatten())
    net.unused = Standardize()
    with pytest.raises(ConfigError, match=r"`adapt` must be called by the model\. These are not: unused\."):
        adapt(net, IMAGES)


def test_a_model_without_such_layers_is_not_called() -> None:
    adapt(chained(linear()), tf.zeros([1, 7]))  # a call would be refused
