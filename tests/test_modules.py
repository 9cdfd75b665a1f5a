"""Variables by path, and the model table of any `tf.Module`, however it is written."""

import numpy as np
import pytest
import tensorflow as tf

from tfcore import layers, models
from tfcore.layers import Activation, Flatten, Linear, Pixels, Sequential
from tfcore.modules import (
    BrokenModelError,
    LayerRow,
    max_norms,
    named_parameters,
    named_variables,
    outline,
    variables_by_call,
)
from tfcore.seeds import Key

CIFAR = (32, 32, 3)


def linear(name: str = "logits", in_features: int = 4, out_features: int = 3) -> Linear:
    return Linear(in_features, out_features, name=name, seed=0)


class Branches(tf.Module):
    """Holds modules in a dict, in a list, and one of them by two names."""

    def __init__(self) -> None:
        super().__init__()
        self.by_name = {"left": linear(), "right": linear()}
        self.in_order = [linear(), linear()]
        self.again = self.in_order[1]
        self.counter = tf.Variable(0, trainable=False)


class Handmade(tf.Module):
    """A user's own model: raw variables, a helper that is never called, and one layer of ours."""

    class Settings(tf.Module):
        """Has no `__call__`."""

    def __init__(self) -> None:
        super().__init__(name="handmade")
        self.settings = self.Settings()
        self.head = linear("head", 5, 2)
        self.kernel = tf.Variable(tf.zeros([12, 5]))
        self.seen = tf.Variable(0, trainable=False)

    def __call__(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
        x = tf.cast(tf.reshape(x, [-1, 12]), tf.float32)
        return self.head(x @ self.kernel, training=training)


class Unshared(tf.Module):
    """Only raw variables."""

    def __init__(self) -> None:
        super().__init__(name="unshared")
        self.scale = tf.Variable(tf.ones([3]))

    def __call__(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
        del training
        return tf.cast(x, tf.float32) * self.scale


class Broken(Sequential):
    """Fails when it is called."""

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        super().__call__(x, training=training, key=key)
        raise ValueError("broken")


def mlp(hidden: tuple[int, ...] = (120,)) -> models.Mlp:
    return models.Mlp(CIFAR, 10, pixels=Pixels("unit"), seed=0, hidden=hidden)


def test_variables_are_named_by_their_attribute_path() -> None:
    model = Sequential({"first": linear("first"), "inner": Sequential({"last": linear("last")})})
    found = named_variables(model)
    assert set(found) == {"first.weights", "first.biases", "inner.last.weights", "inner.last.biases"}
    assert found["inner.last.weights"] is model.inner.last.weights


def test_dicts_and_lists_are_part_of_the_path() -> None:
    paths = set(named_variables(Branches()))
    assert {"by_name.left.weights", "by_name.right.biases", "in_order.0.weights", "counter"} <= paths


def test_a_shared_variable_is_listed_once_under_its_first_path() -> None:
    model = Branches()
    found = named_variables(model)
    assert len(found) == len(model.variables) == 9
    assert found["again.weights"] is model.in_order[1].weights
    assert "in_order.1.weights" not in found


def test_variables_are_ordered_by_the_calls_of_their_modules() -> None:
    """Those that a model holds itself, or in a module it never calls, come when its own call returns."""
    model = Handmade()
    model.settings.limit = tf.Variable(1.0)
    images = np.zeros((2, 2, 2, 3), np.uint8)
    assert variables_by_call(model, images) == ["head.biases", "head.weights", "kernel", "seen", "settings.limit"]
    reversed_names = Sequential({"b": linear("b", 4, 4), "a": linear("a", 4, 4)})
    assert variables_by_call(reversed_names, np.zeros((2, 4), np.float32)) == [
        "b.biases", "b.weights", "a.biases", "a.weights",
    ]  # fmt: skip


def test_parameters_are_the_trainable_variables() -> None:
    model = Branches()
    assert set(named_variables(model)) - set(named_parameters(model)) == {"counter"}
    assert [id(v) for v in named_parameters(model).values()] == [id(v) for v in model.trainable_variables]


def limited(max_norm: float | None) -> Linear:
    return Linear(4, 3, name="limited", seed=0, max_norm=max_norm)


def test_limits_are_found_by_path_wherever_the_layers_are() -> None:
    model = Branches()
    model.by_name = {"left": limited(2.0), "right": linear()}
    model.in_order = [limited(None), limited(0.5)]
    model.again = model.in_order[1]
    assert max_norms(model) == {"by_name.left.weights": 2.0, "again.weights": 0.5}
    assert max_norms(limited(3.0)) == {"weights": 3.0}


def test_a_model_without_limits_declares_none() -> None:
    assert max_norms(Branches()) == {}
    assert max_norms(mlp()) == {}


def test_a_limit_of_weights_that_are_not_trained_is_left_out() -> None:
    layer = limited(3.0)
    layer.weights = tf.Variable(layer.weights, trainable=False)
    assert max_norms(Sequential({"frozen": layer, "free": limited(1.0)})) == {"free.weights": 1.0}


def test_the_table_of_softmax() -> None:
    std = np.ones(3, np.float32)
    model = models.Softmax(CIFAR, 10, pixels=Pixels("standardized", mean=std, std=std), seed=0)
    assert outline(model, CIFAR).layers == [
        LayerRow("pixels", "Pixels", (None, 32, 32, 3), 0, 0),
        LayerRow("flatten", "Flatten", (None, 3072), 0, 0),
        LayerRow("logits", "Linear", (None, 10), 30730, 0),
    ]


def test_the_table_of_an_mlp_is_in_the_order_of_calls() -> None:
    rows = outline(mlp((7, 5)), CIFAR).layers
    assert [(row.path, row.output_shape[1:], row.parameters) for row in rows] == [
        ("pixels", CIFAR, 0),
        ("flatten", (3072,), 0),
        ("hidden_1", (7,), 3072 * 7 + 7),
        ("relu_1", (7,), 0),
        ("hidden_2", (5,), 7 * 5 + 5),
        ("relu_2", (5,), 0),
        ("logits", (10,), 5 * 10 + 10),
    ]


def test_a_model_that_owns_variables_has_a_row_for_them_alone() -> None:
    rows = {row.path: row for row in outline(Handmade(), (2, 2, 3)).layers}
    assert rows == {
        "head": LayerRow("head", "Linear", (None, 2), 12, 0),
        "handmade": LayerRow("handmade", "Handmade", (None, 2), 60, 1),
    }
    assert rows["handmade"].parameters == 61


def test_a_model_without_layers_is_one_row() -> None:
    assert outline(Unshared(), (2, 2, 3)).layers == [LayerRow("unshared", "Unshared", (None, 2, 2, 3), 3, 0)]


def test_a_layer_called_twice_has_one_row_with_its_first_result() -> None:
    class Twice(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = Activation("relu")

        def __call__(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
            x = self.relu(tf.cast(x, tf.float32), training=training)
            return self.relu(tf.reshape(x, [-1, 12]), training=training)

    assert outline(Twice(), (2, 2, 3)).layers == [LayerRow("relu", "Activation", (None, 2, 2, 3), 0, 0)]


CLASSES = [Handmade, Handmade.Settings, Broken, *vars(models).values(), *vars(layers).values()]
# Read when the file is loaded, before any test has made a table.
CALLS = {cls: vars(cls).get("__call__") for cls in CLASSES if isinstance(cls, type)}


def test_the_table_leaves_classes_as_they_were() -> None:
    outline(mlp(), CIFAR)
    outline(Handmade(), (2, 2, 3))
    assert {cls: vars(cls).get("__call__") for cls in CALLS} == CALLS


def test_the_table_leaves_classes_as_they_were_after_an_error() -> None:
    with pytest.raises(ValueError, match="broken"):
        outline(Broken({"pixels": Pixels("unit")}), CIFAR)
    assert {cls: vars(cls).get("__call__") for cls in CALLS} == CALLS


class Picky(tf.Module):
    """A layer that raises in its own way, within a model of one's own."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.flatten, self.head, self.error = Flatten(), linear(), error

    def __call__(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
        x = self.flatten(tf.cast(x, tf.float32), training=training)
        if self.error is not None:
            raise self.error
        return self.head(x[:, :2], training=training)


def test_the_layer_that_breaks_is_named_with_its_input_and_those_before() -> None:
    with pytest.raises(BrokenModelError, match=r"breaks in head \(Linear\), which was given \(N, 2\): ") as caught:
        outline(Picky(), (2, 2, 3))
    assert [row.path for row in caught.value.rows] == ["flatten"]
    assert "takes x of shape [N, " in str(caught.value)


def test_a_model_that_breaks_by_itself_is_named() -> None:
    words = r"breaks in picky \(Picky\), which was given \(N, 2, 2, 3\): KeyError: 'a'"
    with pytest.raises(BrokenModelError, match=words) as caught:
        outline(Picky(KeyError("a")), (2, 2, 3))
    assert isinstance(caught.value.__cause__, KeyError)


def test_in_training_a_model_gets_a_key() -> None:
    with pytest.raises(BrokenModelError, match="unexpected keyword argument 'key'"):
        outline(Picky(), (2, 2, 3), training=True)
    assert outline(mlp(), CIFAR, training=True, classes=10).layers == outline(mlp(), CIFAR).layers


def test_logits_for_another_number_of_classes_are_refused() -> None:
    with pytest.raises(BrokenModelError, match=r"must return logits \[N, 7\].* Received \(N, 10\)\.") as caught:
        outline(mlp(), CIFAR, classes=7)
    assert caught.value.rows[-1].path == "logits"
