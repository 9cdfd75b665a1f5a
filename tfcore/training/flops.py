"""Counts the floating-point operations of a traced graph."""

import math
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_CONVOLUTIONS = ("Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter")


def count(function: Any) -> int:
    """Counts multiplications and additions of matrix products and convolutions in a concrete function and its callees.

        product of [m, k] and [k, n]                  2 · m · k · n
        convolution, or its gradient on either side   2 · N · H · W · size² · C_in · C_out, of the forward result H, W

    Multiplications by padding zeros are counted. Elementwise operations are left out, as is usual, since memory bounds
    them, and so are the bodies of loops, since a graph does not hold their number of iterations.

    Args:
        function: a concrete function whose shapes are all known.
    """
    return _graph_flops(function.graph)


def _graph_flops(graph: tf.Graph) -> int:
    return sum(_operation_flops(operation) for operation in _needed(graph))


def _needed(graph: tf.Graph) -> Iterable[tf.Operation]:
    """The operations that outputs and side effects depend on: gradients of the input are traced but never computed."""
    found: dict[str, tf.Operation] = {}
    waiting = [*(tensor.op for tensor in graph.outputs), *graph.control_outputs]
    while waiting:
        operation = waiting.pop()
        if operation.name not in found:
            found[operation.name] = operation
            waiting += [*(tensor.op for tensor in operation.inputs), *operation.control_inputs]
    return found.values()


def _operation_flops(operation: tf.Operation) -> int:
    if operation.type == "MatMul":
        inner = operation.inputs[0].shape[0 if operation.get_attr("transpose_a") else 1]
        return 2 * math.prod(operation.outputs[0].shape) * inner
    if operation.type in _CONVOLUTIONS:
        return _convolution_flops(operation)
    if operation.type in _CALLS:
        return _graph_flops(operation.graph._get_function(operation.get_attr("f").name).graph)
    return 0


def _convolution_flops(operation: tf.Operation) -> int:
    """2 · size · size · C_in operations for each number of the forward result, or of its gradient."""
    result = operation.outputs[0] if operation.type == "Conv2D" else operation.inputs[2]  # [N, H, W, C_out]
    filters = operation.outputs[0] if operation.type == "Conv2DBackpropFilter" else operation.inputs[1]
    return 2 * math.prod(result.shape) * math.prod(filters.shape[:3])
