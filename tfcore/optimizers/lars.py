"""LARS: momentum with a learning rate for each layer."""

from collections.abc import Mapping
from typing import NamedTuple, Unpack

import tensorflow as tf

from tfcore import checks
from tfcore.optimizers import momentum as heavy_ball
from tfcore.optimizers.base import LearningRate, Optimizer
from tfcore.optimizers.chain import Chain
from tfcore.optimizers.update import Slots


class Settings(NamedTuple):
    """The hyperparameters of `Lars`."""

    momentum: heavy_ball.Settings
    trust_coefficient: float


def is_adapted(weights: tf.Tensor) -> bool:
    """Tells whether a parameter gets a rate of its own: one of two or more dimensions, no bias and no scale."""
    return weights.shape.rank >= 2


def norm(matrix: tf.Tensor) -> tf.Tensor:
    """Computes the Euclidean norm of a tensor of two or more dimensions: scalar, float32."""
    columns = matrix.shape[-1]
    # A product with ones: on a CPU, XLA adds up the sum of a whole tensor one number at a time, at thrice the cost.
    rows = tf.linalg.matvec(tf.reshape(tf.square(matrix), [-1, columns]), tf.ones([columns]))
    return tf.sqrt(tf.reduce_sum(rows))


def trust_ratio(weights_norm: tf.Tensor, update_norm: tf.Tensor) -> tf.Tensor:
    """Computes weights_norm / update_norm, or 1 where one of them is 0: scalars, float32."""
    return tf.where((weights_norm > 0) & (update_norm > 0), weights_norm / update_norm, 1.0)


def lars_rule(
    gradient: tf.Tensor,
    slots: Slots,
    minus_rate: tf.Tensor,
    settings: Settings,
    weights: tf.Tensor,
    weight_decay: tf.Tensor | None,
) -> tuple[tf.Tensor, Slots]:
    """Computes the change of one parameter and its new velocity by `Lars`; `minus_rate` = -learning_rate."""
    decayed = gradient if weight_decay is None else gradient + weight_decay * weights
    if is_adapted(weights):
        size, scale = norm(weights), norm(gradient)
        scale = scale if weight_decay is None else scale + weight_decay * size
        decayed *= trust_ratio(settings.trust_coefficient * size, scale)
    return heavy_ball.momentum_rule(decayed, slots, minus_rate, settings.momentum)


class Lars(Optimizer):
    """LARS: momentum whose steps are, in each parameter, proportional to the norm of the weights.

        lambda = trust_coefficient · |w| / (|g| + weight_decay · |w|)        1 where |w| or the denominator is 0
        v ← momentum · v - learning_rate · lambda · (g + weight_decay · w)
        w ← w + v

    for large batches, with a warm-up. Parameters of fewer than two dimensions, biases and the scales of norms, have
    lambda = 1: the paper does not mention them, Google's reference code excludes them by name and others by dimension,
    as here. The decay is part of the gradient, as in the paper. Reference codes exempt biases and norms from it too:
    `--decayed_variables` does so by default, and in Python a `Group` with weight_decay 0. A layer's
    steps do not depend on the size of its gradient: without momentum their norm is learning_rate · trust_coefficient of
    the weights', so rates are near 1 for small batches, and several times that for batches of thousands.

    Args:
        parameters: path -> float32 variable, in the order in which gradients will come.
        learning_rate: a number above 0, or a schedule.
        momentum: share of the velocity that is kept, 0 <= momentum < 1.
        weight_decay: at least 0.
        trust_coefficient: eta in the paper, above 0.
        chain: what precedes and follows the rule, see `Optimizer`.

    Raises:
        ConfigError: no parameters, or an argument is out of range.
        ShapeError: a parameter that is not float32.

    Source: You, Gitman & Ginsburg 2017, arXiv 1708.03888, algorithm 1.

    Example:
        >>> w = tf.Variable([[3.0], [4.0]])
        >>> Lars({"w": w}, learning_rate=1.0, trust_coefficient=0.25).apply([tf.constant([[1000.0], [0.0]])])
        >>> w.numpy().tolist()
        [[1.75], [4.0]]
    """

    _reads_weights = True

    def __init__(
        self,
        parameters: Mapping[str, tf.Variable],
        learning_rate: LearningRate = 1.0,
        *,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust_coefficient: float = 0.001,
        **chain: Unpack[Chain],
    ) -> None:
        checks.below_one("momentum", momentum)
        checks.not_negative("weight_decay", weight_decay)
        checks.positive("trust_coefficient", trust_coefficient)
        self.settings = Settings(heavy_ball.Settings(momentum, nesterov=False), trust_coefficient)
        self.weight_decay = weight_decay
        super().__init__(parameters, learning_rate, slots={"v": 0.0}, **chain)

    _rule = staticmethod(lars_rule)
