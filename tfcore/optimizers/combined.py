"""Several methods in one optimizer, each for a share of the parameters."""

import copy
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, Self, Unpack

import tensorflow as tf

from tfcore import checks, patterns
from tfcore.errors import ConfigError
from tfcore.optimizers.base import LearningRate, Optimizer
from tfcore.optimizers.chain import Chain, Group, Terms, terms_by_path

_MATRIX = 2  # dimensions; parameters of more are filters


@dataclass(frozen=True)
class Part:
    """A method for the parameters whose path matches a pattern; see `Combined`.

    Args:
        pattern: a regular expression, searched in the parameter's path.
        method: a class of optimizer, tfcore's or yours.
        settings: the method's arguments, without parameters, learning rate and those of the chain.
        learning_rate_factor: the part's learning rate in units of the whole optimizer's, above 0.
        least_dimensions: leave parameters of fewer dimensions to the parts that follow.
        least_filters: leave filters `[h, w, …, filters]` of fewer to the parts that follow, such as depthwise ones.

    Raises:
        ConfigError: a pattern that is no regular expression, a `method` that is no class of optimizer, an argument of
            the chain among the settings, or a factor out of range.
    """

    pattern: str
    method: type[Optimizer]
    _: KW_ONLY
    settings: Mapping[str, Any] = field(default_factory=dict)
    learning_rate_factor: float = 1.0
    least_dimensions: int = 0
    least_filters: int = 1

    def __post_init__(self) -> None:
        patterns.check("pattern", self.pattern)
        checks.positive("learning_rate_factor", self.learning_rate_factor)
        if not issubclass(self.method, Optimizer) or issubclass(self.method, Combined):
            raise ConfigError(f"The `method` of a part must be an optimizer of one rule. Received {self.method!r}.")
        for name in self.settings:
            if name in Chain.__annotations__:
                raise ConfigError(f"`{name}` belongs to the whole optimizer, not to the part '{self.pattern}'.")

    def takes(self, path: str, parameter: tf.Variable) -> bool:
        """Tells whether the parameter is one of this part's, if no part before it takes it."""
        shape = parameter.shape
        has_filters = shape.rank <= _MATRIX or shape[-1] >= self.least_filters
        return shape.rank >= self.least_dimensions and has_filters and bool(re.search(self.pattern, path))


class Combined(Optimizer):
    """Several methods, each for the parameters that its part takes, with one step and one chain.

    The first part that takes a parameter applies. Clipping is of all gradients together; groups, constraints and
    averages are of all parameters; a group's learning_rate_factor multiplies the part's. Checkpoints keep what they
    keep of each method alone: one `step`, and `<slot>.<path>`.

    Args:
        parameters: path -> float32 variable, in the order in which gradients will come.
        learning_rate: a number above 0, or a schedule.
        parts: at least one; together they must take every parameter.
        chain: what precedes and follows the rules, see `Optimizer`.

    Raises:
        ConfigError: no parameters, a parameter that no part takes, a part whose pattern matches none, or an argument
            that is out of range.
        ShapeError: a parameter that is not float32.

    Example:
        >>> from tfcore.optimizers import GradientDescent, Lion
        >>> parameters = {"head.weights": tf.Variable([1.0]), "head.biases": tf.Variable([1.0])}
        >>> parts = [Part("weights$", Lion, learning_rate_factor=0.25), Part("", GradientDescent)]
        >>> Combined(parameters, 1.0, parts=parts).apply([tf.constant([8.0]), tf.constant([8.0])])
        >>> {path: variable.numpy().tolist() for path, variable in parameters.items()}
        {'head.weights': [0.75], 'head.biases': [-7.0]}
    """

    weight_decay = 0.0  # a group may set that of a part

    def __init__(
        self,
        parameters: Mapping[str, tf.Variable],
        learning_rate: LearningRate,
        *,
        parts: Sequence[Part],
        **chain: Unpack[Chain],
    ) -> None:
        super().__init__(parameters, learning_rate, slots={}, **chain)
        made = [
            (part, part.method(share, learning_rate, **part.settings))
            for part, share in zip(parts, _shares(parts, parameters), strict=True)
            if share
        ]
        for part, optimizer in made:
            optimizer._terms = _terms(part, optimizer, chain.get("groups", ()))
            optimizer._constraints, optimizer.step = self._constraints, self.step
        self._parts = tuple(optimizer for _, optimizer in made)
        names = dict.fromkeys(slot for optimizer in self._parts for slot in optimizer.slots)
        self.slots = {
            slot: {path: value for each in self._parts for path, value in each.slots.get(slot, {}).items()}
            for slot in names
        }
        self.variables = self._kept()

    def _update_all(self, step: tf.Tensor, learning_rate: tf.Tensor, gradients: Mapping[str, tf.Tensor]) -> None:
        for part in self._parts:
            part._update_all(step, learning_rate, gradients)

    def freezing(self, paths: Collection[str]) -> Self:
        found = super().freezing(paths)
        found._parts = tuple(copy.copy(part) for part in self._parts)
        for part in found._parts:  # of one part, all parameters may be frozen
            frozen = {
                path: part._terms[path]._replace(learning_rate_factor=0.0) for path in part.paths if path in paths
            }
            part._terms = part._terms | frozen
        return found

    @contextmanager
    def at_gradient_point(self) -> Iterator[None]:
        with ExitStack() as stack:
            for part in self._parts:
                stack.enter_context(part.at_gradient_point())
            yield

    def restart_from_weights(self) -> None:
        super().restart_from_weights()
        for part in self._parts:
            part.restart_from_weights()


def _shares(parts: Sequence[Part], parameters: Mapping[str, tf.Variable]) -> list[dict[str, tf.Variable]]:
    """Returns the parameters of each part; raises ConfigError on one that no part takes."""
    shares: list[dict[str, tf.Variable]] = [{} for _ in parts]
    for part in parts:
        patterns.matching("pattern", part.pattern, parameters)
    for path, parameter in parameters.items():
        taking = next((number for number, part in enumerate(parts) if part.takes(path, parameter)), None)
        if taking is None:
            raise ConfigError(
                f"`parts` must take every parameter. None takes '{path}' of shape {tuple(parameter.shape)}. "
                'Add a part for the rest, such as Part("", Adam).'
            )
        shares[taking][path] = parameter
    return shares


def _terms(part: Part, optimizer: Optimizer, groups: Sequence[Group]) -> dict[str, Terms]:
    """Returns the settings of the part's parameters, with its factor in theirs."""
    fitting = [group for group in groups if any(re.search(group.pattern, path) for path in optimizer.paths)]
    if optimizer.weight_decay is None:  # such a method may be told to decay nothing
        fitting = [replace(group, weight_decay=group.weight_decay or None) for group in fitting]
    return {
        path: Terms(part.learning_rate_factor * terms.learning_rate_factor, terms.weight_decay)
        for path, terms in terms_by_path(fitting, optimizer.paths, optimizer.weight_decay).items()
    }
