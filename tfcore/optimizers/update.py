"""The update of one parameter: by plain ops, or by a compiled kernel in one pass over memory."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from tfcore import ops
from tfcore.optimizers.chain import Constraint

Slots = dict[str, tf.Tensor]  # slot name -> value, for one parameter
Rule = Callable[..., tuple[tf.Tensor, Slots]]

_LARGE = 2**16  # elements; below, launching a compiled kernel costs as much as the plain ops


@dataclass(frozen=True)
class Update:
    """Applies rule, decoupled weight decay and constraint to one parameter, as a pure function.

    Args:
        rule: (gradient, slots, scalars, settings) -> (change before weight decay, new slots); reads nothing else.
        settings: the method's hyperparameters; hashable.
        constraint: from new weights to allowed ones; None for none.
        reads_weights: whether the rule takes (…, weights, decay) as well, and does the weight decay itself.
        in_kernel: whether XLA may compile the rule for large parameters; not so for products, at which it is slow.
    """

    rule: Rule
    settings: Any
    constraint: Constraint | None = None
    reads_weights: bool = False
    in_kernel: bool = True

    def change(
        self, weights: tf.Tensor, gradient: tf.Tensor, slots: Slots, scalars: Any, decay: tf.Tensor | None
    ) -> tuple[tf.Tensor, Slots]:
        """Computes the change of the weights before the constraint, and the new slots.

        Args:
            weights, gradient: float32, of one shape.
            slots: of this parameter, of any shape and type.
            scalars: the rule's values for the step.
            decay: learning rate times weight decay, or weight decay alone for a rule that reads the weights; None for
                none.
        """
        if self.reads_weights:
            return self.rule(gradient, slots, scalars, self.settings, tf.convert_to_tensor(weights), decay)
        change, slots = self.rule(gradient, slots, scalars, self.settings)
        return (change if decay is None else change - decay * weights), slots

    def weights(self, weights: tf.Tensor, change: tf.Tensor) -> tf.Tensor:
        """Returns the new weights."""
        weights = weights + change
        return weights if self.constraint is None else self.constraint(weights)

    def assign(
        self,
        parameter: tf.Variable,
        gradient: tf.Tensor,
        slots: Mapping[str, tf.Variable],
        scalars: Any,
        decay: tf.Tensor | None,
    ) -> None:
        """Updates the variables; large ones by a kernel that reads and writes each element once."""
        if self.in_kernel and ops.enabled() and parameter.shape.num_elements() >= _LARGE:
            variables = (parameter, *slots.values())
            given = (tuple(variable.handle for variable in variables), gradient, scalars, decay)
            specs = tf.nest.map_structure(_spec, given)
            kinds = tuple(tf.TensorSpec(variable.shape, variable.dtype) for variable in variables)
            _kernel(self, tuple(slots), kinds, specs)(*given)
            return
        values = {slot: tf.convert_to_tensor(variable) for slot, variable in slots.items()}
        change, values = self.change(parameter, gradient, values, scalars, decay)
        if self.constraint is None:
            parameter.assign_add(change)
        else:
            parameter.assign(self.weights(parameter, change))
        for slot, value in values.items():
            slots[slot].assign(value)


def _spec(tensor: tf.Tensor | None) -> tf.TensorSpec | None:
    return None if tensor is None else tf.TensorSpec(tensor.shape, tensor.dtype)


@functools.cache
def _kernel(
    update: Update, slot_names: tuple[str, ...], kinds: tuple[tf.TensorSpec, ...], specs: tuple[Any, ...]
) -> Callable[..., None]:
    """Compiles the update with XLA; takes the variables as handles, so one kernel serves all runs of a process."""

    def run(handles: tuple[tf.Tensor, ...], gradient: tf.Tensor, scalars: Any, decay: tf.Tensor | None) -> None:
        def value(handle: tf.Tensor, kind: tf.TensorSpec) -> tf.Tensor:
            return tf.ensure_shape(tf.raw_ops.ReadVariableOp(resource=handle, dtype=kind.dtype), kind.shape)

        weights, *values = (value(handle, kind) for handle, kind in zip(handles, kinds, strict=True))
        change, slots = update.change(weights, gradient, dict(zip(slot_names, values, strict=True)), scalars, decay)
        for handle, new in zip(
            handles, (update.weights(weights, change), *(slots[slot] for slot in slot_names)), strict=True
        ):
            tf.raw_ops.AssignVariableOp(resource=handle, value=new)

    return ops.kernel(run, *specs)
