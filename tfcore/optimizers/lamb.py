"""LAMB: Adam with a learning rate for each layer."""

from collections.abc import Mapping
from typing import NamedTuple, Unpack

import tensorflow as tf

from tfcore import checks
from tfcore.optimizers import adam
from tfcore.optimizers.base import LearningRate, Optimizer
from tfcore.optimizers.chain import Chain
from tfcore.optimizers.lars import is_adapted, norm, trust_ratio
from tfcore.optimizers.update import Slots


class Scalars(NamedTuple):
    """The values of one step: Adam's at a rate of 1, and the rate."""

    adam: adam.Scalars
    learning_rate: tf.Tensor


def lamb_rule(
    gradient: tf.Tensor,
    slots: Slots,
    scalars: Scalars,
    settings: adam.Settings,
    weights: tf.Tensor,
    weight_decay: tf.Tensor | None,
) -> tuple[tf.Tensor, Slots]:
    """Computes the change of one parameter and its new moments by `Lamb`."""
    direction, slots = adam.adam_rule(gradient, slots, scalars.adam, settings)
    if weight_decay is not None:
        direction -= weight_decay * weights
    if not is_adapted(weights):
        return scalars.learning_rate * direction, slots
    return scalars.learning_rate * trust_ratio(norm(weights), norm(direction)) * direction, slots


class Lamb(Optimizer):
    """LAMB: Adam whose steps have, in each parameter, the norm of the weights times the learning rate.

        u = m̂ / (sqrt(v̂) + epsilon) + weight_decay · w,  with m̂ and v̂ as in `Adam`
        w ← w - learning_rate · |w| / |u| · u                1 in place of |w| / |u| where one of the norms is 0

    for large batches, with a warm-up. The paper's phi is the identity. Parameters of fewer than two dimensions, biases
    and the scales of norms, take Adam's step: the paper's code excludes them by name. They are exempt from the decay
    too by the default of `--decayed_variables`, and in Python by a `Group` with weight_decay 0. Keras' `Lamb` scales
    every parameter, and has its weight decay outside the ratio, epsilon 1e-7 and rate 0.001. The first code for BERT
    had no bias correction, which the paper and Keras have.

    Args:
        parameters: path -> float32 variable, in the order in which gradients will come.
        learning_rate: a number above 0, or a schedule.
        beta1: decay of the mean gradient, 0 <= beta1 < 1.
        beta2: decay of the mean squared gradient, 0 <= beta2 < 1.
        epsilon: above 0; bounds Adam's step where gradients are tiny.
        weight_decay: at least 0.
        chain: what precedes and follows the rule, see `Optimizer`.

    Raises:
        ConfigError: no parameters, or an argument is out of range.
        ShapeError: a parameter that is not float32.

    Source: You et al. 2019, arXiv 1904.00962, algorithm 2.

    Example:
        >>> w = tf.Variable([[3.0, 4.0]])
        >>> Lamb({"w": w}, learning_rate=0.5, weight_decay=0.0).apply([tf.constant([[1000.0, 0.0]])])
        >>> w.numpy().tolist()
        [[0.5, 4.0]]
    """

    _reads_weights = True

    def __init__(
        self,
        parameters: Mapping[str, tf.Variable],
        learning_rate: LearningRate = 0.01,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-6,
        weight_decay: float = 0.01,
        **chain: Unpack[Chain],
    ) -> None:
        checks.below_one("beta1", beta1)
        checks.below_one("beta2", beta2)
        checks.positive("epsilon", epsilon)
        checks.not_negative("weight_decay", weight_decay)
        self.settings = adam.Settings(beta1, beta2, epsilon)
        self.weight_decay = weight_decay
        super().__init__(parameters, learning_rate, slots={"m": 0.0, "v": 0.0}, **chain)

    def _scalars(self, step: tf.Tensor, learning_rate: tf.Tensor) -> Scalars:
        return Scalars(adam.adam_scalars(step, tf.constant(1.0), self.settings), learning_rate)

    _rule = staticmethod(lamb_rule)
