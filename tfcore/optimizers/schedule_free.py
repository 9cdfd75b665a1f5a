"""Schedule-free AdamW: an average of the weights in place of a falling learning rate."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, Unpack

import tensorflow as tf

from tfcore import checks
from tfcore.modules import kept
from tfcore.optimizers.base import LearningRate, Optimizer
from tfcore.optimizers.chain import Chain, Constraint
from tfcore.optimizers.update import Slots


class Settings(NamedTuple):
    """The hyperparameters of `ScheduleFreeAdamW`, and the constraint of one parameter."""

    beta1: float
    beta2: float
    epsilon: float
    constraint: Constraint | None = None


class Scalars(NamedTuple):
    """The values of one step."""

    learning_rate: tf.Tensor
    root: tf.Tensor  # sqrt(1 - beta2^t)


def gradient_point(x: tf.Tensor, z: tf.Tensor, beta1: float) -> tf.Tensor:
    """Computes y = (1 - beta1) · z + beta1 · x."""
    return x + (1 - beta1) * (z - x)


def schedule_free_rule(
    gradient: tf.Tensor,
    slots: Slots,
    scalars: Scalars,
    settings: Settings,
    weights: tf.Tensor,
    weight_decay: tf.Tensor | None,
) -> tuple[tf.Tensor, Slots]:
    """Computes the change of x, the weights, and the new z, v and sum of squared rates by `ScheduleFreeAdamW`."""
    z = slots["z"]
    v = slots["v"] + (1 - settings.beta2) * (tf.square(gradient) - slots["v"])
    direction = scalars.root * gradient / (tf.sqrt(v) + settings.epsilon * scalars.root)
    if weight_decay is not None:
        direction += weight_decay * gradient_point(weights, z, settings.beta1)
    z -= scalars.learning_rate * direction
    if settings.constraint is not None:
        z = settings.constraint(z)
    # float64: a sum of many equal small numbers would come to a halt in float32.
    square = tf.square(tf.cast(scalars.learning_rate, tf.float64))
    total = slots["squared_rates"] + square
    share = tf.cast(tf.math.divide_no_nan(square, total), tf.float32)
    return share * (z - weights), {"z": z, "v": v, "squared_rates": total}


class ScheduleFreeAdamW(Optimizer):
    """Schedule-free AdamW: the weights are the average of a fast sequence; gradients are taken between the two.

        y = (1 - beta1) · z + beta1 · w,  g = gradient at y
        v ← beta2 · v + (1 - beta2) · g²,  v̂ = v / (1 - beta2^t)
        z ← z - rate_t · g / (sqrt(v̂) + epsilon) - rate_t · weight_decay · y
        w ← w + rate_t² / (rate_1² + … + rate_t²) · (z - w)

    with t = 1 for the first update, and z = w before it. w is x in the paper: the weights to evaluate, and what the
    parameters hold at all times but inside of `at_gradient_point`, where they hold y. So everything that reads the
    model scores, saves and exports x. A step needs `with optimizer.at_gradient_point():` around its gradients.
    Constraints are of z, and so of its average.

    The rate is to stay constant after a warm-up, whose weights in the average are small by their squares. The paper
    multiplies rate_t by sqrt(1 - beta2^t) and leaves v uncorrected, so the factor is in the average and the decay too;
    the authors' later program has v̂ as here, because the other form can be unstable. Under a falling rate that program
    weighs by the largest rate so far, the paper as here. Keras' `ScheduleFreeAdamW` has equal weights 1 / t, and its
    variables hold y, for evaluation too; on TensorFlow, that of 3.15 computes w from y and the new z instead of the old
    one, another sequence.

    Batch norm's moving statistics are those of y, which differ a little from those of w. The authors recompute them
    with w before an evaluation; here they stay. An average of w itself (`average_decay`, Lookahead) is possible and
    adds nothing.

    Args:
        parameters: path -> float32 variable, in the order in which gradients will come.
        learning_rate: a number above 0, or a schedule; 1 to 10 times AdamW's.
        beta1: share of the average in y, 0 <= beta1 < 1; it acts like a momentum.
        beta2: decay of the mean squared gradient, 0 <= beta2 < 1.
        epsilon: above 0; bounds the step where gradients are tiny.
        weight_decay: at least 0; of y.
        chain: what precedes and follows the rule, see `Optimizer`.

    Raises:
        ConfigError: no parameters, or an argument is out of range.
        ShapeError: a parameter that is not float32.

    Source: Defazio et al. 2024, arXiv 2405.15682, algorithm 1.

    Example:
        >>> w = tf.Variable([1.0])
        >>> optimizer = ScheduleFreeAdamW({"w": w}, learning_rate=0.5)
        >>> for _ in range(2):
        ...     with optimizer.at_gradient_point():
        ...         gradient = tf.constant([1000.0])
        ...     optimizer.apply([gradient])
        >>> w.numpy().round(4).tolist(), abs(optimizer.slots["z"]["w"].numpy()).round(4).tolist()
        ([0.25], [0.0])
    """

    _reads_weights = True
    averages_by_itself = True

    def __init__(
        self,
        parameters: Mapping[str, tf.Variable],
        learning_rate: LearningRate = 0.0025,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        **chain: Unpack[Chain],
    ) -> None:
        checks.below_one("beta1", beta1)
        checks.below_one("beta2", beta2)
        checks.positive("epsilon", epsilon)
        checks.not_negative("weight_decay", weight_decay)
        self.settings = Settings(beta1, beta2, epsilon)
        self.weight_decay = weight_decay
        slots = {"z": None, "v": 0.0, "squared_rates": lambda _: tf.zeros([], tf.float64)}
        super().__init__(parameters, learning_rate, slots=slots, **chain)

    def _scalars(self, step: tf.Tensor, learning_rate: tf.Tensor) -> Scalars:
        t = tf.cast(step + 1, tf.float64)  # see `adam_scalars`
        root = tf.sqrt(1 - tf.pow(tf.constant(self.settings.beta2, tf.float64), t))
        return Scalars(learning_rate, tf.cast(root, tf.float32))

    def _settings_of(self, path: str) -> Any:
        return self.settings._replace(constraint=self._constraints.get(path))

    @contextmanager
    def at_gradient_point(self) -> Iterator[None]:
        given = zip(self.paths, self.parameters, strict=True)
        moving = {path: parameter for path, parameter in given if self._terms[path].learning_rate_factor}
        with kept(moving.values()):
            for path, parameter in moving.items():
                x, z = tf.convert_to_tensor(parameter), tf.convert_to_tensor(self.slots["z"][path])
                parameter.assign(gradient_point(x, z, self.settings.beta1))
            yield

    _rule = staticmethod(schedule_free_rule)
