"""The statistics of batch norms for averaged weights, computed anew from training batches."""

import itertools
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfcore.data.batches import TrainingBatches
from tfcore.errors import RunError
from tfcore.modules import exchanged, kept, named_variables
from tfcore.seeds import Key
from tfcore.training.step import Optimizer
from tfcore.workers import Workers

_MOST_BATCHES = 100


class _Moving(NamedTuple):
    """A moving average of a batch norm."""

    variable: tf.Variable
    momentum: float  # the share that is kept


class AveragedStatistics:
    """Moving means and variances that fit the averaged weights.

    The model's own belong to its present weights: with averaged ones, the activations have other means and variances.
    These are the means, over the next training batches, of the mean and of the unbiased variance of each batch in
    training mode with the averaged weights: what PyTorch's `swa_utils.update_bn` computes, over at most 100 batches.

    A batch norm is every module with variables `moving_mean` and `moving_variance` that keep the share `momentum` of
    themselves, such as `tfcore.layers.BatchNorm`. All other variables of the model stay as they are.

    Args:
        model: called as `model(images, training=True, key=key)`.
        optimizer: holds the averages.
        batches: of the training.
        batch_count: how many of them to use, at most 100 of which are.

    Attributes:
        variables: by the path of the variable that each stands for; part of a run's state.

    Source: Izmailov, Podoprikhin, Garipov, Vetrov & Wilson 2018, arXiv 1803.05407, section 3.2.
    """

    def __init__(self, model: tf.Module, optimizer: Optimizer, batches: TrainingBatches, batch_count: int) -> None:
        self._model, self._optimizer, self._batches = model, optimizer, batches
        self._batch_count = min(batch_count, _MOST_BATCHES)
        found = named_variables(model)
        self._moving = _moving(model)
        moving = {id(each.variable) for each in self._moving}
        self._others = [v for v in found.values() if not v.trainable and id(v) not in moving]
        paths = {id(variable): path for path, variable in found.items()}
        self.variables = {
            paths[id(each.variable)]: tf.Variable(each.variable, trainable=False) for each in self._moving
        }
        self._run = tf.function(self._compute, autograph=False)
        self._renewed_step = -1

    def renew(self) -> None:
        """Computes them for the averages of this step, unless that is done; must be called eagerly."""
        step = int(self._optimizer.step.numpy())
        if not self._moving or step == self._renewed_step:
            return
        with kept(self._others), self._optimizer.averaged_weights(), self.in_use():
            self._run(self._batches.from_step(step), tf.constant(step, tf.int64))
        self._renewed_step = step
        for path, variable in self.variables.items():
            if not np.isfinite(variable.numpy()).all():
                raise RunError(
                    f"The statistics of {path} for the averaged weights are not finite after {step:,} steps: the "
                    "average is of weights too far apart. Lower --learning_rate, or average from a later epoch on."
                )

    def copy_from_model(self) -> None:
        """Sets them to the model's, which fit while the average is the weights."""
        for each, own in zip(self._moving, self.variables.values(), strict=True):
            own.assign(each.variable)

    def in_use(self) -> AbstractContextManager[None]:
        """Swaps them with the model's inside the context."""
        models = (each.variable for each in self._moving)
        return exchanged(zip(models, self.variables.values(), strict=True))

    def _compute(self, blocks: Iterator[Any], first_step: tf.Tensor) -> None:
        """Sets the model's moving averages to the means over the batches from `first_step` on."""

        def add_batch(images: tf.Tensor, number: tf.Tensor, sums: list[tf.Tensor]) -> list[tf.Tensor]:
            for each in self._moving:
                each.variable.assign(tf.zeros_like(each.variable))
            step = first_step + tf.cast(number, tf.int64)
            self._model(images, training=True, key=Key(self._batches.seed, step, step * self._batches.batch_size))
            return [total + each.variable for total, each in zip(sums, self._moving, strict=True)]

        def add_block(done: tf.Tensor, sums: list[tf.Tensor]) -> Any:
            images, *_ = next(blocks)
            end = tf.minimum(done + images.shape[0], self._batch_count)
            return tf.while_loop(
                lambda number, _: number < end,
                lambda number, sums: (number + 1, add_batch(images[number - done], number, sums)),
                (done, sums),
                parallel_iterations=1,
            )

        zeros = [tf.zeros(each.variable.shape) for each in self._moving]
        _, sums = tf.while_loop(
            lambda done, _: done < self._batch_count, add_block, (tf.constant(0), zeros), parallel_iterations=1
        )
        for each, total in zip(self._moving, sums, strict=True):
            each.variable.assign(total / (self._batch_count * (1 - each.momentum)))  # of 0, a batch moves 1 - momentum


def average_over_workers(model: tf.Module, workers: Workers, *, synced: bool) -> None:
    """Gives the moving averages of batch norms, on all workers, their means over the workers.

    Args:
        model: of the run.
        workers: of the run.
        synced: whether layers that can do so have summed over all workers in training; theirs are equal already.
    """
    if workers.count == 1:
        return
    own = [each.variable for each in _moving(model, without_sums=synced)]
    if not own:
        return
    flat = tf.concat([tf.reshape(variable, [-1]) for variable in own], 0)
    means = tf.split(workers.all_reduce(flat) / workers.count, [variable.shape.num_elements() for variable in own])
    for variable, mean in zip(own, means, strict=True):
        variable.assign(tf.reshape(mean, variable.shape))


def _moving(model: tf.Module, *, without_sums: bool = False) -> list[_Moving]:
    """The moving averages of the batch norms in the model: all, or those that are not summed over workers."""
    layers = [layer for layer in (model, *model.submodules) if hasattr(layer, "momentum")]
    if without_sums:
        layers = [layer for layer in layers if not getattr(layer, "sums_across_workers", False)]
    pairs = itertools.product(layers, ("moving_mean", "moving_variance"))
    return [
        _Moving(variable, layer.momentum)
        for layer, name in pairs
        if isinstance(variable := getattr(layer, name, None), tf.Variable)
    ]
