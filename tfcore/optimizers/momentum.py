"""Gradient descent with momentum: Polyak's heavy ball, and Nesterov's form of it."""

from collections.abc import Mapping
from typing import NamedTuple, Unpack

import tensorflow as tf

from tfcore import checks
from tfcore.optimizers.base import LearningRate, Optimizer
from tfcore.optimizers.chain import Chain
from tfcore.optimizers.update import Slots


class Settings(NamedTuple):
    """The hyperparameters of `Momentum`."""

    momentum: float
    nesterov: bool


def momentum_rule(
    gradient: tf.Tensor, slots: Slots, minus_rate: tf.Tensor, settings: Settings
) -> tuple[tf.Tensor, Slots]:
    """Computes the change of one parameter and its new velocity by `Momentum`; `minus_rate` = -learning_rate."""
    push = minus_rate * gradient
    velocity = settings.momentum * slots["v"] + push
    change = settings.momentum * velocity + push if settings.nesterov else velocity
    return change, {"v": velocity}


class Momentum(Optimizer):
    """Gradient descent with momentum: each step keeps a share of the last one.

        v ← momentum · v - learning_rate · g
        w ← w + v                                        heavy ball
        w ← w + momentum · v - learning_rate · g         with `nesterov`, v being the new one

    Keras' `SGD` and TensorFlow's are this form: v is a step, already scaled by the rate. PyTorch's `SGD` keeps
    v ← momentum · v + g and w ← w - learning_rate · v. With a constant rate both take the same path; when the rate
    changes, PyTorch's whole velocity is scaled by the new rate at once, while here earlier gradients keep the rate of
    their own step. PyTorch's Nesterov differs in the same way. Nesterov's method evaluates the gradient at a
    look-ahead point; as in both frameworks, w here is that point.

    Args:
        parameters: path -> float32 variable, in the order in which gradients will come.
        learning_rate: a number above 0, or a schedule.
        momentum: share of the last step that is kept, 0 <= momentum < 1.
        nesterov: whether to use Nesterov's form.
        chain: what precedes and follows the rule, see `Optimizer`.

    Raises:
        ConfigError: no parameters, or an argument is out of range.
        ShapeError: a parameter that is not float32.

    Source: Polyak 1964, "Some methods of speeding up the convergence of iteration methods", eq. 9 (heavy ball);
        Sutskever, Martens, Dahl & Hinton 2013, "On the importance of initialization and momentum in deep learning",
        eq. 1-4 (this form, and Nesterov's); Bengio, Boulanger-Lewandowski & Pascanu 2012, arXiv 1212.0901, eq. 7
        (Nesterov's as a step from the look-ahead point).

    Example:
        >>> w = tf.Variable([1.0])
        >>> optimizer = Momentum({"w": w}, learning_rate=0.25, momentum=0.5)
        >>> for _ in range(2):
        ...     optimizer.apply([tf.constant([1.0])])
        >>> w.numpy().tolist()
        [0.375]
    """

    def __init__(
        self,
        parameters: Mapping[str, tf.Variable],
        learning_rate: LearningRate = 0.01,
        *,
        momentum: float = 0.9,
        nesterov: bool = False,
        **chain: Unpack[Chain],
    ) -> None:
        checks.below_one("momentum", momentum)
        self.settings = Settings(momentum, nesterov)
        super().__init__(parameters, learning_rate, slots={"v": 0.0}, **chain)

    _rule = staticmethod(momentum_rule)
