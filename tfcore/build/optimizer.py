"""Builds the training step with the loss, optimizer and schedule that a configuration names."""

import inspect
import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any

from tfcore.build import lookup, registry, signatures, user_code
from tfcore.build.groups import parameter_groups
from tfcore.build.tables import LOSSES, OPTIMIZERS
from tfcore.config import RunConfig
from tfcore.config.training import BALANCED, class_weights
from tfcore.errors import ConfigError, ShapeError
from tfcore.workers import ALONE, Workers

if TYPE_CHECKING:
    from tfcore.training.step import TrainingStep


def build_step(
    config: RunConfig,
    net: Any,
    total_steps: int,
    *,
    loss: Callable[..., Any] | None = None,
    teacher: Callable[[Any], Any] | None = None,
    epoch_steps: Fraction = Fraction(1),
    workers: Workers = ALONE,
) -> "TrainingStep":
    """Builds the step with its optimizer, schedule, penalty, SAM and micro-batches.

    Args:
        config: the run's.
        net: the model.
        total_steps: of the run.
        loss: in place of `build_loss`.
        teacher: see `TrainingStep`.
        epoch_steps: steps of an epoch, for the averages that begin after some.
        workers: share each batch.
    """
    from tfcore.modules import named_parameters, named_variables
    from tfcore.training.sharpness import Sharpness
    from tfcore.training.step import Penalty, TrainingStep

    parameters = named_parameters(net)
    penalty = None
    if config.l1 or config.l2:
        penalty = Penalty(parameters, config.penalty_variables, l1=config.l1, l2=config.l2)
    sharpness = None if config.sam_radius is None else Sharpness(config.sam_radius, named_variables(net).values())
    return TrainingStep(
        net, build_optimizer(config, net, parameters, total_steps, epoch_steps), loss or build_loss(config),
        seed=config.seed, batch_size=config.batch_size, penalty=penalty, microbatches=config.microbatches,
        sharpness=sharpness, teacher=teacher, workers=workers, synced=sums_across_workers(config, net, workers),
        xla=workers.count > 1 and config.xla == "on",
    )  # fmt: skip


def sums_across_workers(config: RunConfig, net: Any, workers: Workers) -> bool:
    """Tells whether layers of the model take their statistics over the batches of several workers."""
    layers = (net, *net.submodules)
    is_synced = workers.count > 1 and config.batch_norm == "synced"
    return is_synced and any(getattr(layer, "sums_across_workers", False) for layer in layers)


def build_loss(config: RunConfig) -> Callable[..., Any]:
    """Returns a function from logits and labels to one loss per example.

    Raises:
        ConfigError: smoothing for a loss that takes none.
        ShapeError: at the call, a user's loss that does not return one number per example.
    """
    function = lookup.find(config.loss, LOSSES)
    if "label_smoothing" in inspect.signature(function).parameters:
        function = partial(function, label_smoothing=config.label_smoothing)
    elif config.label_smoothing:
        raise ConfigError(f"--loss={config.loss} takes no --label_smoothing. Leave it out.")

    def per_example(logits: Any, labels: Any) -> Any:
        losses = function(logits, labels)
        if losses.shape.rank != 1:  # a mean would train as well, with gradients scaled by the batch size
            raise ShapeError(
                f"--loss={config.loss} must return one loss for each example, [N], and no mean. Received shape "
                f"{losses.shape}."
            )
        return losses

    return per_example


def training_loss(config: RunConfig, examples: Any, classes: int) -> Callable[..., Any]:
    """Returns the loss that is trained on: that of `build_loss`, with teacher and class weights if there are any.

    Args:
        config: the run's.
        examples: to train on; their `labels`, integer [N], are collected for balanced weights only.
        classes: number of classes.

    Raises:
        ConfigError: another number of weights than of classes.
    """
    from tfcore import losses

    loss = build_loss(config)
    if config.teacher:
        loss = losses.distilled(loss, share=config.teacher_share, temperature=config.teacher_temperature)
    if not config.class_weights:
        return loss
    if config.class_weights == BALANCED:
        return losses.weighted(loss, losses.balanced(examples.labels, classes))
    weights = class_weights("class_weights", config.class_weights)
    if len(weights) != classes:
        raise ConfigError(f"--class_weights takes a number for each of the {classes} classes. Received {len(weights)}.")
    return losses.weighted(loss, weights)


def check_targets(config: RunConfig, classes: int) -> None:
    """Raises ConfigError unless the loss takes targets, [N, classes] of float32, as mixed examples have."""
    import tensorflow as tf

    rows = tf.TensorSpec([config.batch_size, classes], tf.float32)
    try:
        tf.function(build_loss(config), autograph=False).get_concrete_function(rows, rows)
    except Exception as error:  # whatever a user's function raises
        raise ConfigError(
            f"--augment={config.augment} mixes examples: --loss={config.loss} gets targets [N, {classes}] of float32 "
            f"instead of class numbers [N], and raises an error: {user_code.told(error)}. Leave out the mixing, or "
            "choose a loss that takes both."
        ) from error


def build_optimizer(
    config: RunConfig, net: Any, parameters: Mapping[str, Any], total_steps: int, epoch_steps: Fraction = Fraction(1)
) -> Any:
    """Builds the optimizer with its schedule, clipping, settings by path, max-norm constraints and averages."""
    from tfcore.modules import max_norms
    from tfcore.optimizers import MaxNorm, Optimizer

    cls = lookup.find(config.optimizer, OPTIMIZERS)
    if not (isinstance(cls, type) and issubclass(cls, Optimizer)):
        raise ConfigError(f"--optimizer={config.optimizer} must be a subclass of tfcore.optimizers.Optimizer.")
    taken = signatures.of_object(cls)
    given = registry.given_settings(config, taken, OPTIMIZERS)
    decays = "weight_decay" in taken.arguments and registry.decays(config, OPTIMIZERS)
    if groups := parameter_groups(config, tuple(parameters), decays=decays):
        given["groups"] = groups
    if limits := {path: MaxNorm(limit) for path, limit in max_norms(net).items()}:
        given["constraints"] = limits
    given |= _equal_average(config, total_steps, epoch_steps)
    for name in ("groups", "constraints", "average_from_steps"):
        if name in given and not taken.takes(name):
            raise ConfigError(f"--optimizer={config.optimizer} must take {name}, best by **chain: this run needs them.")
    with nullcontext() if config.optimizer in OPTIMIZERS else user_code.telling(f"--optimizer={config.optimizer}"):
        return cls(parameters, learning_rate=build_schedule(config, total_steps), **given)


def first_averaged(config: RunConfig, epoch_steps: Fraction) -> Fraction:
    """Returns s of `EqualAverage`: the steps at which the equal-weight average begins."""
    return _short(config.average_from_epochs) * epoch_steps


def _short(epochs: float | None) -> Fraction:
    """Reads epochs as a fraction of a small denominator, such as 10/3 for 3.333333: products of it stay in 64 bits."""
    return max(Fraction(str(epochs)).limit_denominator(1000), Fraction(1, 1000))


def _equal_average(config: RunConfig, total_steps: int, epoch_steps: Fraction) -> dict[str, Any]:
    """Returns the settings of the equal-weight average in steps; none without it.

    Raises:
        ConfigError: the run ends before it begins.
    """
    if config.average_from_epochs is None:
        return {}
    first = first_averaged(config, epoch_steps)
    if first >= total_steps:
        raise ConfigError(
            f"--average_from_epochs={config.average_from_epochs:g} must be before the end of the run. It is step "
            f"{math.ceil(first)} of {total_steps}."
        )
    return {
        "average_from_steps": first,
        "average_every_steps": _short(config.average_every_epochs) * epoch_steps,
    }


def build_schedule(config: RunConfig, total_steps: int) -> Callable[..., Any]:
    """Builds the learning rate schedule."""
    from tfcore import schedules

    rate: Any = config.learning_rate  # a number once `resolve` has seen the configuration
    length, end = config.decay_steps or total_steps, config.end_learning_rate
    inner: Any = {
        "constant": lambda: schedules.Constant(rate),
        "step_wise": lambda: schedules.StepWise(rate, config.decay_boundaries or (), config.decay_factor),
        "exponential": lambda: schedules.Exponential(rate, length, config.decay_factor),
        "polynomial": lambda: schedules.Polynomial(rate, length, config.decay_power, end),
        "trapezoid": lambda: schedules.Trapezoid(rate, length, config.cooldown_share, end),
        "cosine": lambda: schedules.Cosine(rate, length, end),
        "cosine_restarts": lambda: schedules.CosineRestarts(rate, length, config.period_factor, end),
        "one_cycle": lambda: schedules.OneCycle(rate, length, config.warmup_share, config.start_divisor, end),
    }[config.schedule]()
    return schedules.WarmUp(inner, config.warmup_steps) if config.warmup_steps else inner
