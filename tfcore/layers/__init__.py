"""Layers: `tf.Module`s whose variables all exist, named, when `__init__` returns.

Every layer is called as `layer(x, *, training, key=None)`.
"""

from tfcore.layers.activation import Activation
from tfcore.layers.attention import MultiHeadAttention
from tfcore.layers.conv import Conv2D, DepthwiseConv2D
from tfcore.layers.dropout import Dropout
from tfcore.layers.flatten import Flatten
from tfcore.layers.linear import Linear
from tfcore.layers.norm import BatchNorm, GroupNorm, LayerNorm
from tfcore.layers.pixels import Pixels
from tfcore.layers.pool import AveragePool, GlobalAveragePool, GlobalMaxPool, MaxPool, SumPool
from tfcore.layers.residual import Residual
from tfcore.layers.sequential import Sequential
from tfcore.layers.stochastic_depth import StochasticDepth
from tfcore.layers.whitening import Whitening

__all__ = [
    "Activation", "AveragePool", "BatchNorm", "Conv2D", "DepthwiseConv2D", "Dropout", "Flatten", "GlobalAveragePool",
    "GlobalMaxPool", "GroupNorm", "LayerNorm", "Linear", "MaxPool", "MultiHeadAttention", "Pixels", "Residual",
    "Sequential", "StochasticDepth", "SumPool", "Whitening",
]  # fmt: skip
