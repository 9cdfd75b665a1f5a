"""Records gradients, updates and activations by layer: runs the next step, then restores all variables."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfcore.modules import kept, named_variables, outputs
from tfcore.training.loop import NextStep
from tfcore.training.step import TrainingStep

_EXAMPLES = 16  # of a batch, whose activations are recorded

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Seen:
    """The first examples of a batch, and the activations of a model on them.

    Attributes:
        images: [16, H, W, C] at most, as the model gets them: uint8, or float32 on the same scale where examples are
            mixed.
        labels: int32 [16] at most, or targets float32 [16, classes].
        activations: float32 [16, …] at most, the output of each layer in evaluation mode, by its path, in the order of
            calls.
    """

    images: NDArray[Any]
    labels: NDArray[Any]
    activations: dict[str, Array]


@dataclass(frozen=True)
class Observed(Seen):
    """The tensors of the next step, and the first examples of its batch.

    Attributes:
        weights, gradients, updates: float32, by the path of each parameter: its values, the gradient of the total loss
            with respect to it, and the change that the optimizer makes.
    """

    weights: dict[str, Array]
    gradients: dict[str, Array]
    updates: dict[str, Array]


def see(model: tf.Module, images: tf.Tensor, labels: tf.Tensor) -> Seen:
    """Records the activations on the first of `images`, [N, H, W, C], with `labels`, [N] or [N, classes]."""
    activations = outputs(model, images[:_EXAMPLES])
    return Seen(
        images[:_EXAMPLES].numpy(),
        labels[:_EXAMPLES].numpy(),
        {path: tf.cast(output, tf.float32).numpy() for path, output in activations.items()},
    )


def observe(model: tf.Module, step: TrainingStep, next_step: Callable[[], NextStep]) -> Observed:
    """Runs the next step, records its tensors, and restores all variables bit for bit.

    Args:
        model: the model that `step` trains.
        step: the training step of the run.
        next_step: runs the next step; `Loop.next_step`.
    """
    variables = named_variables(model)
    paths = [path for path, variable in variables.items() if variable.trainable]
    with kept([*variables.values(), *step.optimizer.variables.values(), step.sums]):
        before = [variable.numpy() for variable in step.optimizer.parameters]
        taken = next_step()
        changes = [new.numpy() - old for new, old in zip(step.optimizer.parameters, before, strict=True)]
    slopes = [gradient.numpy() for gradient in taken.gradients]
    weights, gradients, updates = (dict(zip(paths, arrays, strict=True)) for arrays in (before, slopes, changes))
    seen = see(model, taken.images, taken.labels)
    return Observed(seen.images, seen.labels, seen.activations, weights, gradients, updates)


def norms(observed: Observed) -> dict[str, float]:
    """Computes the Euclidean norms of weights, gradients and updates, as `weight_norm/PATH` and so on."""
    parts = {"weight": observed.weights, "gradient": observed.gradients, "update": observed.updates}
    return {
        f"{name}_norm/{path}": float(np.sqrt(np.einsum("i,i", array.ravel(), array.ravel(), dtype=np.float64)))
        for name, arrays in parts.items()
        for path, array in arrays.items()
    }
