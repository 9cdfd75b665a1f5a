"""Folds a factor and a shift of each channel into the product that computed it."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfcore.ops.convolution import with_biases
from tfcore.ops.fused import enabled

_ATTRIBUTES = {
    "Conv2D": ("strides", "padding", "explicit_paddings", "data_format", "dilations"),
    "DepthwiseConv2dNative": ("strides", "padding", "explicit_paddings", "data_format", "dilations"),
    "MatMul": ("transpose_a", "transpose_b"),
}


def folded(x: tf.Tensor, factor_and_shift: Callable[[], tuple[tf.Tensor, tf.Tensor]]) -> tf.Tensor | None:
    """Returns factor · x + shift as one product, if x is a product whose weights can take the factor.

    With x = u W + b it is u (W · factor) + (b · factor + shift): a batch normalisation by moving averages then costs no
    pass over x. The product x itself is left out of the graph when nothing else uses it.

    Args:
        x: a tensor of the graph that is being traced, the last axis being the channels.
        factor_and_shift: gives both, float32 `[C]`; called only where they are used.

    Returns:
        A tensor like x; None where x is anything but the result of a convolution or matrix product, with or without
        biases, that nothing has used so far, and under `plain`.
    """
    if not enabled() or x.consumers():
        return None
    product, biases = _parts(x)
    attributes = _ATTRIBUTES.get(product.op.type)
    if attributes is None or product.graph is not tf.compat.v1.get_default_graph():
        return None
    given = {name: product.op.get_attr(name) for name in attributes}
    if given.get("transpose_b") or given.get("data_format", b"NHWC") != b"NHWC":
        return None
    factor, shift = factor_and_shift()
    inputs, weights = product.op.inputs
    across = factor[:, tf.newaxis] if product.op.type == "DepthwiseConv2dNative" else factor
    scaled = tf.cast(_in_float32(weights) * across, weights.dtype)
    y = _again(product.op.type, inputs, scaled, given)
    return with_biases(y, shift if biases is None else _in_float32(biases) * factor + shift)


def _parts(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Splits a sum into the product and its biases; x itself and None if it is no such sum."""
    if x.op.type in ("BiasAdd", "AddV2"):
        product, biases = x.op.inputs
        if product.op.type in _ATTRIBUTES and biases.shape.rank == 1 and len(product.consumers()) == 1:
            return product, biases
    return x, None


def _in_float32(tensor: tf.Tensor) -> tf.Tensor:
    """Returns the float32 tensor that was cast to this one, or a cast of it."""
    if tensor.op.type == "Cast" and tensor.op.inputs[0].dtype == tf.float32:
        return tensor.op.inputs[0]
    return tf.cast(tensor, tf.float32)


def _again(kind: str, x: tf.Tensor, weights: tf.Tensor, attributes: dict[str, Any]) -> tf.Tensor:
    """Computes the product of that kind with other weights."""
    if kind == "MatMul":
        return tf.raw_ops.MatMul(a=x, b=weights, **attributes)
    return getattr(tf.raw_ops, kind)(input=x, filter=weights, **attributes)
