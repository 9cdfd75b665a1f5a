"""Faster implementations of TensorFlow functions, with the plain ones as references."""

from tfcore.ops.activations import gelu, silu
from tfcore.ops.convolution import conv2d, with_biases
from tfcore.ops.dropout import drop_examples, dropout, relu_dropout
from tfcore.ops.folding import folded
from tfcore.ops.fused import enabled, fused, kernel, plain
from tfcore.ops.layer_norm import layer_norm
from tfcore.ops.products import product
from tfcore.ops.words import example_words, mixed

__all__ = [
    "conv2d",
    "drop_examples",
    "dropout",
    "enabled",
    "example_words",
    "folded",
    "fused",
    "gelu",
    "kernel",
    "layer_norm",
    "mixed",
    "plain",
    "product",
    "relu_dropout",
    "silu",
    "with_biases",
]  # fmt: skip
