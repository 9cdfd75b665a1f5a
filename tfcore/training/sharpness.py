"""Sharpness-aware minimization (SAM): the gradient at the worst of the neighbouring weights."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import tensorflow as tf

from tfcore import checks
from tfcore.modules import kept


class Sharpness:
    """Computes the gradient of a batch where its loss is highest near the weights, to first order.

        g = gradient of the batch's mean loss at w
        gradient at w + radius · g / |g|                |g| over all parameters that are trained

    in place of g, by two passes over the batch. Afterwards w is as before, to the bit, and so is every other variable
    of the model: the moving statistics of batch norms move by the first pass alone. Both passes draw the same masks.
    Loss and hits are those of the first. The loss is that without penalties and weight decay: as in the paper's
    equation 1 these are of w itself, and do not count in |g|. Frozen parameters stay in place.

    Args:
        radius: rho in the paper, above 0.
        variables: of the model, the parameters among them.

    Raises:
        ConfigError: `radius` is out of range.

    Source: Foret et al. 2020, arXiv 2010.01412, algorithm 1, with p = 2.
    """

    def __init__(self, radius: float, variables: Iterable[tf.Variable]) -> None:
        checks.positive("sam_radius", radius)
        self._radius, self._variables = radius, tuple(variables)

    def gradients(self, parameters: Sequence[tf.Variable], frozen: Sequence[bool], compute: Callable[[], Any]) -> Any:
        """Computes loss sum, hits and gradients at the neighbouring weights.

        Args:
            parameters: of the optimizer.
            frozen: whether each parameter keeps its value.
            compute: gives loss sum, hits, and the gradient of each parameter, at the present weights.
        """
        loss_sum, hits, gradients = compute()
        scale = tf.math.divide_no_nan(self._radius, tf.linalg.global_norm(gradients))
        with kept(self._variables):
            for parameter, is_frozen, gradient in zip(parameters, frozen, gradients, strict=True):
                if not is_frozen:
                    parameter.assign_add(scale * gradient)
            *_, gradients = compute()
        return loss_sum, hits, gradients
