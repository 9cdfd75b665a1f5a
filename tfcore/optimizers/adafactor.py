"""Adafactor."""

from collections.abc import Mapping
from typing import NamedTuple, Unpack

import tensorflow as tf

from tfcore import checks
from tfcore.optimizers.base import LearningRate, Optimizer
from tfcore.optimizers.chain import Chain
from tfcore.optimizers.update import Slots

_DECAY_POWER = -0.8
_LEAST_SQUARE = 1e-30  # epsilon_1 in the paper
_LEAST_SCALE = 1e-3  # epsilon_2


class Settings(NamedTuple):
    """The hyperparameters of `Adafactor`."""

    beta1: float
    scale_by_weights: bool


class Scalars(NamedTuple):
    """The values of one step."""

    learning_rate: tf.Tensor
    share: tf.Tensor  # 1 - beta2_t, that of the new gradient in the second moment


def is_factored(parameter: tf.Variable) -> bool:
    """Tells whether a parameter's second moment is kept as rows and columns: one of two or more dimensions."""
    return parameter.shape.rank >= 2


def rms(values: tf.Tensor) -> tf.Tensor:
    """Computes the root mean square of all elements: scalar, float32."""
    if values.shape.rank < 2:
        return tf.sqrt(tf.reduce_mean(tf.square(values)))
    # Column by column first: on a CPU, XLA adds up the sum of a whole tensor one number at a time.
    return tf.sqrt(tf.reduce_mean(tf.reduce_mean(tf.square(values), axis=-2)))


def second_moment(square: tf.Tensor, slots: Slots, share: tf.Tensor) -> Slots:
    """Moves the means of rows and columns, or the full second moment, towards the squared gradient."""
    if "v" in slots:
        return {"v": slots["v"] + share * (square - slots["v"])}
    row, column = tf.reduce_mean(square, axis=-1), tf.reduce_mean(square, axis=-2)
    return {
        "row": slots["row"] + share * (row - slots["row"]),
        "column": slots["column"] + share * (column - slots["column"]),
    }


def inverse_root(slots: Slots) -> tf.Tensor:
    """Computes 1 / sqrt(V), to be multiplied with the gradient, of the factored or the full second moment."""
    if "v" in slots:
        return tf.math.rsqrt(slots["v"])
    row, column = slots["row"], slots["column"]
    relative = row / tf.reduce_mean(row, axis=-1, keepdims=True)
    # Two roots: the product of row and column could be too small for float32.
    return tf.math.rsqrt(relative)[..., tf.newaxis] * tf.math.rsqrt(column)[..., tf.newaxis, :]


def adafactor_rule(
    gradient: tf.Tensor,
    slots: Slots,
    scalars: Scalars,
    settings: Settings,
    weights: tf.Tensor,
    weight_decay: tf.Tensor | None,
) -> tuple[tf.Tensor, Slots]:
    """Computes the change of one parameter and its new moments by `Adafactor`."""
    new = second_moment(tf.square(gradient) + _LEAST_SQUARE, slots, scalars.share)
    direction = gradient * inverse_root(new)
    direction /= tf.maximum(1.0, rms(direction))
    if "m" in slots:
        direction = new["m"] = slots["m"] + (1 - settings.beta1) * (direction - slots["m"])
    if settings.scale_by_weights:
        direction *= tf.maximum(_LEAST_SCALE, rms(weights))
    if weight_decay is not None:
        direction += weight_decay * weights
    return -scalars.learning_rate * direction, new


class Adafactor(Optimizer):
    """Adafactor: Adam's steps at a small share of its memory, relative to the size of the weights.

        R ← beta2_t · R + (1 - beta2_t) · mean over columns of (g² + 1e-30),  beta2_t = 1 - t^-0.8
        C ← beta2_t · C + (1 - beta2_t) · mean over rows of (g² + 1e-30)
        U = g / sqrt(V),  V = R · C / mean(R)
        m ← beta1 · m + (1 - beta1) · U / max(1, RMS(U))
        w ← w - learning_rate · max(1e-3, RMS(w)) · m - learning_rate · weight_decay · w

    with t = 1 for the first update, RMS(x) = sqrt(mean of x²), and w on the right the value before the update. A matrix
    [in, out] keeps in + out numbers, where Adam keeps 2 · in · out. Filters [h, w, in, out] are h · w matrices
    [in, out], one for each position, as in the authors' code and Keras. optax factors the two largest dimensions, which
    are the same for most filters, and only where both have at least 128 elements; PyTorch factors the last two, which
    are h and w there. Parameters of fewer than two dimensions have V ← beta2_t · V + (1 - beta2_t) · (g² + 1e-30) in
    full. With beta1 = 0, the default, there is no m.

    The learning rate is the schedule's. The paper's relative step min(0.01, 1 / sqrt(t)) in its place is a schedule of
    its own; Keras takes min(learning_rate, 1 / sqrt(t)), a difference for rates above 1 / sqrt(t) only. The rate is
    relative to the weights, so 0.01 moves them by about 1 % a step; without `scale_by_weights` it is absolute, as
    Adam's is, and a tenth or less of it is enough. Parameters that start at 0 have a scale of 1e-3 at first. optax and
    the paper scale by default too.

    Args:
        parameters: path -> float32 variable, in the order in which gradients will come.
        learning_rate: a number above 0, or a schedule.
        beta1: decay of the mean update, 0 <= beta1 < 1; 0 for none. It costs the memory of the parameters.
        scale_by_weights: whether the learning rate is relative to RMS(w).
        weight_decay: at least 0, decoupled as in `AdamW`.
        chain: what precedes and follows the rule, see `Optimizer`.

    Raises:
        ConfigError: no parameters, or an argument is out of range.
        ShapeError: a parameter that is not float32.

    Source: Shazeer & Stern 2018, arXiv 1804.04235, algorithms 4 and 5 with the settings of section 9.

    Example:
        >>> w = tf.Variable([[2.0, -2.0]])
        >>> optimizer = Adafactor({"w": w}, learning_rate=0.25)
        >>> optimizer.apply([tf.constant([[1000.0, 1000.0]])])
        >>> w.numpy().round(4).tolist()
        [[1.5, -2.5]]
        >>> {name: variable.shape.as_list() for name, variable in optimizer.variables.items()}
        {'step': [], 'row.w': [1], 'column.w': [2]}
    """

    _reads_weights = True

    def __init__(
        self,
        parameters: Mapping[str, tf.Variable],
        learning_rate: LearningRate = 0.01,
        *,
        beta1: float = 0.0,
        scale_by_weights: bool = True,
        weight_decay: float = 0.0,
        **chain: Unpack[Chain],
    ) -> None:
        checks.below_one("beta1", beta1)
        checks.not_negative("weight_decay", weight_decay)
        self.settings = Settings(beta1, scale_by_weights)
        self.weight_decay = weight_decay
        slots = {"m": 0.0} if beta1 else {}
        super().__init__(parameters, learning_rate, slots=slots | {"row": _row, "column": _column, "v": _full}, **chain)

    def _scalars(self, step: tf.Tensor, learning_rate: tf.Tensor) -> Scalars:
        share = tf.pow(tf.cast(step + 1, tf.float64), tf.constant(_DECAY_POWER, tf.float64))
        return Scalars(learning_rate, tf.cast(share, tf.float32))

    _rule = staticmethod(adafactor_rule)


def _row(parameter: tf.Variable) -> tf.Tensor | None:
    return tf.zeros(parameter.shape[:-1]) if is_factored(parameter) else None


def _column(parameter: tf.Variable) -> tf.Tensor | None:
    return tf.zeros([*parameter.shape[:-2], parameter.shape[-1]]) if is_factored(parameter) else None


def _full(parameter: tf.Variable) -> tf.Tensor | None:
    return None if is_factored(parameter) else tf.zeros(parameter.shape)
