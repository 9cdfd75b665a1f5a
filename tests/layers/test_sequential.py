"""One layer after the other."""

import numpy as np
import pytest
import tensorflow as tf

from tfcore.errors import ConfigError
from tfcore.layers import Activation, Linear, Sequential
from tfcore.modules import named_variables
from tfcore.seeds import Key

X = tf.constant(np.random.default_rng(0).normal(size=(5, 6)), tf.float32)


class Recorder(tf.Module):
    """Adds its number to x, and keeps what it was called with."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number, self.seen = number, []

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        self.seen.append((training, key))
        return x * 10 + self.number


def test_values() -> None:
    first, last = Linear(6, 8, name="first", seed=0), Linear(8, 3, name="last", seed=0)
    model = Sequential({"first": first, "relu": Activation("relu"), "last": last})
    expected = np.maximum(X.numpy().astype(np.float64) @ first.weights.numpy(), 0) @ last.weights.numpy()
    np.testing.assert_allclose(model(X, training=False), expected, rtol=0, atol=1e-6)


def test_layers_are_called_in_the_order_given_not_in_that_of_their_names() -> None:
    model = Sequential({"z": Recorder(1), "a": Recorder(2), "m": Recorder(3)})
    assert int(model(tf.constant(0), training=False)) == 123


@pytest.mark.parametrize("training", [True, False])
def test_training_and_key_reach_every_layer(training: bool) -> None:
    recorders = {"z": Recorder(1), "a": Recorder(2)}
    key = Key(1, 2, 3)
    model = Sequential(recorders)
    model(tf.constant(0), training=training, key=key)
    model(tf.constant(0), training=training)
    for recorder in recorders.values():
        assert list(recorder.seen) == [(training, key), (training, None)]


def test_layers_are_attributes_under_their_names() -> None:
    inner = Sequential({"linear": Linear(6, 8, name="linear", seed=0)}, name="inner")
    model = Sequential({"inner": inner})
    assert model.inner is inner
    assert set(named_variables(model)) == {"inner.linear.weights", "inner.linear.biases"}


def test_without_layers_it_is_the_identity() -> None:
    np.testing.assert_array_equal(Sequential({})(X, training=False), X)


@pytest.mark.parametrize("name", ["name", "variables", "submodules", "with_name_scope", "_flatten"])
def test_a_name_that_a_module_already_has_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"A layer cannot be called '{name}': tf.Module has an attribute"):
        Sequential({name: Activation("relu")})
