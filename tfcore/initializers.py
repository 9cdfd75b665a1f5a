"""Initial values of weights: pure functions of a shape and of two seed words, drawn without generator state."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import tensorflow as tf

from tfcore import checks
from tfcore.errors import ConfigError, ShapeError

Words = tuple[int, int]
Initializer = Callable[[Sequence[int], Words], tf.Tensor]

# The standard deviation of a standard normal distribution truncated at two sigma.
_CUT_NORMAL_STDDEV = 0.87962566103423978


def find(name: str) -> Initializer:
    """Finds an initializer by name: one of `INITIALIZERS`, or `constant:VALUE`.

    Raises:
        ConfigError: an unknown name.
    """
    kind, _, text = name.partition(":")
    if kind != "constant":
        checks.one_of("initializer", name, (*INITIALIZERS, "constant:VALUE"))
        return INITIALIZERS[name]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"`initializer` must name its value, as in constant:0.1. Received '{name}'.")
    return partial(constant, value=value)


def zeros(shape: Sequence[int], words: Words) -> tf.Tensor:
    """Fills with zeros, for the weights of a softmax regression, whose loss is convex. See `constant`."""
    return constant(shape, words, value=0.0)


def ones(shape: Sequence[int], words: Words) -> tf.Tensor:
    """Fills with ones. See `constant`."""
    return constant(shape, words, value=1.0)


def constant(shape: Sequence[int], words: Words, *, value: float) -> tf.Tensor:  # noqa: ARG001 - all initializers have one signature
    """Fills with one value.

    Args:
        shape: any shape.
        words: ignored; every initializer takes them.
        value: the value.

    Returns:
        Tensor `shape`, float32.
    """
    return tf.fill(shape, tf.constant(value, tf.float32))


def truncated_normal(shape: Sequence[int], words: Words) -> tf.Tensor:
    """Draws normal values scaled by the fan-in and truncated at two sigma.

        sigma = 1 / sqrt(fan_in)
        w ~ N(0, sigma²), drawn again while |w| > 2 sigma

    Truncation makes the actual standard deviation 0.88 sigma; `lecun_normal` corrects for that, this function does not.

    Args:
        shape: [in, out] (fan_in = in) or [height, width, in, out] (fan_in = height · width · in), sizes at least 1.
        words: two signed 32-bit integers, as `seeds.words` gives them.

    Returns:
        Tensor `shape`, float32, within ±2 sigma; the same for the same words.

    Raises:
        ShapeError: the shape has neither form.

    Source: LeCun, Bottou, Orr & Müller 1998, "Efficient BackProp", section 4.6 (the scale).
    """
    fan_in, _ = _fans(shape)
    return _cut_normal(shape, words, 1 / math.sqrt(fan_in))


def glorot_uniform(shape: Sequence[int], words: Words) -> tf.Tensor:
    """Draws uniform values of variance 2 / (fan_in + fan_out), which preserves signal and gradient variance.

    PyTorch's `xavier_uniform_`. Source: Glorot & Bengio 2010, "Understanding the difficulty of training deep
    feedforward neural networks", eq. 16. See `_uniform`.
    """
    return _uniform(shape, words, 2 / sum(_fans(shape)))


def glorot_normal(shape: Sequence[int], words: Words) -> tf.Tensor:
    """Draws truncated normal values of variance 2 / (fan_in + fan_out).

    Source: as `glorot_uniform`, eq. 12. See `_normal`.
    """
    return _normal(shape, words, 2 / sum(_fans(shape)))


def he_uniform(shape: Sequence[int], words: Words) -> tf.Tensor:
    """Draws uniform values of variance 2 / fan_in. Source: as `he_normal`. See `_uniform`."""
    return _uniform(shape, words, 2 / _fans(shape)[0])


def he_normal(shape: Sequence[int], words: Words) -> tf.Tensor:
    """Draws truncated normal values of variance 2 / fan_in, which preserves signal variance through ReLU layers.

    Source: He, Zhang, Ren & Sun 2015, arXiv 1502.01852, eq. 10. See `_normal`.
    """
    return _normal(shape, words, 2 / _fans(shape)[0])


def lecun_uniform(shape: Sequence[int], words: Words) -> tf.Tensor:
    """Draws uniform values of variance 1 / fan_in. Source: as `truncated_normal`, eq. 16 there. See `_uniform`."""
    return _uniform(shape, words, 1 / _fans(shape)[0])


def lecun_normal(shape: Sequence[int], words: Words) -> tf.Tensor:
    """Draws truncated normal values of variance 1 / fan_in. Source: `truncated_normal`, eq. 16. See `_normal`."""
    return _normal(shape, words, 1 / _fans(shape)[0])


def fan_in_uniform(shape: Sequence[int], words: Words) -> tf.Tensor:
    """Draws uniform values in ±1 / sqrt(fan_in), of variance 1 / (3 fan_in).

    What PyTorch's `Conv2d` and `Linear` start from (`kaiming_uniform_` with a = sqrt(5)). See `_uniform`.
    """
    return _uniform(shape, words, 1 / (3 * _fans(shape)[0]))


def partial_identity(shape: Sequence[int], words: Words) -> tf.Tensor:
    """Makes each of the first filters of a convolution copy a channel; all other weights are those of `fan_in_uniform`.

        W[a, b, c, o] = 1 if a, b are the middle of the filter and c = o, else 0,   for o < in

    For an even size, the middle is the pixel after it. PyTorch's `dirac_` of the first `in` filters.

    Args:
        shape: [height, width, in, out]; a matrix [in, out] is wholly drawn.
        words: as `truncated_normal`.

    Returns:
        Tensor `shape`, float32; the same for the same words.

    Raises:
        ShapeError: the shape has neither form.

    Source: Jordan 2024, arXiv 2404.00498, section 3.
    """
    drawn = fan_in_uniform(shape, words)
    if len(shape) == 2:
        return drawn
    height, width, channels, filters = shape
    copy = np.zeros(shape, np.float32)
    copy[height // 2, width // 2] = np.eye(channels, filters)
    return tf.where(np.arange(filters) < channels, copy, drawn)


INITIALIZERS: dict[str, Initializer] = {
    "zeros": zeros,
    "ones": ones,
    "truncated_normal": truncated_normal,
    "glorot_uniform": glorot_uniform,
    "glorot_normal": glorot_normal,
    "he_uniform": he_uniform,
    "he_normal": he_normal,
    "lecun_uniform": lecun_uniform,
    "lecun_normal": lecun_normal,
    "fan_in_uniform": fan_in_uniform,
    "partial_identity": partial_identity,
}


def _fans(shape: Sequence[int]) -> tuple[int, int]:
    """Computes (fan_in, fan_out); both include the factor height · width."""
    if len(shape) not in (2, 4) or min(shape) < 1:
        raise ShapeError(
            f"Weights must have shape [in, out] or [height, width, in, out], every size at least 1. "
            f"Received {tuple(shape)}. Biases start from `initializers.zeros`."
        )
    positions = math.prod(shape[:-2])
    return positions * shape[-2], positions * shape[-1]


def _uniform(shape: Sequence[int], words: Words, variance: float) -> tf.Tensor:
    """w ~ U[-limit, limit), limit = sqrt(3 · variance): float32 `shape`, the same for the same words."""
    limit = math.sqrt(3 * variance)
    # Philox by name: the automatic choice depends on the device, which would change the initial values.
    return tf.random.stateless_uniform(shape, seed=words, minval=-limit, maxval=limit, dtype=tf.float32, alg="philox")


def _normal(shape: Sequence[int], words: Words, variance: float) -> tf.Tensor:
    """w ~ N(0, sigma²), drawn again while |w| > 2 sigma, with sigma = sqrt(variance) / 0.8796.

    The result has this variance after the truncation. Keras' normal initializers do the same; PyTorch's
    `kaiming_normal_` and `xavier_normal_` do not truncate.
    """
    return _cut_normal(shape, words, math.sqrt(variance) / _CUT_NORMAL_STDDEV)


def _cut_normal(shape: Sequence[int], words: Words, stddev: float) -> tf.Tensor:
    """Draws normal values of this `stddev`, redrawing those beyond two standard deviations."""
    return tf.random.stateless_truncated_normal(shape, seed=words, stddev=stddev, dtype=tf.float32, alg="philox")
