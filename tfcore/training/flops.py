"""Floating-point operations, counted in a traced graph."""

import math
from typing import Any

import tensorflow as tf


def count(function: Any) -> int:
    """Multiplications and additions of all matrix products in a concrete function, the functions it calls included.

    A product `[m, k] · [k, n]` is 2·m·k·n. Elementwise work is left out, as is usual: it is bound by memory.

    Args:
        function: a concrete function whose shapes are all known.
    """
    return _graph_flops(function.graph)


def _graph_flops(graph: tf.Graph) -> int:
    return sum(_operation_flops(operation) for operation in graph.get_operations())


def _operation_flops(operation: tf.Operation) -> int:
    if operation.type == "MatMul":
        inner = operation.inputs[0].shape[0 if operation.get_attr("transpose_a") else 1]
        return 2 * math.prod(operation.outputs[0].shape) * inner
    if operation.type in ("PartitionedCall", "StatefulPartitionedCall"):
        return _graph_flops(operation.graph._get_function(operation.get_attr("f").name).graph)
    return 0
