"""The convolution, with the gradient of its filters computed in the form that is fastest for its shape."""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfcore import machine
from tfcore.ops.fused import enabled, with_gradient

Form = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

_SWAPPED_MAP, _SWAPPED_CHANNELS, _SWAPPED_FLOPS = 16 * 16, 64, 1e9  # at most, at least, at least
_PART_PIXELS = 8192  # of the swapped convolution's filters at a time; more of them leave the cache
_FEWEST_EXAMPLES = 16  # in a part
_SHIFTED_MAP, _SHIFTED_CHANNELS = 7 * 7, 128
_VECTOR = 16  # channels: a vector of 512 bits in float32
_processor_flags = functools.cache(machine.processor_flags)


def conv2d(x: tf.Tensor, weights: tf.Tensor, stride: int, padding: str) -> tf.Tensor:
    """`tf.nn.conv2d(x, weights, stride, padding)` with a faster gradient of the filters of small maps.

    That gradient sums over all pixels of the batch, for few results. On small maps, oneDNN computes it at a third to
    four fifths of the rate of the forward convolution.

    Filters of one pixel with a stride get every stride-th pixel and the stride 1 where the channels do not fill one of
    oneDNN's vectors: there, its threads overwrite each other's input (TensorFlow 2.21), and the gradient of the filters
    is off by as much as its size, differently at each call.

    Args:
        x: `[N, H, W, in]`, float32 or bfloat16.
        weights: `[K, L, in, out]`, of the same type.
        stride: both ways.
        padding: `SAME` or `VALID`.
    """
    if stride > 1 and weights.shape[:2] == (1, 1) and weights.shape[2] < _VECTOR:
        x, stride = x[:, ::stride, ::stride], 1
    form = filter_gradient_form(x, weights, padding) if enabled() and stride == 1 else None
    return tf.nn.conv2d(x, weights, stride, padding) if form is None else _with_form(x, weights, padding, form)


def filter_gradient_form(x: tf.Tensor, weights: tf.Tensor, padding: str) -> Form | None:
    """Chooses by shapes, dtype and processor; None for TensorFlow's own gradient.

    In float32 on processors with AVX2 and without AVX-512: `shifted` for filters of one pixel, which is a product, and
    `swapped` for others. In bfloat16 on those with AMX: `shifted`. Each was slower than TensorFlow's on the other kind
    of processor, or was not measured there.
    """
    height, width, channels, out = weights.shape
    if machine.has_gpu() or not x.shape.num_elements():  # None where a size is unknown
        return None
    examples, rows, columns, _ = x.shape
    lost = (height - 1, width - 1) if padding == "VALID" else (0, 0)
    pixels, fewest = (rows - lost[0]) * (columns - lost[1]), min(channels, out)
    flops = 2 * examples * pixels * height * width * channels * out
    flags = _processor_flags()
    if x.dtype == tf.bfloat16:
        gains = "amx_bf16" in flags and height * width > 1 and pixels <= _SHIFTED_MAP and fewest >= _SHIFTED_CHANNELS
        return shifted if gains else None
    if x.dtype != tf.float32 or "avx2" not in flags or "avx512f" in flags:
        return None
    if height * width == 1:
        return shifted
    is_small = pixels <= _SWAPPED_MAP and _part(examples, pixels) >= _FEWEST_EXAMPLES
    is_heavy = fewest >= _SWAPPED_CHANNELS and flops >= _SWAPPED_FLOPS
    return swapped if is_small and is_heavy else None


def _part(examples: int, pixels: int) -> int:
    """Returns the greatest divisor of the batch that keeps a part at `_PART_PIXELS`."""
    most = max(_PART_PIXELS // pixels, 1)
    return max(part for part in range(1, min(most, examples) + 1) if examples % part == 0)


def with_biases(y: tf.Tensor, biases: tf.Tensor) -> tf.Tensor:
    """Adds the biases `[C]`, float32, in the dtype of y; their gradient is summed in float32.

    In float32, `tf.nn.bias_add` fuses with the convolution, forward and (oneDNN) backward. In bfloat16 its gradient,
    `BiasAddGrad`, accumulates in bfloat16 wherever oneDNN does not fuse it: 131,072 numbers that sum to 13,120 gave 64.
    The gradient of a broadcast addition is `Sum`, which accumulates in float32 and rounds once, in as much time; oneDNN
    fuses the addition with the convolution and a ReLU as it fuses `BiasAdd`.
    """
    if y.dtype == biases.dtype:
        return tf.nn.bias_add(y, biases)
    return y + tf.cast(biases, y.dtype)


@with_gradient
def _with_form(x: tf.Tensor, weights: tf.Tensor, padding: str, form: Form) -> Any:
    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        height, width = weights.shape[:2]
        missing = (height - 1, width - 1) if padding == "SAME" else (0, 0)
        before = (missing[0] // 2, missing[1] // 2)
        around = [[0, 0], *([low, both - low] for low, both in zip(before, missing, strict=True)), [0, 0]]
        from_x = tf.raw_ops.Conv2DBackpropInput(
            input_sizes=x.shape, filter=weights, out_backprop=upstream, strides=[1, 1, 1, 1], padding=padding
        )
        return from_x, form(tf.pad(x, around), upstream)

    return tf.nn.conv2d(x, weights, 1, padding), gradient


def swapped(padded: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
    """The gradient of the filters as a convolution in which examples take the place of channels.

    W̄[a, b, c, o] = Σ over n, i, j of x[n, i + a, j + b, c] · ȳ[n, i, j, o] is the convolution of the pictures
    x'[c, i, j, n] with the filters ȳ'[i, j, n, o]; parts of the batch are added up.

    Args:
        padded: x with zeros around it, `[N, H + K - 1, W + L - 1, in]`.
        upstream: the gradient of the result, `[N, H, W, out]`.

    Returns:
        `[K, L, in, out]`.
    """
    examples, height, width, _ = upstream.shape
    parts = examples // _part(examples, height * width)
    sums = [
        tf.nn.conv2d(tf.transpose(pictures, [3, 1, 2, 0]), tf.transpose(filters, [1, 2, 0, 3]), 1, "VALID")
        for pictures, filters in zip(tf.split(padded, parts), tf.split(upstream, parts), strict=True)
    ]
    return tf.transpose(tf.add_n(sums), [1, 2, 0, 3])


def shifted(padded: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
    """The gradient of the filters as a product for each of their pixels, of shifted pictures; see `swapped`."""
    _, height, width, out = upstream.shape
    channels = padded.shape[3]
    rows = tf.reshape(upstream, [-1, out])
    sizes = [padded.shape[1] - height + 1, padded.shape[2] - width + 1]
    products = [
        tf.matmul(tf.reshape(padded[:, a : a + height, b : b + width], [-1, channels]), rows, transpose_a=True)
        for a in range(sizes[0])
        for b in range(sizes[1])
    ]
    return tf.reshape(tf.stack(products), [*sizes, channels, out])
