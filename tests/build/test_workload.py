"""What a model computes for a batch is read off a graph that is never run, for every model that can be traced."""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfcore.architecture import Architecture
from tfcore.build import workload
from tfcore.graphs import products
from tfcore.layers import BatchNorm, Conv2D, GlobalAveragePool, Linear, Pixels
from tfcore.seeds import Key

ROOT = Path(__file__).parents[2]
NAMES = tuple("abcdefghij")


class Base(tf.Module):
    """A model of tests: pixels, then `body`, a mean over the picture, and logits."""

    channels = 8

    def __init__(self, image_shape: tuple[int, int, int], classes: int, *, pixels: Pixels, seed: int) -> None:
        super().__init__(name="net")
        self.pixels, self.seed = pixels, seed
        self.make(image_shape[2])
        self.pool = GlobalAveragePool()
        self.logits = Linear(self.channels, classes, name="logits", seed=seed)

    def make(self, channels: int) -> None:
        self.conv = Conv2D(channels, self.channels, 3, name="conv", seed=self.seed)

    def body(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
        return self.conv(x, training=training)

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        del key
        x = self.body(self.pixels(x, training=training), training=training)
        return self.logits(self.pool(x, training=training), training=training)


class Residual(Base):
    """Three blocks of two convolutions around a shortcut."""

    def make(self, channels: int) -> None:
        super().make(channels)
        self.convs = [Conv2D(8, 8, 3, name=f"conv_{number}", seed=0, use_bias=False) for number in range(6)]
        self.norms = [BatchNorm(8, name=f"norm_{number}") for number in range(6)]

    def body(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
        x = self.conv(x, training=training)
        for first in (0, 2, 4):
            y = x
            for number in (first, first + 1):
                y = tf.nn.relu(self.norms[number](self.convs[number](y, training=training), training=training))
            x = x + y
        return x


class Depthwise(Base):
    """A depthwise convolution by TensorFlow's own function."""

    def make(self, channels: int) -> None:
        super().make(channels)
        self.filters = tf.Variable(tf.ones([3, 3, 8, 1]), name="filters")

    def body(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
        x = self.conv(x, training=training)
        return tf.nn.depthwise_conv2d(x, tf.cast(self.filters, x.dtype), [1, 1, 1, 1], "SAME")


class Attention(Base):
    """Self-attention over the pixels, by `tf.einsum`."""

    def body(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
        x = self.conv(x, training=training)
        rows = tf.reshape(x, [-1, x.shape[1] * x.shape[2], 8])
        weights = tf.nn.softmax(tf.cast(tf.einsum("nic,njc->nij", rows, rows), tf.float32))
        return tf.reshape(tf.einsum("...ij,...jc->...ic", tf.cast(weights, x.dtype), rows), tf.shape(x))


class Mixed(Base):
    """Adds a float32 variable to whatever comes in."""

    def make(self, channels: int) -> None:
        super().make(channels)
        self.shift = tf.Variable(1.0, name="shift")

    def body(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
        return self.conv(x, training=training) + self.shift


class Reading(Base):
    """Reads its variables' values while it is built."""

    def make(self, channels: int) -> None:
        super().make(channels)
        assert np.isfinite(self.conv.weights.numpy()).all()


class Traced(Base):
    """Has a `tf.function` of its own, with a loop."""

    @tf.function
    def body(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
        x = self.conv(x, training=training)
        for _ in tf.range(3):
            x = x * 2
        return x


class Broken(Base):
    """Fails in every precision."""

    def body(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
        raise ValueError(f"no {x} in {training}")


def measured(cls: type | None, side: int = 6, model: str = "own", batch_size: int = 4, **sizes: Any) -> Any:
    plan = Architecture(model, (side, side, 3), NAMES, sizes=sizes)
    return workload.of_model(plan, batch_size, cls)


def kinds(found: Any) -> dict[str, int]:
    return dict(Counter(product.kind for product in found.products))


@pytest.mark.parametrize(
    ("cls", "expected"),
    [
        (Residual, {"convolution": 7, "product": 1}),
        (Depthwise, {"convolution": 1, "depthwise convolution": 1, "product": 1}),
        (Attention, {"convolution": 1, "product": 3}),
        (Reading, {"convolution": 1, "product": 1}),
        (Traced, {"convolution": 1, "product": 1}),
    ],
)
def test_the_products_of_own_networks_are_found(cls: type, expected: dict[str, int]) -> None:
    found = measured(cls)
    assert kinds(found) == expected
    assert found.refusal == ""
    assert {product.dtype for product in found.products} == {"bfloat16"}


@pytest.mark.parametrize(
    ("model", "side", "sizes", "expected"),
    [
        ("softmax", 32, {}, {"product": 1}),
        ("mlp", 28, {"hidden": (50, 50)}, {"product": 3}),
        ("mnist_cnn", 28, {}, {"convolution": 2, "product": 2}),
        ("cifar_cnn", 32, {}, {"convolution": 4, "product": 3}),
        ("cifar_cnn", 8, {"filters": (4, 8), "hidden": ()}, {"convolution": 2, "product": 1}),
    ],
)
def test_the_products_of_tfcores_networks(
    model: str, side: int, sizes: dict[str, Any], expected: dict[str, int]
) -> None:
    assert kinds(measured(None, side, model, **sizes)) == expected


def test_operations_are_those_of_a_batch_forward() -> None:
    found = measured(Depthwise, batch_size=5)
    convolution, depthwise, last = 2 * 5 * 36 * 9 * 3 * 8, 2 * 5 * 36 * 9 * 8, 2 * 5 * 8 * 10
    assert sorted(product.flops for product in found.products) == sorted([convolution, depthwise, last])
    assert (found.flops, found.largest) == (convolution + depthwise + last, convolution)
    assert len(found.convolutions) == 2


def test_the_operations_of_an_einsum_are_those_of_all_its_labels() -> None:
    found = measured(Attention)
    of_attention = 2 * 4 * 36 * 36 * 8
    assert sorted(product.flops for product in found.products if product.kind == "product")[1:] == [of_attention] * 2


def test_a_model_that_does_not_compute_in_bfloat16_says_why() -> None:
    found = measured(Mixed)
    assert {product.dtype for product in found.products} == {"float32"}
    assert "test_workload.py, line" in found.refusal
    assert "\n" not in found.refusal


def test_of_a_model_that_fails_in_every_precision_nothing_is_known() -> None:
    assert measured(Broken) is None


def test_unknown_sizes_leave_the_operations_open() -> None:
    @tf.function(input_signature=[tf.TensorSpec([None, 4]), tf.TensorSpec([4, None])])
    def unknown(x: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
        return tf.matmul(x, w)

    (product,) = products(unknown.get_concrete_function().graph.outputs)
    assert (product.kind, product.dtype, product.flops) == ("product", "float32", None)


THREADS = """
import tensorflow as tf
from tfcore.architecture import Architecture
from tfcore.build import workload

for model in ("softmax", "mlp", "mnist_cnn", "cifar_cnn"):
    assert workload.of_model(Architecture(model, (28, 28, 1), ("a", "b")), 8).products
tf.config.threading.set_intra_op_parallelism_threads(1)  # raises once TensorFlow has started its threads
print(tf.config.threading.get_intra_op_parallelism_threads())
"""


def test_the_number_of_threads_can_still_be_chosen() -> None:
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "1\n"
