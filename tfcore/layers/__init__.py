"""Layers: `tf.Module`s whose variables all exist, named, when `__init__` returns.

Every layer is called as `layer(x, *, training, key=None)`.
"""

from tfcore.layers.activation import Activation
from tfcore.layers.conv import Conv2D, DepthwiseConv2D
from tfcore.layers.dropout import Dropout
from tfcore.layers.flatten import Flatten
from tfcore.layers.linear import Linear
from tfcore.layers.norm import BatchNorm, LayerNorm
from tfcore.layers.pixels import Pixels
from tfcore.layers.pool import AveragePool, GlobalAveragePool, MaxPool, SumPool
from tfcore.layers.residual import Residual
from tfcore.layers.sequential import Sequential

__all__ = [
    "Activation", "AveragePool", "BatchNorm", "Conv2D", "DepthwiseConv2D", "Dropout", "Flatten", "GlobalAveragePool",
    "LayerNorm", "Linear", "MaxPool", "Pixels", "Residual", "Sequential", "SumPool",
]  # fmt: skip
