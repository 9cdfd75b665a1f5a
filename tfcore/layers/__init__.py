"""Layers: `tf.Module`s whose variables all exist, named, when `__init__` returns.

Every layer is called as `layer(x, *, training, key=None)`.
"""

from tfcore.layers.activation import Relu
from tfcore.layers.flatten import Flatten
from tfcore.layers.linear import Linear
from tfcore.layers.pixels import Pixels
from tfcore.layers.sequential import Sequential

__all__ = ["Flatten", "Linear", "Pixels", "Relu", "Sequential"]
