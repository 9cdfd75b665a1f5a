"""The parts of a run, built from its configuration and shared by training, restoring, logging and diagnosis."""

import math
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace

import tensorflow as tf

from tfcore.adaptation import adapt, adaptive
from tfcore.architecture import Architecture
from tfcore.build import runtime, shuffle, user_code, workload
from tfcore.build.augmentation import build_augmentation
from tfcore.build.configuration import AUTOMATIC
from tfcore.build.data import load_dataset, make_splits, pixel_statistics
from tfcore.build.model import build_model, plan_model
from tfcore.build.optimizer import (
    build_loss,
    build_step,
    check_targets,
    first_averaged,
    sums_across_workers,
    training_loss,
)
from tfcore.build.phases import PhasePlan, plan_phases
from tfcore.build.tables import AUGMENTATIONS, MODELS
from tfcore.config import RunConfig
from tfcore.data.augmentation.chain import Augmentation
from tfcore.data.batches import EvaluationBatches, TrainingBatches
from tfcore.data.dataset import Dataset
from tfcore.data.examples import Examples, data_errors
from tfcore.data.share import WHOLE, Share
from tfcore.data.splits import kind
from tfcore.errors import ConfigError
from tfcore.graphs import Product
from tfcore.modules import BrokenModelError, LayerRow, Outline, named_parameters, named_variables, outline
from tfcore.training.averaged_statistics import AveragedStatistics, average_over_workers
from tfcore.training.early_stopping import EarlyStopping
from tfcore.training.evaluation import Evaluation
from tfcore.training.phases import Phase
from tfcore.training.step import TrainingStep
from tfcore.training.sums import TrainingSums
from tfcore.use.teacher import Teacher, load_teacher
from tfcore.views import averaged
from tfcore.workers import ALONE, Workers, summed_across

_ADAPT_EXAMPLES = 5000  # at most, that layers adapt to
_ADAPT_BYTES = 64 * 2**20  # at most, of their pictures


@dataclass(frozen=True)
class Parts:
    """The components of a run. Training changes their variables but never replaces the objects.

    Attributes:
        config: with all choices made.
        data: the data set.
        splits: the examples of `train`, `test`, and `validation` if some are held out.
        augmentation: applied to training batches; None for none.
        architecture: the description that the model was built from.
        model: the network.
        teacher: the model that it learns from; None for none. Its variables are not part of the run's state.
        layers: a row for each layer of the model, in the order of their calls.
        products: the matrix products and convolutions of the model as traced.
        why_precision: the reason for the precision of the run.
        step: trains on one batch; `step.optimizer` counts the completed steps.
        averaged_statistics: of the batch norms, for an equal-weight average; None without one.
        evaluation: scores any split.
        sums: the running means of training.
        early_stopping: the best validation so far, and the number of validations since then.
        total_steps: completed steps at the end of the run.
        phase_plans: what is frozen in each phase, and the size of its pictures.
        workers: of the run, as this process sees them.
    """

    config: RunConfig
    data: Dataset
    splits: Mapping[str, Examples]
    augmentation: Augmentation | None
    architecture: Architecture
    model: tf.Module
    teacher: Teacher | None
    layers: tuple[LayerRow, ...]
    products: tuple[Product, ...]
    why_precision: str
    step: TrainingStep
    averaged_statistics: AveragedStatistics | None
    evaluation: Evaluation
    sums: TrainingSums
    early_stopping: EarlyStopping
    total_steps: int
    phase_plans: tuple[PhasePlan, ...]
    workers: Workers = ALONE

    @property
    def completed_steps(self) -> int:
        """Number of training steps applied to the variables."""
        return int(self.step.optimizer.step.numpy())

    def state(self) -> dict[str, tf.Variable]:
        """Returns all variables of the run by name: the content of a checkpoint."""
        statistics = self.averaged_statistics.variables if self.averaged_statistics else {}
        parts = {
            "model": named_variables(self.model),
            "optimizer": self.step.optimizer.variables,
            "optimizer.average": statistics,  # among the averages, for those that read these by path
            "sums": self.sums.variables,
            "early_stopping": self.early_stopping.variables,
        }
        return {f"{part}.{name}": variable for part, variables in parts.items() for name, variable in variables.items()}

    def has_averages(self, step: int) -> bool:
        """Tells whether there are averages of the weights after that many steps."""
        if self.config.average_from_epochs is None:
            return self.config.keeps_averages
        return step >= first_averaged(self.config, self.config.steps_per_epoch(len(self.splits["train"])))

    def renew_statistics(self) -> None:
        """Brings moving statistics and `averaged_statistics` up to date, before they are used or saved."""
        average_over_workers(self.model, self.workers, synced=self.config.batch_norm == "synced")
        if self.averaged_statistics is None:
            return
        if self.has_averages(self.completed_steps):
            self.averaged_statistics.renew()
        else:
            self.averaged_statistics.copy_from_model()

    def phases(self) -> tuple[Phase, ...]:
        """Returns the phases of training, for a loop."""
        return tuple(
            Phase(
                plan.first_step,
                self.step.freezing(plan.frozen) if plan.frozen else self.step,
                self.training_batches(plan.image_size),
            )
            for plan in self.phase_plans
        )

    def training_batches(self, image_size: tuple[int, int] | None = None) -> TrainingBatches:
        """Returns the batches of every step; `image_size` is (H, W) that the pictures are resized to."""
        share = _share(self.config, self.workers)
        return _training_batches(self.config, self.splits["train"], self.augmentation, image_size, share)

    def evaluation_batches(self, split: str) -> EvaluationBatches:
        """Returns the batches of a whole split, padded to the evaluation's batch size."""
        config = self.config
        return EvaluationBatches(
            self.splits[split],
            batch_size=config.eval_batch_size,
            prefetch_bytes=config.prefetch_bytes,
            share=_share(config, self.workers),
        )


def build_parts(
    config: RunConfig,
    *,
    data: Dataset | None = None,
    model: type | None = None,
    teacher: Teacher | None = None,
    workers: Workers = ALONE,
) -> Parts:
    """Builds the parts of the run of `config`, with initial weights.

    Args:
        config: resolved.
        data: the data set to train on; None for the one that the configuration names.
        model: the model's class; None for the one that the configuration names.
        teacher: of the run; None to load the one that the configuration names, if it does.
        workers: of the run.

    Raises:
        BrokenModelError: the model does not run on a batch.
        TfcoreError: an error in the configuration or the data.
    """
    _share(config, workers).check(config.batch_size)
    data = load_dataset(config, for_training=True) if data is None else data
    config = shuffle.resolve(config, data)
    config = replace(config, shuffle=workers.broadcast(config.shuffle))  # it follows from the room of the chief's cache
    config = replace(config, validation_split=kind(config.validation_split, len(data.train)))
    config, why_precision = _chosen(config, data, model)
    config = replace(config, xla=workers.broadcast(config.xla))  # processors may differ
    splits = make_splits(config, data)
    plan = plan_model(config, data)
    net = build_model(plan, seed=config.seed, statistics=pixel_statistics(config, data), cls=model)
    # A model's own `tf.function` may keep what is traced here for the step.
    with summed_across(workers.all_reduce) if sums_across_workers(config, net, workers) else nullcontext():
        traced = _outline(config, data, net)
    with user_code.telling(f"--model={config.model}"):
        _adapt(net, data, splits["train"])
    total_steps = config.total_steps(len(splits["train"]))
    augmentation = build_augmentation(config, data, AUGMENTATIONS)
    if augmentation is not None and augmentation.mixes:
        check_targets(config, data.classes)
    loss = training_loss(config, splits["train"], data.classes)
    if config.teacher and teacher is None:
        teacher = load_teacher(config.teacher, data, average=config.teacher_average)
    epoch_steps = config.steps_per_epoch(len(splits["train"]))
    step = build_step(config, net, total_steps, loss=loss, teacher=teacher, epoch_steps=epoch_steps, workers=workers)
    batches = _training_batches(config, splits["train"], augmentation)  # whole ones, for each worker
    is_averaged = config.average_from_epochs is not None
    phase_plans = plan_phases(
        config, tuple(named_parameters(net)), examples=len(splits["train"]), image_shape=data.image_shape
    )
    for size in {plan.image_size for plan in phase_plans if plan.image_size is not None}:
        _check_size(config, data, net, *size)
    return Parts(
        config=config,
        data=data,
        splits=splits,
        augmentation=augmentation,
        architecture=plan,
        model=net,
        teacher=teacher,
        layers=tuple(traced.layers),
        products=tuple(traced.products),
        why_precision=why_precision,
        step=step,
        averaged_statistics=AveragedStatistics(net, step.optimizer, batches, math.ceil(epoch_steps))
        if is_averaged
        else None,
        evaluation=Evaluation(
            averaged(net, plan.views, plan.image_shape), build_loss(config), classes=data.classes, workers=workers
        ),
        sums=TrainingSums(step.sums),
        early_stopping=EarlyStopping(monitor=config.monitor, patience=config.patience),
        total_steps=total_steps,
        phase_plans=phase_plans,
        workers=workers,
    )


def _share(config: RunConfig, workers: Workers) -> Share:
    return Share(workers.number, workers.count, config.microbatches)


def _training_batches(
    config: RunConfig,
    examples: Examples,
    augmentation: Augmentation | None,
    image_size: tuple[int, int] | None = None,
    share: Share = WHOLE,
) -> TrainingBatches:
    return TrainingBatches(
        examples,
        batch_size=config.batch_size,
        seed=config.seed,
        augmentation=augmentation,
        image_size=image_size,
        prefetch_bytes=config.prefetch_bytes,
        share=share,
    )


def _chosen(config: RunConfig, data: Dataset, model: type | None) -> tuple[RunConfig, str]:
    """Makes the choices that depend on what the model computes and applies those of threads.

    Returns:
        The configuration, and the reason for its precision.
    """
    is_open = any(getattr(config, name) == value for name, value in AUTOMATIC.items())
    load = workload.of_model(plan_model(config, data), config.batch_size, model) if is_open else None
    chosen, why_precision = runtime.chosen(config, load, alone=not config.teacher)
    return runtime.set_threads(chosen), why_precision


def _adapt(net: tf.Module, data: Dataset, examples: Examples) -> None:
    """Shows training pictures, evenly spaced over the examples, to the layers that adapt to them."""
    if not adaptive(net):
        return
    picture_bytes = math.prod(data.image_shape)
    count = min(len(examples), _ADAPT_EXAMPLES, max(1, _ADAPT_BYTES // picture_bytes))
    with data_errors([examples]):
        images, *_ = examples.gather(tf.range(count, dtype=tf.int64) * len(examples) // count)
        adapt(net, images)


def _check_size(config: RunConfig, data: Dataset, net: tf.Module, height: int, width: int) -> None:
    """Raises ConfigError, with the layer, unless the model trains on pictures of another size than those it is for."""
    shape = (height, width, data.image_shape[2])
    try:  # a whole batch: a model's own reshape may turn N pictures into fewer rows
        outline(net, shape, classes=data.classes, batch_size=config.batch_size, training=True)
    except BrokenModelError as error:
        raise ConfigError(
            f"--progressive_resizing={config.progressive_resizing} needs a model for pictures of any size, with global "
            f"pooling, such as resnet20. At {height}x{width}: {error}"
        ) from error


def _outline(config: RunConfig, data: Dataset, net: tf.Module) -> Outline:
    """Traces the model for its table; a user's model is also called in training mode."""
    try:
        for training in (False,) if config.model in MODELS else (True, False):
            found = outline(net, data.image_shape, classes=data.classes, training=training)
    except BrokenModelError as error:
        place = user_code.place(error.__cause__)
        message = f"{str(error).removesuffix('.')}{f' ({place})' if place else ''}."
        raise BrokenModelError(message, error.rows) from error
    return found
