"""What all optimizers share: parameters and slots fixed at construction, the checks, and the chain of one update."""

import abc
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import tensorflow as tf

from tfcore import checks
from tfcore.errors import ConfigError, ShapeError
from tfcore.schedules import Constant

LearningRate = float | Callable[[tf.Tensor], tf.Tensor]
Slots = dict[str, tf.Tensor]  # slot name -> value, for one parameter


def global_norm(gradients: Sequence[tf.Tensor]) -> tf.Tensor:
    """The Euclidean norm of all gradients laid end to end.

        norm = sqrt(sum_i sum g_i²)

    Args:
        gradients: at least one tensor, any float dtype; computed in float32.

    Returns:
        Scalar, float32.
    """
    return tf.sqrt(2 * tf.add_n([tf.nn.l2_loss(tf.cast(gradient, tf.float32)) for gradient in gradients]))


def _refuse(gradient: Any, parameter: tf.Variable, path: str) -> None:
    """Raises ShapeError unless the gradient is dense and matches the parameter called `path`."""
    if isinstance(gradient, tf.IndexedSlices):
        raise ShapeError(
            f"The gradient of '{path}' must be a dense tensor. Received tf.IndexedSlices, as a lookup in the parameter "
            "gives. Make it dense with tf.convert_to_tensor(gradient)."
        )
    checks.gradient_matches(gradient, parameter, path)


class Optimizer(abc.ABC):
    """Holds parameters, slots and the step number, and applies gradients to them.

    The chain of one update, for mean gradients g:

        g ← min(max(g, -clip_value), clip_value)                       where clip_value is given
        g ← g · min(1, clip_norm / global norm of all g)               where clip_norm is given
        change, slots ← rule(g, slots)
        change ← change - learning_rate · weight_decay · w             where the method has weight decay
        w ← w + change
        step ← step + 1

    A method is a subclass that names its slots and gives two pure functions: `_scalars`, computed once a step, and
    `_rule`, once a parameter. Links that are switched off leave no operation in the graph. Gradients that are not
    finite pass through. A plain class, not a `tf.Module`: the model's parameters stay the model's own, and `variables`
    is what a checkpoint keeps: `step`, and `<slot>.<path>` for each slot of each parameter.

    Args:
        parameters: path -> float32 variable, in the order in which gradients will come.
        learning_rate: a number above 0, or a function from `step` to a float32 scalar, such as a schedule.
        clip_value: bound of each gradient's elements, above 0; None for none.
        clip_norm: bound of the global norm, above 0; None for none.

    Raises:
        ConfigError: no parameters, or an argument is out of range.
        ShapeError: a parameter that is not float32.
    """

    slot_names: ClassVar[tuple[str, ...]] = ()
    weight_decay: float = 0.0

    def __init__(
        self,
        parameters: Mapping[str, tf.Variable],
        learning_rate: LearningRate,
        *,
        clip_value: float | None,
        clip_norm: float | None,
    ) -> None:
        for name, bound in (("clip_value", clip_value), ("clip_norm", clip_norm)):
            if bound is not None:
                checks.positive(name, bound)
        self.clip_value, self.clip_norm = clip_value, clip_norm
        self._schedule = learning_rate if callable(learning_rate) else Constant(learning_rate)
        self.paths = tuple(parameters)
        self.parameters = tuple(parameters.values())
        self._check_parameters()
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self.slots = {slot: self._zeros_like_parameters(slot) for slot in self.slot_names}
        by_path = {f"{slot}.{path}": value for slot, values in self.slots.items() for path, value in values.items()}
        self.variables: dict[str, tf.Variable] = {"step": self.step, **by_path}

    def _check_parameters(self) -> None:
        """Raises unless there are parameters and all are float32."""
        if not self.parameters:
            raise ConfigError("`parameters` must hold at least one variable. Received none.")
        for path, parameter in zip(self.paths, self.parameters, strict=True):
            if parameter.dtype != tf.float32:
                raise ShapeError(f"Parameter '{path}' must be float32. Received {parameter.dtype.name}.")

    def _zeros_like_parameters(self, slot: str) -> dict[str, tf.Variable]:
        """A zero for each parameter, by path and on the parameter's device."""
        zeros = {}
        for path, parameter in zip(self.paths, self.parameters, strict=True):
            with tf.distribute.get_strategy().extended.colocate_vars_with(parameter):
                zeros[path] = tf.Variable(tf.zeros(parameter.shape), trainable=False, name=f"{slot}.{path}")
        return zeros

    def learning_rate(self, step: tf.Tensor) -> tf.Tensor:
        """The rate, a float32 scalar, of the update that follows `step` (int64 scalar) completed ones."""
        return self._schedule(step)

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """Makes one update; eagerly, in a `tf.function` or in a loop of one.

        Args:
            gradients: of the mean loss; one dense float32 tensor for each of `parameters`, in their order and of their
                shape.

        Raises:
            ShapeError: gradients that are None, sparse, too few, too many, or of another shape or dtype. Nothing has
                changed then.
        """
        checks.same_length("gradients", gradients, "parameters", self.parameters)
        for path, parameter, gradient in zip(self.paths, self.parameters, gradients, strict=True):
            _refuse(gradient, parameter, path)
        step = tf.convert_to_tensor(self.step)
        learning_rate = self.learning_rate(step)
        scalars = self._scalars(step, learning_rate)
        decay = learning_rate * self.weight_decay if self.weight_decay else None
        for path, parameter, gradient in zip(self.paths, self.parameters, self._clip(gradients), strict=True):
            self._update(path, parameter, gradient, scalars=scalars, decay=decay)
        self.step.assign_add(1)

    def _clip(self, gradients: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
        """The gradients within both bounds, by value first."""
        if self.clip_value is not None:
            gradients = [tf.clip_by_value(gradient, -self.clip_value, self.clip_value) for gradient in gradients]
        if self.clip_norm is not None:
            # min(1, clip_norm / norm), without a division by zero.
            factor = self.clip_norm / tf.maximum(global_norm(gradients), self.clip_norm)
            gradients = [gradient * factor for gradient in gradients]
        return gradients

    def _update(
        self, path: str, parameter: tf.Variable, gradient: tf.Tensor, *, scalars: Any, decay: tf.Tensor | None
    ) -> None:
        """Rule, decoupled weight decay and assignment for one parameter."""
        slots = {slot: tf.convert_to_tensor(values[path]) for slot, values in self.slots.items()}
        change, new_slots = self._rule(gradient, slots, scalars)
        if decay is not None:
            change -= decay * parameter
        for slot, value in new_slots.items():
            self.slots[slot][path].assign(value)
        parameter.assign_add(change)

    @abc.abstractmethod
    def _scalars(self, step: tf.Tensor, learning_rate: tf.Tensor) -> Any:
        """What the rule needs of this step, the same for every parameter; `step` counts completed updates."""

    @abc.abstractmethod
    def _rule(self, gradient: tf.Tensor, slots: Slots, scalars: Any) -> tuple[tf.Tensor, Slots]:
        """The change of one parameter, before weight decay, and its new slots."""
