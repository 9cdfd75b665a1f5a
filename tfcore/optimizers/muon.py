"""Muon: momentum made orthogonal, for matrices; and its combination with AdamW for the other parameters."""

import math
from collections.abc import Mapping
from typing import NamedTuple, Unpack

import tensorflow as tf

from tfcore import checks, patterns
from tfcore.errors import ConfigError, ShapeError
from tfcore.optimizers.adamw import AdamW
from tfcore.optimizers.base import LearningRate, Optimizer
from tfcore.optimizers.chain import Chain
from tfcore.optimizers.combined import Combined, Part
from tfcore.optimizers.update import Slots

_A, _B, _C = 3.4445, -4.7750, 2.0315  # coefficients of the iteration
_STEPS = 5
_EPSILON = 1e-7


class Settings(NamedTuple):
    """The hyperparameters of `Muon`."""

    momentum: float
    nesterov: bool


def orthogonalized(matrix: tf.Tensor) -> tf.Tensor:
    """Brings all singular values of a matrix near to 1, between 0.7 and 1.2, by five steps of Newton and Schulz.

    X ← X / (|X| + 1e-7),  then five times  X ← a · X + (b · A + c · A²) · X  with A = X · Xᵀ

    or X · (b · A + c · A²) with A = Xᵀ · X where that A is smaller. Singular values below about a thousandth of |X|
    stay smaller. Computed in the matrix' type.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix / (tf.norm(matrix) + _EPSILON)
    for _ in range(_STEPS):
        gram = tf.matmul(x, x, transpose_a=tall, transpose_b=not tall)
        factor = _B * gram + _C * tf.matmul(gram, gram)
        x = _A * x + (tf.matmul(x, factor) if tall else tf.matmul(factor, x))
    return x


def muon_rule(gradient: tf.Tensor, slots: Slots, minus_rate: tf.Tensor, settings: Settings) -> tuple[tf.Tensor, Slots]:
    """Computes the change of one parameter and its new momentum by `Muon`; `minus_rate` = -learning_rate."""
    m = settings.momentum * slots["m"] + gradient
    ahead = settings.momentum * m + gradient if settings.nesterov else m
    outputs = gradient.shape[-1]
    inputs = math.prod(gradient.shape[:-1])
    direction = orthogonalized(tf.reshape(ahead, [inputs, outputs]))
    scale = math.sqrt(max(1, outputs / inputs))
    return minus_rate * scale * tf.reshape(direction, gradient.shape), {"m": m}


class Muon(Optimizer):
    """Muon: steps along the orthogonal matrix that is nearest to the momentum, for weights of hidden layers.

        m ← momentum · m + g
        d = m,  or momentum · m + g with `nesterov`
        w ← w - learning_rate · sqrt(max(1, out / in)) · orthogonalized(d) - learning_rate · weight_decay · w

    with w on the right the value before the update. All weights [in, out] move by about the rate in every direction.
    Filters [h, w, in, out] are matrices [h·w·in, out], as in the author's program for CIFAR-10; the scale counts h·w·in
    as `in`. The author's optimizer has the same scale, but there the filters' h and w take the place of `in` and `out`;
    PyTorch's `Muon` has it as "original", and takes matrices only; Keras' has 0.2 · sqrt(max(in, out)) in its place.
    Five steps with the author's coefficients, as in all of them; in float32, where the author's are in bfloat16. Not
    compiled to a kernel: its time goes to products, at which XLA is slower on a CPU, for [512, 512] by half.

    Every parameter must have two or more dimensions. `MuonAndAdamW` gives the others, the embeddings and the last layer
    to AdamW, as the author advises; `Combined` has any other division. A depthwise filter [h, w, channels, 1] would be
    one column: leave such filters to another part.

    Args:
        parameters: path -> float32 variable, in the order in which gradients will come.
        learning_rate: a number above 0, or a schedule.
        momentum: share of the momentum that is kept, 0 <= momentum < 1.
        nesterov: whether to use Nesterov's form.
        weight_decay: at least 0, decoupled as in `AdamW`.
        chain: what precedes and follows the rule, see `Optimizer`.

    Raises:
        ConfigError: no parameters, or an argument is out of range.
        ShapeError: a parameter that is not float32, or of fewer than two dimensions.

    Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/.

    Example:
        >>> w = tf.Variable([[0.0, 0.0]])
        >>> Muon({"w": w}, learning_rate=1.0).apply([tf.constant([[30.0, 40.0]])])
        >>> round(float(tf.norm(w)), 1)  # sqrt(2), times a singular value between 0.7 and 1.2
        1.0
    """

    _in_kernel = False

    def __init__(
        self,
        parameters: Mapping[str, tf.Variable],
        learning_rate: LearningRate = 0.02,
        *,
        momentum: float = 0.95,
        nesterov: bool = True,
        weight_decay: float = 0.0,
        **chain: Unpack[Chain],
    ) -> None:
        checks.below_one("momentum", momentum)
        checks.not_negative("weight_decay", weight_decay)
        for path, parameter in parameters.items():
            if parameter.shape.rank < 2:
                raise ShapeError(
                    f"Muon takes parameters of two or more dimensions. Received '{path}' of shape "
                    f"{tuple(parameter.shape)}. MuonAndAdamW gives such parameters to AdamW."
                )
        self.settings = Settings(momentum, nesterov)
        self.weight_decay = weight_decay
        super().__init__(parameters, learning_rate, slots={"m": 0.0}, **chain)

    _rule = staticmethod(muon_rule)


class MuonAndAdamW(Combined):
    """`Muon` for the weights of hidden layers, `AdamW` for the other parameters: `--optimizer=muon`.

    Muon gets the matrices and filters whose path matches `muon_variables`; AdamW gets biases, norms, depthwise filters,
    embeddings and the last layer, at a learning rate of its own. A schedule applies to both.

    Args:
        parameters: path -> float32 variable, in the order in which gradients will come.
        learning_rate: Muon's: a number above 0, or a schedule.
        momentum: of Muon, 0 <= momentum < 1.
        nesterov: of Muon.
        beta1: of AdamW, 0 <= beta1 < 1.
        beta2: of AdamW, 0 <= beta2 < 1; the author has 0.95.
        epsilon: of AdamW, above 0.
        weight_decay: of both, at least 0.
        muon_variables: a regular expression, searched in the path. The default is weights that do not belong to
            `logits`, to a `head`, or to an embedding.
        fallback_learning_rate_factor: AdamW's learning rate in units of Muon's, above 0. The default gives AdamW 0.001
            at Muon's default of 0.02.
        chain: what precedes and follows the rules, see `Optimizer`.

    Raises:
        ConfigError: no parameters, none for Muon, or an argument is out of range.
        ShapeError: a parameter that is not float32.

    Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/, with the author's MuonWithAuxAdam.

    Example:
        >>> parameters = {"hidden.weights": tf.Variable([[1.0]]), "hidden.biases": tf.Variable([1.0])}
        >>> optimizer = MuonAndAdamW(parameters, fallback_learning_rate_factor=0.1)
        >>> sorted(optimizer.variables)
        ['m.hidden.biases', 'm.hidden.weights', 'step', 'v.hidden.biases']
    """

    def __init__(
        self,
        parameters: Mapping[str, tf.Variable],
        learning_rate: LearningRate = 0.02,
        *,
        momentum: float = 0.95,
        nesterov: bool = True,
        beta1: float = 0.9,
        beta2: float = 0.95,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        muon_variables: str = "^(?!.*logits)(?!.*head)(?!.*embedding).*weights$",
        fallback_learning_rate_factor: float = 0.05,
        **chain: Unpack[Chain],
    ) -> None:
        checks.positive("fallback_learning_rate_factor", fallback_learning_rate_factor)
        patterns.check("muon_variables", muon_variables)
        muon = {"momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
        adamw = {"beta1": beta1, "beta2": beta2, "epsilon": epsilon, "weight_decay": weight_decay}
        matrices = Part(muon_variables, Muon, settings=muon, least_dimensions=2, least_filters=2)
        rest = Part("", AdamW, settings=adamw, learning_rate_factor=fallback_learning_rate_factor)
        if parameters and not any(matrices.takes(path, parameter) for path, parameter in parameters.items()):
            raise ConfigError(
                "`muon_variables` must match a parameter of two or more dimensions. "
                f"'{muon_variables}' matches none of {', '.join(parameters)}. Change it, or take another optimizer."
            )
        super().__init__(parameters, learning_rate, parts=[matrices, rest], **chain)
