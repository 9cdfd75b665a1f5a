"""The base class of optimizers: fixed parameters and slots, checks, and the chain of one update."""

import copy
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, Self

import tensorflow as tf

from tfcore import checks
from tfcore.errors import ConfigError, ShapeError
from tfcore.modules import exchanged
from tfcore.optimizers.averages import EqualAverage, Steps, update_averages, update_equal_averages
from tfcore.optimizers.chain import (
    Constraint,
    Group,
    Terms,
    check_constraints,
    check_not_all_frozen,
    clip,
    terms_by_path,
)
from tfcore.optimizers.lookahead import Lookahead, look_ahead
from tfcore.optimizers.update import Rule, Update
from tfcore.schedules import Constant

LearningRate = float | Callable[[tf.Tensor], tf.Tensor]
Start = float | Callable[[tf.Variable], tf.Tensor | None] | None


def _refuse(gradient: Any, parameter: tf.Variable, path: str) -> None:
    """Raises ShapeError unless the gradient is dense and matches the parameter called `path`."""
    if isinstance(gradient, tf.IndexedSlices):
        raise ShapeError(
            f"The gradient of '{path}' must be a dense tensor. Received tf.IndexedSlices, as a lookup in the parameter "
            "gives. Make it dense with tf.convert_to_tensor(gradient)."
        )
    checks.gradient_matches(gradient, parameter, path)


def _started(start: Start, parameter: tf.Variable) -> tf.Tensor | tf.Variable | None:
    """Returns the first value of a variable beside the parameter; None for none."""
    if start is None:
        return parameter
    return start(parameter) if callable(start) else tf.fill(parameter.shape, start)


class Optimizer:
    """Holds parameters, slots and the step number, and applies gradients to them.

    The chain of one update, for mean gradients g after t completed updates:

        g ← min(max(g, -clip_value), clip_value)                       where clip_value is given
        g ← g · min(1, clip_norm / global norm of all g)               where clip_norm is given
        change, slots ← rule(g, slots)
        change ← change - learning_rate · weight_decay · w             where the method has weight decay
        change ← learning_rate_factor · change                         where a group gives a factor
        w ← w + change
        w ← constraint(w)                                              where there is one for w
        slow ← slow + lookahead_share · (w - slow),  w ← slow          every lookahead_steps updates, if given
        a ← a + (1 - d_t) · (w - a),                                   where average_decay d is given
            d_t = min(d, (1 + t) / (10 + t))
        a ← mean of the w so far                                       every average_every_steps, if given
        step ← step + 1

    A method is a subclass that names its slots and gives a pure function `_rule`, computed once per parameter, and, if
    the rule needs more of the step than -learning_rate, `_scalars`, computed once per step. With `_reads_weights` the
    rule gets w and weight_decay (None for none) too, and does the decay itself. Several methods, each for a share of
    the parameters, make a `Combined`. Gradients are taken inside `at_gradient_point`, at w unless the method says
    otherwise. Disabled parts of the chain add no operation to the graph. Gradients that are not finite pass through. A
    plain class, not a `tf.Module`: the parameters belong to the model, and `variables` is what a checkpoint keeps:
    `step`, `<slot>.<path>` for each slot of each parameter, `slow.<path>` and `average.<path>`.

    Args:
        parameters: path -> float32 variable, in the order in which gradients will come.
        learning_rate: a number above 0, or a function from `step` to a float32 scalar, such as a schedule. The change
            by the rule must be linear in it.
        slots: the method's slot names, each with its start: a number, which fills the parameter's shape; None for the
            parameter's value; or a function from the parameter to a tensor of any shape and type, or to None where the
            parameter has no such slot.
        clip_value: bound of each gradient's elements, above 0; None for none.
        clip_norm: bound of the global norm of all gradients but frozen ones, above 0; None for none.
        groups: separate settings for some parameters; see `Group`.
        constraints: path -> pure function from new weights to allowed ones; see `MaxNorm`. A frozen parameter stays as
            it is.
        lookahead_steps: updates between returns to the slow weights, at least 1; None for none. See `look_ahead`.
        lookahead_share: how far the slow weights move towards the weights, above 0, at most 1; None for 0.5.
        average_decay: d of the moving average of the weights, 0 <= d < 1, such as 0.999; None for no average. It starts
            at the weights that the parameters have now; see `update_averages`.
        average_from_steps: updates before the first weights of an equal-weight average, above 0, in place of
            `average_decay`; None for none. See `update_equal_averages`.
        average_every_steps: updates between the weights of that average, above 0; None for 1.

    Raises:
        ConfigError: no parameters, an argument is out of range, or a group or constraint that fits no parameter.
        ShapeError: a parameter that is not float32.
    """

    weight_decay: float | None = None  # None: the method has none
    _rule: ClassVar[Rule]  # see `Update`
    _reads_weights: ClassVar[bool] = False
    _in_kernel: ClassVar[bool] = True
    averages_by_itself: ClassVar[bool] = False  # in place of a falling learning rate
    settings: Any = None  # the hyperparameters that the rule reads; hashable

    def __init__(
        self,
        parameters: Mapping[str, tf.Variable],
        learning_rate: LearningRate,
        *,
        slots: Mapping[str, Start],
        clip_value: float | None = None,
        clip_norm: float | None = None,
        groups: Sequence[Group] = (),
        constraints: Mapping[str, Constraint] | None = None,
        lookahead_steps: int | None = None,
        lookahead_share: float | None = None,
        average_decay: float | None = None,
        average_from_steps: Steps | None = None,
        average_every_steps: Steps | None = None,
    ) -> None:
        for name, bound in (("clip_value", clip_value), ("clip_norm", clip_norm)):
            if bound is not None:
                checks.positive(name, bound)
        if average_decay is not None:
            checks.below_one("average_decay", average_decay)
        self._equal_average = EqualAverage.given(average_from_steps, average_every_steps)
        if self._equal_average and average_decay is not None:
            raise ConfigError("Give `average_decay` or `average_from_steps`, not both: there is one average.")
        self._lookahead = Lookahead.given(lookahead_steps, lookahead_share)
        self.clip_value, self.clip_norm, self.average_decay = clip_value, clip_norm, average_decay
        self._schedule = learning_rate if callable(learning_rate) else Constant(learning_rate)
        self.paths = tuple(parameters)
        self.parameters = tuple(parameters.values())
        self._check_parameters()
        self._set_terms(terms_by_path(groups, self.paths, self.weight_decay))
        self._constraints = dict(constraints or {})
        check_constraints(self._constraints, self.paths)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self.slots = {slot: self._beside_parameters(slot, start) for slot, start in slots.items()}
        self._slots_of_weights = tuple(slot for slot, start in slots.items() if start is None)
        self._slow = self._beside_parameters("slow", None) if self._lookahead else {}
        is_averaged = self._equal_average is not None or average_decay is not None
        self.averages = self._beside_parameters("average", None) if is_averaged else {}
        self.variables = self._kept()

    def _set_terms(self, terms: dict[str, Terms]) -> None:
        """Sets the settings of each parameter by path, and `frozen`, in the order of the parameters."""
        check_not_all_frozen(terms)
        self._terms = terms
        self.frozen = tuple(not terms[path].learning_rate_factor for path in self.paths)

    def freezing(self, paths: Collection[str]) -> Self:
        """Returns this optimizer with more parameters frozen, for the rest of a run: a copy that shares all variables.

        From then on these parameters keep their values, and their slots and slow weights stay as they are. An average
        of the weights moves on, towards the value that its parameter keeps.

        Args:
            paths: of the parameters.

        Raises:
            ConfigError: no parameter would be left to train.
        """
        frozen = {path: self._terms[path]._replace(learning_rate_factor=0.0) for path in paths}
        found = copy.copy(self)
        found._set_terms(self._terms | frozen)
        return found

    def _kept(self) -> dict[str, tf.Variable]:
        """Collects the variables that a checkpoint keeps, by name."""
        kept = self.slots | {"slow": self._slow, "average": self.averages}
        by_path = {f"{name}.{path}": value for name, values in kept.items() for path, value in values.items()}
        return {"step": self.step, **by_path}

    def _check_parameters(self) -> None:
        """Raises unless there are parameters and all are float32."""
        if not self.parameters:
            raise ConfigError("`parameters` must hold at least one variable. Received none.")
        for path, parameter in zip(self.paths, self.parameters, strict=True):
            if parameter.dtype != tf.float32:
                raise ShapeError(f"Parameter '{path}' must be float32. Received {parameter.dtype.name}.")

    def _beside_parameters(self, name: str, start: Start) -> dict[str, tf.Variable]:
        """Makes a variable for each parameter that has one, by path and on its device; see `slots` for its start."""
        made = {}
        for path, parameter in zip(self.paths, self.parameters, strict=True):
            value = _started(start, parameter)
            if value is not None:
                with tf.distribute.get_strategy().extended.colocate_vars_with(parameter):
                    made[path] = tf.Variable(value, trainable=False, name=f"{name}.{path}")
        return made

    def learning_rate(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the learning rate, a float32 scalar, of update number `step` + 1; `step` is an int64 scalar."""
        return self._schedule(step)

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """Applies one update; eagerly, in a `tf.function` or in a loop inside one.

        Args:
            gradients: of the mean loss; one dense float32 tensor for each of `parameters`, in their order and of their
                shape.

        Raises:
            ShapeError: gradients that are None, sparse, too few, too many, or of another shape or dtype. Nothing is
                changed then.
        """
        checks.same_length("gradients", gradients, "parameters", self.parameters)
        given = list(zip(self.paths, self.parameters, gradients, strict=True))
        for path, parameter, gradient in given:
            _refuse(gradient, parameter, path)
        step = tf.convert_to_tensor(self.step)
        moving = {path: gradient for path, _, gradient in given if self._terms[path].learning_rate_factor}
        clipped = clip(list(moving.values()), self.clip_value, self.clip_norm)
        self._update_all(step, self.learning_rate(step), dict(zip(moving, clipped, strict=True)))
        if self._lookahead:
            rows = zip(self.paths, self.parameters, self._slow.values(), strict=True)
            trained = [(w, slow, self._constraints.get(path)) for path, w, slow in rows if path in moving]
            look_ahead(trained, self._lookahead, step)
        if self.average_decay is not None:
            update_averages(self._averaged(), self.average_decay, step)
        if self._equal_average is not None:
            update_equal_averages(self._averaged(), self._equal_average, step)
        self.step.assign_add(1)

    def _update_all(self, step: tf.Tensor, learning_rate: tf.Tensor, gradients: Mapping[str, tf.Tensor]) -> None:
        """Applies rule, decoupled weight decay and constraint to the parameters of the clipped gradients, by path."""
        shared = self._shared(step, learning_rate)
        for path, parameter in zip(self.paths, self.parameters, strict=True):
            if path in gradients:
                scalars, decay = shared[self._terms[path]]
                self._update(path, parameter, gradients[path], scalars=scalars, decay=decay)

    def _shared(self, step: tf.Tensor, learning_rate: tf.Tensor) -> dict[Terms, tuple[Any, tf.Tensor | None]]:
        """Computes per group of equal settings the rule's scalars and the decay (or None) of this update."""
        all_terms = [terms for terms in dict.fromkeys(self._terms.values()) if terms.learning_rate_factor]
        factors = dict.fromkeys(terms.learning_rate_factor for terms in all_terms)
        rates = {factor: learning_rate if factor == 1 else factor * learning_rate for factor in factors}
        scalars = {factor: self._scalars(step, rate) for factor, rate in rates.items()}
        return {
            terms: (
                scalars[terms.learning_rate_factor],
                self._decay(rates[terms.learning_rate_factor], terms.weight_decay) if terms.weight_decay else None,
            )
            for terms in all_terms
        }

    def _decay(self, learning_rate: tf.Tensor, weight_decay: float) -> tf.Tensor:
        """Returns the decay that `Update` takes: a rule that reads the weights applies the learning rate itself."""
        return tf.constant(weight_decay) if self._reads_weights else learning_rate * weight_decay

    def _update(
        self, path: str, parameter: tf.Variable, gradient: tf.Tensor, *, scalars: Any, decay: tf.Tensor | None
    ) -> None:
        """Applies rule, decoupled weight decay and constraint to one parameter."""
        slots = {slot: values[path] for slot, values in self.slots.items() if path in values}
        constraint = self._constraints.get(path)
        update = Update(self._rule, self._settings_of(path), constraint, self._reads_weights, self._in_kernel)
        update.assign(parameter, gradient, slots, scalars, decay)

    def _settings_of(self, path: str) -> Any:  # noqa: ARG002 - some methods need the path
        """Returns what the rule gets as settings for one parameter."""
        return self.settings

    def at_gradient_point(self) -> AbstractContextManager[None]:
        """Moves the weights, inside the context, to where the method takes its gradients; most leave them in place.

        `with optimizer.at_gradient_point(): gradients = ...`, then `apply` outside of it. Eagerly or in a graph.
        """
        return nullcontext()

    def averaged_weights(self) -> AbstractContextManager[None]:
        """Swaps weights and averages inside the context: `with optimizer.averaged_weights(): evaluate()`.

        Neither apply an update nor save inside it. Must be entered eagerly; code inside may be compiled. Costs the
        memory of one parameter.

        Raises:
            ConfigError: the optimizer has no average.
        """
        if self.averages:
            return exchanged(self._averaged())
        raise ConfigError("There is no average of the weights: construct with `average_decay` or `average_from_steps`.")

    def restart_from_weights(self) -> None:
        """Sets all copies of the weights to the parameters, as at construction: for weights that were loaded since."""
        parameters = dict(zip(self.paths, self.parameters, strict=True))
        for copies in (self.averages, self._slow, *(self.slots[slot] for slot in self._slots_of_weights)):
            for path, held in copies.items():
                held.assign(parameters[path])

    def _averaged(self) -> Iterable[tuple[tf.Variable, tf.Variable]]:
        """Pairs each parameter with its average."""
        return zip(self.parameters, self.averages.values(), strict=True)

    def _scalars(self, step: tf.Tensor, learning_rate: tf.Tensor) -> Any:  # noqa: ARG002 - some methods need the step
        """Computes the rule's values that all parameters share; `step` counts completed updates."""
        return -learning_rate
