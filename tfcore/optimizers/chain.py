"""The steps around an optimizer's rule: clipping, parameter groups and constraints."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from typing import NamedTuple, TypedDict

import tensorflow as tf

from tfcore import checks, patterns
from tfcore.errors import ConfigError

Constraint = Callable[[tf.Tensor], tf.Tensor]  # new weights -> allowed weights of the same shape


@dataclass(frozen=True)
class Group:
    """Separate settings for the parameters whose path matches a pattern.

    The first group that matches a parameter applies. The factor scales both the change by the rule and weight decay, at
    no cost per parameter: every rule here is linear in the learning rate, so the group's rate is multiplied. A frozen
    parameter (factor 0) keeps its value and its slots. Its gradient must be given but is not used, not even by
    `clip_norm`, so a compiled step does not compute it.

    Args:
        pattern: a regular expression, searched in the parameter's path.
        learning_rate_factor: at least 0; 0 freezes.
        weight_decay: at least 0, in place of the optimizer's; None for the optimizer's.

    Raises:
        ConfigError: a pattern that is no regular expression, or a setting out of range.

    Example:
        >>> from tfcore.optimizers import AdamW
        >>> parameters = {"head.weights": tf.Variable([1.0]), "head.biases": tf.Variable([1.0])}
        >>> no_decay = Group("biases$", weight_decay=0.0)
        >>> optimizer = AdamW(parameters, learning_rate=0.5, weight_decay=0.5, groups=[no_decay])
        >>> optimizer.apply([tf.constant([0.0]), tf.constant([0.0])])
        >>> {path: variable.numpy().tolist() for path, variable in parameters.items()}
        {'head.weights': [0.75], 'head.biases': [1.0]}
    """

    pattern: str
    _: KW_ONLY
    learning_rate_factor: float = 1.0
    weight_decay: float | None = None

    def __post_init__(self) -> None:
        patterns.check("pattern", self.pattern)
        checks.not_negative("learning_rate_factor", self.learning_rate_factor)
        if self.weight_decay is not None:
            checks.not_negative("weight_decay", self.weight_decay)


class Chain(TypedDict, total=False):
    """Arguments that every optimizer takes in addition to those of its rule; see `Optimizer`."""

    clip_value: float | None
    clip_norm: float | None
    groups: Sequence[Group]
    constraints: Mapping[str, Constraint]
    lookahead_steps: int | None
    lookahead_share: float | None
    average_decay: float | None
    average_from_steps: int | Fraction | None
    average_every_steps: int | Fraction | None


def global_norm(gradients: Sequence[tf.Tensor]) -> tf.Tensor:
    """Computes the Euclidean norm of all gradients together.

        norm = sqrt(sum_i sum g_i²)

    Args:
        gradients: at least one tensor, any float dtype; computed in float32.

    Returns:
        Scalar, float32.
    """
    return tf.sqrt(2 * tf.add_n([tf.nn.l2_loss(tf.cast(gradient, tf.float32)) for gradient in gradients]))


def clip(gradients: Sequence[tf.Tensor], clip_value: float | None, clip_norm: float | None) -> Sequence[tf.Tensor]:
    """Clips gradients by value, then by global norm; None for no bound."""
    if clip_value is not None:
        gradients = [tf.clip_by_value(gradient, -clip_value, clip_value) for gradient in gradients]
    if clip_norm is not None:
        # min(1, clip_norm / norm), without a division by zero.
        factor = clip_norm / tf.maximum(global_norm(gradients), clip_norm)
        gradients = [gradient * factor for gradient in gradients]
    return gradients


class Terms(NamedTuple):
    """The settings of one parameter: its group's, or else the optimizer's."""

    learning_rate_factor: float
    weight_decay: float


def terms_by_path(groups: Sequence[Group], paths: Sequence[str], weight_decay: float | None) -> dict[str, Terms]:
    """Returns the settings of each parameter.

    Args:
        groups: the first that matches a path decides.
        paths: of the parameters.
        weight_decay: the optimizer's; None for a method without.

    Raises:
        ConfigError: a group that matches no parameter, or weight decay for a method without.
    """
    for group in groups:
        patterns.matching("pattern", group.pattern, paths)
        if group.weight_decay is not None and weight_decay is None:
            raise ConfigError(
                f"The group '{group.pattern}' sets `weight_decay`, which this optimizer does not have. "
                "Choose one with weight decay, such as AdamW."
            )
    return {path: _terms(_first_match(groups, path), weight_decay or 0.0) for path in paths}


def check_not_all_frozen(terms: Mapping[str, Terms]) -> None:
    """Raises ConfigError unless a parameter is left to train."""
    if not any(each.learning_rate_factor for each in terms.values()):
        raise ConfigError(f"`groups` must leave a parameter to train. All are frozen: {', '.join(terms)}.")


def _first_match(groups: Sequence[Group], path: str) -> Group | None:
    return next((group for group in groups if re.search(group.pattern, path)), None)


def _terms(group: Group | None, weight_decay: float) -> Terms:
    if group is None:
        return Terms(1.0, weight_decay)
    return Terms(group.learning_rate_factor, weight_decay if group.weight_decay is None else group.weight_decay)


def check_constraints(constraints: Mapping[str, Constraint], paths: Sequence[str]) -> None:
    """Raises ConfigError, with the nearest path, on a constraint for an unknown parameter."""
    for path in constraints:
        if path not in paths:
            known, hint = ", ".join(paths), checks.nearest(path, paths)
            raise ConfigError(f"`constraints` must be of parameters: {known}. Received '{path}'.{hint}")
