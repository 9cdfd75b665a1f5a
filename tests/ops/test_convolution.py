"""The convolution's gradients: every form against float64, and the rule that chooses among them."""

import contextlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from reference import layers as reference

from tfcore import ops
from tfcore.layers import Conv2D
from tfcore.ops import convolution

# examples, height, width, channels, size of the filters, out
SHAPES = [(4, 5, 6, 3, 3, 2), (6, 4, 4, 2, 2, 5), (1, 7, 5, 4, 5, 3), (3, 3, 3, 1, 3, 1), (2, 4, 6, 3, 1, 4)]

each_dtype = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(tf.float32, 4e-6), (tf.bfloat16, 1e-2)], ids=["float32", "bfloat16"]
)


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape)


def close(found: Any, expected: np.ndarray, tolerance: float) -> None:
    np.testing.assert_allclose(tf.cast(found, tf.float64), expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("form", "part_pixels"),
    [(convolution.swapped, 8192), (convolution.swapped, 50), (convolution.shifted, 8192)],
    ids=["swapped", "swapped in parts", "shifted"],
)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("padding", ["same", "valid"])
@each_dtype
def test_each_form_against_loops(
    form: Any,
    part_pixels: int,
    shape: tuple[int, ...],
    padding: str,
    dtype: tf.DType,
    tolerance: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    examples, height, width, channels, size, out = shape
    if padding == "valid" and min(height, width) < size:
        height, width = height + size, width + size
    monkeypatch.setattr(convolution, "filter_gradient_form", lambda *_: form)
    monkeypatch.setattr(convolution, "_PART_PIXELS", part_pixels)
    x, weights = (
        tf.cast(numbers(examples, height, width, channels), dtype),
        tf.cast(numbers(size, size, channels, out), dtype),
    )

    @tf.function
    def run(x: tf.Tensor, weights: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            tape.watch((x, weights))
            y = ops.conv2d(x, weights, 1, padding.upper())
            upstream = tf.cast(tf.sin(tf.range(tf.cast(tf.size(y), tf.float32))), dtype)
        return y, upstream, tape.gradient(y, (x, weights), tf.reshape(upstream, y.shape))

    y, upstream, found = run(x, weights)
    wide = [tf.cast(tensor, tf.float64).numpy() for tensor in (x, weights, tf.reshape(upstream, y.shape))]
    close(y, reference.conv2d(wide[0], wide[1], np.zeros(out), 1, padding), tolerance)
    expected = reference.conv2d_gradients(*wide, 1, padding)
    close(found[0], expected[0], tolerance)
    close(found[1], expected[1], tolerance)


AVX2, AVX512, AMX = ({"avx2"}, {"avx2", "avx512f"}, {"avx2", "avx512f", "amx_bf16"})
SWAPPED, SHIFTED = convolution.swapped, convolution.shifted


@pytest.mark.parametrize(
    ("shape", "filters", "padding", "dtype", "flags", "form"),
    [
        ((128, 8, 8, 256), (3, 3, 256, 256), "SAME", "float32", AVX2, SWAPPED),
        ((128, 8, 8, 256), (3, 3, 256, 256), "SAME", "float32", AVX512, None),
        ((128, 8, 8, 256), (3, 3, 256, 256), "SAME", "float32", AMX, None),
        ((128, 8, 8, 256), (3, 3, 256, 256), "SAME", "float32", set(), None),
        ((128, 8, 8, 256), (3, 3, 256, 256), "SAME", "bfloat16", AVX2, None),
        ((128, 32, 32, 8), (1, 1, 8, 16), "SAME", "float32", AVX2, SHIFTED),  # one product
        ((128, 32, 32, 8), (1, 1, 8, 16), "SAME", "float32", AVX512, None),
        ((500, 7, 7, 256), (1, 1, 256, 256), "SAME", "bfloat16", AMX, None),
        ((128, 8, 8, 32), (3, 3, 32, 256), "SAME", "float32", AVX2, None),  # few channels
        ((128, 17, 17, 128), (3, 3, 128, 128), "SAME", "float32", AVX2, None),  # a large map
        ((128, 17, 17, 128), (3, 3, 128, 128), "VALID", "float32", AVX2, SWAPPED),
        ((128, 8, 8, 64), (3, 3, 64, 64), "SAME", "float32", AVX2, None),  # soon done either way
        ((101, 14, 14, 128), (3, 3, 128, 128), "SAME", "float32", AVX2, None),  # not to be divided
        ((None, 8, 8, 256), (3, 3, 256, 256), "SAME", "float32", AVX2, None),
        ((0, 8, 8, 256), (3, 3, 256, 256), "SAME", "float32", AVX2, None),
        ((500, 7, 7, 256), (3, 3, 256, 256), "SAME", "bfloat16", AMX, SHIFTED),
        ((500, 8, 8, 256), (3, 3, 256, 256), "SAME", "bfloat16", AMX, None),
        ((500, 7, 7, 64), (3, 3, 64, 256), "SAME", "bfloat16", AMX, None),
        ((500, 7, 7, 256), (3, 3, 256, 256), "SAME", "bfloat16", AVX512, None),
    ],
)
def test_the_form_follows_from_shapes_dtype_and_processor(
    monkeypatch: pytest.MonkeyPatch,
    shape: tuple[int | None, ...],
    filters: tuple[int, ...],
    padding: str,
    dtype: str,
    flags: set[str],
    form: Any,
) -> None:
    monkeypatch.setattr(convolution, "_processor_flags", lambda: flags)
    x, weights = tf.TensorSpec(shape, dtype), tf.TensorSpec(filters, dtype)
    assert convolution.filter_gradient_form(x, weights, padding) is form
    monkeypatch.setattr(convolution.machine, "has_gpu", lambda: True)
    assert convolution.filter_gradient_form(x, weights, padding) is None


@pytest.mark.parametrize(("channels", "out"), [(2, 3), (3, 16), (5, 50), (7, 7), (13, 4)])
@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize("is_plain", [False, True], ids=["fast", "plain"])
def test_filters_of_one_pixel_with_a_stride_have_the_same_gradient_each_time(
    channels: int, out: int, stride: int, is_plain: bool
) -> None:
    x, weights = (
        tf.constant(numbers(6, 12, 15, channels), tf.float32),
        tf.constant(numbers(1, 1, channels, out), tf.float32),
    )

    @tf.function
    def gradients(x: tf.Tensor, weights: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            tape.watch([x, weights])
            y = ops.conv2d(x, weights, stride, "SAME")
            loss = tf.reduce_sum(y * y)
        return tape.gradient(loss, [x, weights])

    with ops.plain() if is_plain else contextlib.nullcontext():
        found = [gradients(x, weights) for _ in range(10)]  # unlike each other where threads race
    kept = numbers(6, 12, 15, channels)[:, ::stride, ::stride].reshape(-1, channels)
    upstream = 2 * kept @ numbers(1, 1, channels, out)[0, 0]
    for from_x, from_weights in found:
        close(from_weights[0, 0], kept.T @ upstream, 4e-6)
        close(
            from_x[:, ::stride, ::stride],
            (upstream @ numbers(1, 1, channels, out)[0, 0].T).reshape(6, -(-12 // stride), -(-15 // stride), channels),
            4e-6,
        )


@pytest.mark.parametrize("padding", ["same", "symmetric"])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_layer_takes_it_where_it_is_compiled(monkeypatch: pytest.MonkeyPatch, stride: int, padding: str) -> None:
    calls = []
    monkeypatch.setattr(
        convolution, "filter_gradient_form", lambda *arguments: calls.append(arguments) or convolution.swapped
    )
    layer = Conv2D(3, 4, 3, name="conv", seed=0, stride=stride, padding=padding)
    x = tf.constant(numbers(4, 6, 6, 3), tf.float32)

    def run(x: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            y = tf.reduce_sum(tf.sin(layer(x, training=True)))
        return tape.gradient(y, [layer.weights, layer.biases])

    plain, fast = run(x), tf.function(run)(x)
    assert len(calls) == (1 if stride == 1 else 0)
    for found, expected in zip(fast, plain, strict=True):
        close(found, expected.numpy().astype(np.float64), 4e-6)
