"""Fast paths: the same functions as plain TensorFlow's, in fewer passes over memory."""

from tfcore.ops.activations import gelu, silu
from tfcore.ops.dropout import dropout, relu_dropout
from tfcore.ops.fused import enabled, fused, kernel, plain

__all__ = ["dropout", "enabled", "fused", "gelu", "kernel", "plain", "relu_dropout", "silu"]
