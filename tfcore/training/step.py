"""One training step: loss, gradients, update, sums."""

import copy
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import tensorflow as tf

from tfcore import checks, patterns
from tfcore.errors import ConfigError
from tfcore.seeds import Key
from tfcore.training.sharpness import Sharpness
from tfcore.workers import ALONE, Workers, summed_across

Loss = Callable[..., tf.Tensor]


class Optimizer(Protocol):
    """The optimizer interface of the step, implemented by `tfcore.optimizers`."""

    parameters: tuple[tf.Variable, ...]
    frozen: tuple[bool, ...]  # whether each parameter keeps its value
    step: tf.Variable
    variables: dict[str, tf.Variable]
    averages_by_itself: ClassVar[bool]  # in place of a falling learning rate

    def apply(self, gradients: Any) -> None: ...

    def learning_rate(self, step: tf.Tensor) -> tf.Tensor: ...

    def at_gradient_point(self) -> AbstractContextManager[None]: ...

    def averaged_weights(self) -> AbstractContextManager[None]: ...

    def restart_from_weights(self) -> None: ...

    def freezing(self, paths: Collection[str]) -> Self: ...


class StepResult(NamedTuple):
    """The numbers of one step on its batch, before the update."""

    loss: tf.Tensor  # [] float64, mean over the batch, without penalties
    total_loss: tf.Tensor  # [] float64, with penalties
    accuracy: tf.Tensor  # [] float64, share of the batch
    gradients: tuple[tf.Tensor, ...]  # one for each parameter; zeros for a frozen one


class Penalty:
    """λ1 · Σ |w| + λ2 / 2 · Σ w² over the parameters whose path matches a pattern.

    Note the ½: Keras' `l2` has none.

    Args:
        parameters: the model's parameters by path.
        pattern: a regular expression, searched in the path.
        l1: λ1, at least 0.
        l2: λ2, at least 0.

    Raises:
        ConfigError: a negative factor, a pattern that is no regular expression or matches no parameter.
    """

    def __init__(
        self, parameters: Mapping[str, tf.Variable], pattern: str, *, l1: float = 0.0, l2: float = 0.0
    ) -> None:
        checks.not_negative("l1", l1)
        checks.not_negative("l2", l2)
        self._l1, self._l2 = l1, l2
        self._chosen = [parameters[path] for path in patterns.matching("penalty_variables", pattern, parameters)]

    def __call__(self) -> tf.Tensor:
        terms = [self._l2 * tf.nn.l2_loss(variable) for variable in self._chosen if self._l2]
        terms += [self._l1 * tf.reduce_sum(tf.abs(variable)) for variable in self._chosen if self._l1]
        return tf.add_n(terms) if terms else tf.zeros([])


class TrainingStep:
    """Runs forward pass, backward pass and update, and adds the step's numbers to `sums`.

    Args:
        model: called as `model(images, training=True, key=key)`; gives logits `[N, classes]`.
        optimizer: holds the parameters to train and the step number.
        loss: per-example losses `[N]` from `(logits, labels)`, or with a teacher `(logits, labels, teacher_logits)`.
        seed: the run's seed, for the keys of random layers.
        batch_size: B of the batches to come.
        penalty: gives a scalar that is added to the mean loss; None for none.
        microbatches: into how many equal parts a batch is split to save memory. The gradient is the same mean.
        teacher: gives logits `[N, classes]` for the pictures that the model gets; no gradient flows to it. None for
            none.
        sharpness: takes the gradient of the loss at other weights; None for the weights themselves.
        workers: share each batch: this step gets one worker's part, and sums loss, hits and gradients over all.
        synced: whether layers take their statistics over the batches of all workers.
        xla: compile gradients and update with XLA, each by itself, as sums over workers cannot be compiled; gradients
            only if they need no such sums.

    Raises:
        ConfigError: `microbatches` and workers that do not divide the batch size.
    """

    def __init__(
        self,
        model: Callable[..., tf.Tensor],
        optimizer: Optimizer,
        loss: Loss,
        *,
        seed: int,
        batch_size: int,
        penalty: Callable[[], tf.Tensor] | None = None,
        microbatches: int = 1,
        teacher: Callable[[tf.Tensor], tf.Tensor] | None = None,
        sharpness: Sharpness | None = None,
        workers: Workers = ALONE,
        synced: bool = False,
        xla: bool = False,
    ) -> None:
        checks.positive("microbatches", microbatches)
        if batch_size % (microbatches * workers.count):
            of_workers = f" of each of {workers.count} workers" if workers.count > 1 else ""
            raise ConfigError(
                f"`microbatches` must divide the batch of {batch_size}{of_workers}. Received {microbatches}."
            )
        self.optimizer = optimizer
        self.batch_size = batch_size
        self.sums = tf.Variable(tf.zeros([4], tf.float64), trainable=False, name="sums")  # see TrainingSums
        self._model, self._loss, self._penalty, self._teacher = model, loss, penalty, teacher
        self._seed, self._microbatches, self._sharpness = seed, microbatches, sharpness
        self._workers, self._synced, self._xla = workers, synced, xla

    def __call__(self, images: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor | None = None) -> StepResult:
        """Trains on one batch. Python runs this only during tracing.

        Args:
            images: `[B, …]`; of several workers, each gives its part, and the result is that of the whole batch.
            labels: `[B]` or `[B, classes]`.
            weights: float32 `[B]`, by which the losses are multiplied; None for none. The mean still divides by B.
        """
        with self.optimizer.at_gradient_point():
            loss_sum, hits, gradients = self.gradients(images, labels, weights)
            penalty, gradients = self._with_penalty(gradients)
        self._compiled(self.optimizer.apply)(gradients)
        examples = tf.constant(self.batch_size, tf.float64)
        penalty_sum = tf.cast(penalty, tf.float64) * examples
        self.sums.assign_add(tf.stack([loss_sum, loss_sum + penalty_sum, hits, examples]))
        loss = loss_sum / examples
        return StepResult(loss, loss + tf.cast(penalty, tf.float64), hits / examples, gradients)

    def freezing(self, paths: Collection[str]) -> Self:
        """Returns this step with more parameters frozen: a copy that shares all variables.

        It does not compute their gradients. Where they are those of the first layers, the backward pass ends earlier.

        Args:
            paths: of the parameters.

        Source: Brock, Lim, Ritchie & Weston 2017, arXiv 1706.04983, section 2; without its annealed learning rates.
        """
        found = copy.copy(self)
        found.optimizer = self.optimizer.freezing(paths)
        return found

    @property
    def _watched(self) -> list[tf.Variable]:
        """The parameters that are not frozen."""
        pairs = zip(self.optimizer.parameters, self.optimizer.frozen, strict=True)
        return [parameter for parameter, frozen in pairs if not frozen]

    def nothing(self) -> StepResult:
        """The initial value of a loop over steps: a result of zeros."""
        zero = tf.zeros([], tf.float64)
        return StepResult(zero, zero, zero, tuple(tf.zeros(p.shape) for p in self.optimizer.parameters))

    def gradients(self, images: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor | None = None) -> Any:
        """Computes loss sum and hits of a batch (float64), and the gradient of its mean loss without penalty."""
        compute = partial(self._batch_gradients, images, labels, weights)
        if self._sharpness is None:
            return compute()
        return self._sharpness.gradients(self.optimizer.parameters, self.optimizer.frozen, compute)

    def _batch_gradients(self, images: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor | None) -> Any:
        """Computes the same at the present weights, over all workers."""
        batch = (images, labels) if weights is None else (images, labels, weights)
        if self._workers.count == 1:
            return self._own_gradients(*batch)
        with summed_across(self._workers.all_reduce) if self._synced else nullcontext():
            own = self._own_gradients(*batch)
        return self._summed(*own)

    def _summed(self, loss_sum: tf.Tensor, hits: tf.Tensor, gradients: tuple[tf.Tensor, ...]) -> Any:
        """Sums loss, hits and gradients over all workers, as one vector of float32."""
        pairs = list(zip(self.optimizer.frozen, gradients, strict=True))
        flat = [tf.reshape(gradient, [-1]) for frozen, gradient in pairs if not frozen]
        numbers = tf.cast(tf.stack([loss_sum, hits]), tf.float32)
        summed = iter(tf.split(self._workers.all_reduce(tf.concat([numbers, *flat], 0)), [2, *map(tf.size, flat)]))
        loss_sum, hits = tf.unstack(tf.cast(next(summed), tf.float64))
        return loss_sum, hits, tuple(g if frozen else tf.reshape(next(summed), g.shape) for frozen, g in pairs)

    def _compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Compiles one of several parts of the step with XLA, if wanted."""
        return tf.function(function, autograph=False, jit_compile=True) if self._xla else function

    def _own_gradients(self, *batch: tf.Tensor) -> Any:
        """Computes loss sum, hits and gradients of this worker's rows, part by part."""
        size = self.batch_size // self._microbatches  # of a part, over all workers
        own_size = size // self._workers.count
        position = self.optimizer.step * self.batch_size
        if self._workers.number:
            position += own_size * self._workers.number
        part_gradients = self._part_gradients if self._synced else self._compiled(self._part_gradients)
        if self._microbatches == 1:
            return part_gradients(position, *batch)
        parts = [tf.reshape(whole, [self._microbatches, own_size, *whole.shape[1:]]) for whole in batch]

        def add_part(part: tf.Tensor, loss_sum: tf.Tensor, hits: tf.Tensor, gradients: Any) -> Any:
            start = position + tf.cast(part * size, tf.int64)
            more = part_gradients(start, *(whole[part] for whole in parts))
            summed = tuple(old + new for old, new in zip(gradients, more[2], strict=True))
            return part + 1, loss_sum + more[0], hits + more[1], summed

        nothing = tf.zeros([], tf.float64)
        zeros = tuple(tf.zeros_like(parameter) for parameter in self.optimizer.parameters)
        # One part at a time: computing parts in parallel would need the memory that splitting saves.
        _, loss_sum, hits, gradients = tf.while_loop(
            lambda part, *_: part < self._microbatches, add_part, (0, nothing, nothing, zeros), parallel_iterations=1
        )
        return loss_sum, hits, gradients

    def _part_gradients(
        self, position: tf.Tensor, images: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor | None = None
    ) -> Any:
        """Computes loss sum, hits, and this part's contribution to the gradient of the batch's mean loss."""
        taught = () if self._teacher is None else (self._teacher(images),)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self._watched)
            logits = self._model(images, training=True, key=Key(self._seed, self.optimizer.step, position))
            losses = self._loss(logits, labels, *taught)
            loss_sum = tf.reduce_sum(losses if weights is None else weights * losses)
            share = loss_sum * (1 / self.batch_size)
        rows = zip(self.optimizer.parameters, self.optimizer.frozen, self._slopes(tape, share), strict=True)
        gradients = tuple(tf.zeros(parameter.shape) if frozen else slope for parameter, frozen, slope in rows)
        predicted = tf.argmax(logits, axis=-1, output_type=tf.int32)
        hits = tf.reduce_sum(tf.cast(predicted == _classes(labels), tf.float64))
        return tf.cast(loss_sum, tf.float64), hits, gradients

    def _with_penalty(self, gradients: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
        """Computes the penalty at the current weights, and adds its gradients to `gradients`."""
        if self._penalty is None:
            return tf.zeros([]), gradients
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self._watched)
            penalty = self._penalty()
        more = self._slopes(tape, penalty)
        return penalty, tuple(g if m is None else g + m for g, m in zip(gradients, more, strict=True))

    def _slopes(self, tape: tf.GradientTape, value: tf.Tensor) -> list[tf.Tensor | None]:
        """Computes the gradient for each parameter; None for a frozen one, and where `value` does not depend on it."""
        found = iter(tape.gradient(value, self._watched))
        return [None if frozen else next(found) for frozen in self.optimizer.frozen]


def _classes(labels: tf.Tensor) -> tf.Tensor:
    """Returns class numbers int32 [N]; of targets [N, C], the class of the largest share."""
    return tf.cast(labels, tf.int32) if labels.shape.rank == 1 else tf.argmax(labels, axis=-1, output_type=tf.int32)
