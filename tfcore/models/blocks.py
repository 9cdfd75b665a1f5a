"""Parts that the built-in networks share: residual blocks and what comes before and after them."""

from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from tfcore.layers import (
    Activation,
    BatchNorm,
    Conv2D,
    GlobalAveragePool,
    Linear,
    Sequential,
)  # fmt: skip
from tfcore.seeds import Key

Layers = dict[str, tf.Module]


class Block(Sequential):
    """y = body(h) + shortcut(h), or body(h) + x without a shortcut; h = before(x).

    `Residual` with all layers as its own attributes, so paths read `block_1_2.conv_1.weights`.

    Args:
        body: layers by name.
        name: the block's path in its model.
        before: layers that body and shortcut share, such as a norm.
        shortcut: a layer that gives the shape of the body's result; None for x itself.
    """

    def __init__(
        self, body: Layers, *, name: str, before: Layers | None = None, shortcut: tf.Module | None = None
    ) -> None:
        super().__init__((before or {}) | body, name=name)
        self._before, self._body = tuple(before or {}), tuple(body)
        self.shortcut = shortcut

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        h = self._through(self._before, x, training=training, key=key)
        beside = x if self.shortcut is None else self.shortcut(h, training=training, key=key)
        return self._through(self._body, h, training=training, key=key) + beside


def places(counts: Sequence[int]) -> Iterator[tuple[int, str, int]]:
    """Yields number of the group, name and stride of each block; the first block of every later group halves pictures.

    Args:
        counts: number of blocks in each group.
    """
    for group, count in enumerate(counts, start=1):
        for number in range(1, count + 1):
            yield group, f"{group}_{number}", 2 if group > 1 and number == 1 else 1


def convolution(
    channels: int, filters: int, size: int, name: str, *, stride: int = 1, padding: str = "symmetric", **shared: Any
) -> Conv2D:
    """A convolution without a bias, padded as in the published residual networks; `shared` are seed and initializer."""
    return Conv2D(channels, filters, size, name=name, stride=stride, padding=padding, use_bias=False, **shared)


def batch_norm(features: int, name: str) -> BatchNorm:
    """With the momentum and epsilon of the published networks; tfcore's own defaults move more slowly."""
    return BatchNorm(features, name=name, momentum=0.9, epsilon=1e-5)


def normed(
    block: str, number: int, channels: int, filters: int, size: int, *, stride: int = 1, **shared: Any
) -> Layers:
    """A convolution and the batch norm after it, as `conv_N` and `norm_N` of a block."""
    conv, norm = f"conv_{number}", f"norm_{number}"
    return {
        conv: convolution(channels, filters, size, f"{block}_{conv}", stride=stride, **shared),
        norm: batch_norm(filters, f"{block}_{norm}"),
    }


def basic(block: str, channels: int, filters: int, stride: int, **shared: Any) -> Layers:
    """The body of a block: two convolutions of 3×3, each with a batch norm, and a ReLU between them."""
    first = normed(block, 1, channels, filters, 3, stride=stride, **shared)
    return first | {"relu": Activation("relu")} | normed(block, 2, filters, filters, 3, **shared)


def projection(block: str, channels: int, filters: int, stride: int, **shared: Any) -> Sequential | None:
    """The shortcut of a block: a convolution of 1×1 with a batch norm; None where the shape stays as it is."""
    if channels == filters and stride == 1:
        return None
    conv = convolution(channels, filters, 1, f"{block}_shortcut_conv", stride=stride, **shared)
    return Sequential({"conv": conv, "norm": batch_norm(filters, f"{block}_shortcut_norm")}, name="shortcut")


def stem(channels: int, filters: int, size: int, *, stride: int = 1, **shared: Any) -> Layers:
    """The layers before the first block: a convolution of the scaled pictures, batch norm, ReLU."""
    conv = convolution(channels, filters, size, "conv", stride=stride, **shared)
    return {"conv": conv, "norm": batch_norm(filters, "norm"), "relu": Activation("relu")}


def head(channels: int, classes: int, **shared: Any) -> Layers:
    """The layers after the last block: the mean over the picture, and the logits."""
    return {"pool": GlobalAveragePool(), "logits": Linear(channels, classes, name="logits", **shared)}
