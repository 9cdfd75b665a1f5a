"""Optimizers: each is given its parameters at construction and applies one update a call."""

from tfcore.optimizers.adam import Adam
from tfcore.optimizers.adamw import AdamW
from tfcore.optimizers.base import Optimizer, global_norm
from tfcore.optimizers.gradient_descent import GradientDescent
from tfcore.optimizers.momentum import Momentum

__all__ = ["Adam", "AdamW", "GradientDescent", "Momentum", "Optimizer", "global_norm"]
