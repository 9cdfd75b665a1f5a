"""A loss and an optimizer out of the user's own file: what they are given, and what is refused."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfcore.build.optimizer import build_loss, build_step
from tfcore.build.tables import check_names
from tfcore.config import RunConfig
from tfcore.errors import ConfigError, ShapeError

OWN_FILE = """
import tensorflow as tf
from tfcore.optimizers import Optimizer

def hinge(logits, labels):
    right = tf.gather(logits, labels, batch_dims=1)
    return tf.nn.relu(1 + tf.reduce_max(logits, axis=1) - right)

def smoothed(logits, labels, *, label_smoothing):
    return tf.fill([tf.shape(logits)[0]], label_smoothing)

def mean(logits, labels):
    return tf.reduce_mean(logits)

class Halving(Optimizer):
    def __init__(self, parameters, learning_rate, *, beta1=0.5, weight_decay=0.0, **chain):
        self.settings, self.weight_decay = beta1, weight_decay
        super().__init__(parameters, learning_rate, slots={}, **chain)

    @staticmethod
    def _rule(gradient, slots, minus_rate, beta1):
        return minus_rate * beta1 * gradient, slots
"""
LOGITS, LABELS = tf.constant([[3.0, -1.0], [0.5, 0.25]]), tf.constant([0, 1])


class Net(tf.Module):
    """Two parameters, of which one is called weights."""

    def __init__(self) -> None:
        super().__init__(name="net")
        self.biases = tf.Variable([1.0])
        self.weights = tf.Variable([1.0])


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "own_code_for_test.py"
    path.write_text(OWN_FILE)
    yield path
    sys.modules.pop(path.stem, None)


def updated(config: RunConfig) -> tuple[float, float]:
    """Biases and weights of a net of ones after one update by gradients of one."""
    net = Net()
    check_names(config)
    step = build_step(config, net, 10)
    step.optimizer.apply([tf.ones([1]), tf.ones([1])])
    return float(net.biases[0]), float(net.weights[0])


def test_a_loss_of_ones_own_is_called_with_logits_and_labels(own: Path) -> None:
    config = RunConfig(loss=f"{own}:hinge", learning_rate=0.1)
    check_names(config)
    np.testing.assert_array_equal(build_loss(config)(LOGITS, LABELS), [1.0, 1.25])


def test_a_loss_of_ones_own_gets_the_smoothing_where_it_takes_one(own: Path) -> None:
    config = RunConfig(loss=f"{own}:smoothed", label_smoothing=0.25)
    np.testing.assert_array_equal(build_loss(config)(LOGITS, LABELS), [0.25, 0.25])
    with pytest.raises(ConfigError, match=r"own_code_for_test\.py:hinge takes no --label_smoothing"):
        build_loss(RunConfig(loss=f"{own}:hinge", label_smoothing=0.25))


def test_a_loss_that_is_a_mean_is_refused(own: Path) -> None:
    with pytest.raises(
        ShapeError, match=r":mean must return one loss for each example, \[N\], and no mean\. Received shape \(\)"
    ):
        build_loss(RunConfig(loss=f"{own}:mean"))(LOGITS, LABELS)


def test_an_optimizer_of_ones_own_gets_its_settings_and_the_chain(own: Path) -> None:
    given: dict[str, Any] = {"optimizer": f"{own}:Halving", "learning_rate": 0.25, "schedule": "constant"}
    assert updated(RunConfig(**given)) == (0.875, 0.875)
    assert updated(RunConfig(**given, beta1=0.25)) == (0.9375, 0.9375)
    assert updated(RunConfig(**given, weight_decay=0.5)) == (0.875, 0.75)
    assert updated(RunConfig(**given, clip_value=0.5)) == (0.9375, 0.9375)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("Halving", {"beta2": 0.5}, r":Halving takes no --beta2\. Leave it out"),
        ("hinge", {}, r":hinge must be a subclass of tfcore\.optimizers\.Optimizer"),
        ("Halving", {"learning_rate": None}, r":Halving needs --learning_rate: its __init__ has no default for it"),
        ("Halvin", {}, r"has no class or function 'Halvin'\. Did you mean 'Halving'"),
    ],
)
def test_what_an_optimizer_of_ones_own_cannot_do_is_refused(
    own: Path, name: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        updated(RunConfig(**{"optimizer": f"{own}:{name}", "learning_rate": 0.1, **settings}))


@pytest.mark.parametrize("flag", ["loss", "optimizer"])
def test_a_file_that_is_not_there_is_refused_before_anything_is_loaded(flag: str) -> None:
    with pytest.raises(ConfigError, match=rf"--{flag}=nowhere\.py:name: there is no file nowhere\.py"):
        check_names(RunConfig(**{flag: "nowhere.py:name", "learning_rate": 0.1}))  # type: ignore[arg-type]
