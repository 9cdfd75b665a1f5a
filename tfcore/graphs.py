"""Reads the matrix products and convolutions off a traced graph, with their types and costs."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

# Attributes by which an operation names the functions that it runs: calls, branches and loops.
_FUNCTIONS = ("f", "then_branch", "else_branch", "cond", "body")
_CONVOLUTIONS = ("Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter", "DepthwiseConv2dNative",
                 "DepthwiseConv2dNativeBackpropInput", "DepthwiseConv2dNativeBackpropFilter")  # fmt: skip
_PRODUCTS = ("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum")


@dataclass(frozen=True)
class Product:
    """A matrix product or a convolution.

    Attributes:
        kind: `product`, `convolution` or `depthwise convolution`.
        dtype: the name of its result's type, such as `bfloat16`.
        flops: multiplications and additions; None if the graph does not hold all sizes.
    """

    kind: str
    dtype: str
    flops: int | None


def flops(function: Any) -> int:
    """Counts multiplications and additions of matrix products and convolutions in a concrete function and its callees.

        product of [m, k] and [k, n]                  2 · m · k · n
        convolution, or its gradient on either side   2 · N · H · W · size² · C_in · C_out, of the forward result H, W

    Multiplications by padding zeros are counted; of a depthwise convolution, C_in is 1. Elementwise operations are left
    out, as is usual, since memory bounds them. The body of a loop is counted once, since a graph does not hold its
    number of iterations.

    Args:
        function: a concrete function whose shapes are all known.
    """
    return sum(product.flops or 0 for product in products([*function.graph.outputs], function.graph.control_outputs))


def products(outputs: Sequence[tf.Tensor], side_effects: Sequence[tf.Operation] = ()) -> list[Product]:
    """Lists the products that the outputs and side effects depend on, with those of all functions that are called.

    A gradient that is traced but never used, such as that of the pictures, is left out.
    """
    found: dict[str, tf.Operation] = {}
    waiting = [*(tensor.op for tensor in outputs), *side_effects]
    while waiting:
        operation = waiting.pop()
        if operation.name not in found:
            found[operation.name] = operation
            waiting += [*(tensor.op for tensor in operation.inputs), *operation.control_inputs]
    return [product for operation in found.values() for product in _of_operation(operation)]


def _of_operation(operation: tf.Operation) -> Iterator[Product]:
    if operation.type in _CONVOLUTIONS:
        kind = "depthwise convolution" if operation.type.startswith("Depthwise") else "convolution"
        yield Product(kind, operation.outputs[0].dtype.name, _known(_convolution_flops, operation))
    elif operation.type in _PRODUCTS:
        count = _einsum_flops if operation.type == "Einsum" else _product_flops
        yield Product("product", operation.outputs[0].dtype.name, _known(count, operation))
    for name in _FUNCTIONS:
        if name in operation.node_def.attr and operation.node_def.attr[name].func.name:
            called = operation.graph._get_function(operation.node_def.attr[name].func.name).graph
            yield from products(called.outputs, called.control_outputs)


def _known(count: Callable[[tf.Operation], int], operation: tf.Operation) -> int | None:
    """Returns the count, or None where a size is unknown."""
    try:
        return count(operation)
    except (TypeError, ValueError):  # math.prod of None, and a shape of unknown rank
        return None


def _product_flops(operation: tf.Operation) -> int:
    """2 · (numbers in the result) · (length of the axis that is summed over)."""
    transposed = "transpose_a" if operation.type == "MatMul" else "adj_x"
    inner = operation.inputs[0].shape[-2 if operation.get_attr(transposed) else -1]
    return 2 * math.prod(operation.outputs[0].shape) * inner


def _einsum_flops(operation: tf.Operation) -> int:
    """2 · the product of the sizes of all labels."""
    terms = operation.get_attr("equation").decode().split("->")[0].split(",")
    sizes: dict[str, int] = {}
    rest: list[int] = []  # of the axes that `...` stands for, of the operand that has most of them
    for term, operand in zip(terms, operation.inputs, strict=True):
        before, _, after = term.partition("...")
        shape = list(operand.shape)
        sizes |= zip(before, shape, strict=False)
        sizes |= zip(reversed(after), reversed(shape), strict=False)
        rest = max(rest, shape[len(before) : len(shape) - len(after)], key=len)
    return 2 * math.prod(sizes.values()) * math.prod(rest)


def _convolution_flops(operation: tf.Operation) -> int:
    """2 · size · size · C_in operations for each number of the forward result, or of its gradient."""
    is_forward = "Backprop" not in operation.type
    result = operation.outputs[0] if is_forward else operation.inputs[2]  # [N, H, W, C_out]
    filters = operation.outputs[0] if operation.type.endswith("BackpropFilter") else operation.inputs[1]
    inner = 2 if operation.type.startswith("Depthwise") else 3  # axes of the filters that are summed over
    return 2 * math.prod(result.shape) * math.prod(filters.shape[:inner])
