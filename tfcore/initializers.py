"""Initial values of weights: pure functions of a shape and of two seed words, drawn without any generator's state."""

import math
from collections.abc import Callable, Sequence

import tensorflow as tf

from tfcore.errors import ShapeError

Words = tuple[int, int]

# The standard deviation of a standard normal distribution cut at two sigma.
_CUT_NORMAL_STDDEV = 0.87962566103423978


def _fans(shape: Sequence[int]) -> tuple[int, int]:
    """The inputs that one output sums over, and the outputs that one input reaches."""
    if len(shape) not in (2, 4) or min(shape) < 1:
        raise ShapeError(
            f"Weights must have shape [in, out] or [height, width, in, out], every size at least 1. "
            f"Received {tuple(shape)}. Biases start from `initializers.zeros`."
        )
    positions = math.prod(shape[:-2])
    return positions * shape[-2], positions * shape[-1]


def _cut_normal(shape: Sequence[int], words: Words, stddev: float) -> tf.Tensor:
    """Normal with this `stddev` before values past two of them are drawn again."""
    # Philox by name: the automatic choice depends on the device, and so would the initial values.
    return tf.random.stateless_truncated_normal(shape, seed=words, stddev=stddev, dtype=tf.float32, alg="philox")


def zeros(shape: Sequence[int], words: Words) -> tf.Tensor:  # noqa: ARG001 - one signature for the whole table
    """All zeros: for biases, and for the weights of a softmax regression.

    Args:
        shape: any shape.
        words: taken because every initializer takes them; nothing is drawn.

    Returns:
        Tensor `shape`, float32.
    """
    return tf.zeros(shape, tf.float32)


def truncated_normal(shape: Sequence[int], words: Words) -> tf.Tensor:
    """Normal values scaled by the fan-in and cut at two sigma.

        sigma = 1 / sqrt(fan_in)
        w ~ N(0, sigma²), drawn again while |w| > 2 sigma

    Cutting makes the actual standard deviation 0.88 sigma. Keras' `LecunNormal` divides sigma by that 0.88 so that the
    cut distribution has variance 1/fan_in; this function does not.

    Args:
        shape: [in, out] (fan_in = in) or [height, width, in, out] (fan_in = height · width · in), sizes at least 1.
        words: two signed 32-bit integers, as `seeds.words` gives them.

    Returns:
        Tensor `shape`, float32, within ±2 sigma; the same for the same words.

    Raises:
        ShapeError: the shape is none of the two.

    Source: LeCun, Bottou, Orr & Müller 1998, "Efficient BackProp", section 4.6 (the scale).
    """
    fan_in, _ = _fans(shape)
    return _cut_normal(shape, words, 1 / math.sqrt(fan_in))


def glorot_uniform(shape: Sequence[int], words: Words) -> tf.Tensor:
    """Uniform values that keep the variance of signals and of gradients through linear layers.

        limit = sqrt(6 / (fan_in + fan_out))
        w ~ U[-limit, limit)

    The same distribution as Keras' `GlorotUniform` and PyTorch's `xavier_uniform_`.

    Args:
        shape: [in, out] or [height, width, in, out], sizes at least 1; both fans count height · width.
        words: two signed 32-bit integers, as `seeds.words` gives them.

    Returns:
        Tensor `shape`, float32, within ±limit; the same for the same words.

    Raises:
        ShapeError: the shape is none of the two.

    Source: Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks", eq. 16.
    """
    limit = math.sqrt(6 / sum(_fans(shape)))
    return tf.random.stateless_uniform(shape, seed=words, minval=-limit, maxval=limit, dtype=tf.float32, alg="philox")


def he_normal(shape: Sequence[int], words: Words) -> tf.Tensor:
    """Cut normal values that keep the variance of signals through ReLU layers.

        sigma = sqrt(2 / fan_in) / 0.8796
        w ~ N(0, sigma²), drawn again while |w| > 2 sigma

    The 0.8796 makes the standard deviation after cutting sqrt(2 / fan_in), as Keras' `HeNormal` does. PyTorch's
    `kaiming_normal_` has the same deviation and does not cut.

    Args:
        shape: [in, out] (fan_in = in) or [height, width, in, out] (fan_in = height · width · in), sizes at least 1.
        words: two signed 32-bit integers, as `seeds.words` gives them.

    Returns:
        Tensor `shape`, float32; the same for the same words.

    Raises:
        ShapeError: the shape is none of the two.

    Source: He, Zhang, Ren & Sun 2015, arXiv 1502.01852, eq. 10.
    """
    fan_in, _ = _fans(shape)
    return _cut_normal(shape, words, math.sqrt(2 / fan_in) / _CUT_NORMAL_STDDEV)


INITIALIZERS: dict[str, Callable[[Sequence[int], Words], tf.Tensor]] = {
    "zeros": zeros,
    "truncated_normal": truncated_normal,
    "glorot": glorot_uniform,
    "he": he_normal,
}
