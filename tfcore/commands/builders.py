"""From names to objects: the only place that names concrete classes.

Table entries are import paths, so a name is checked before TensorFlow loads.
"""

import inspect
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcore.architecture import Architecture
from tfcore.commands import lookup, own_code, runtime
from tfcore.config import MODEL_SIZES, OPTIMIZERS_WITH, SOURCE_SETTINGS, RunConfig
from tfcore.errors import ConfigError, DataError, ShapeError

if TYPE_CHECKING:
    from tfcore.data.batches import Examples
    from tfcore.data.dataset import Dataset
    from tfcore.training.step import TrainingStep

MODELS = {
    "softmax": "tfcore.models.softmax:Softmax",
    "mlp": "tfcore.models.mlp:Mlp",
    "mnist_cnn": "tfcore.models.mnist_cnn:MnistCnn",
    "cifar_cnn": "tfcore.models.cifar_cnn:CifarCnn",
}
DATASETS = {
    "cifar10": "tfcore.data.sources.cifar:cifar10",
    "cifar100": "tfcore.data.sources.cifar:cifar100",
    "mnist": "tfcore.data.sources.idx:mnist",
    "fashion_mnist": "tfcore.data.sources.idx:fashion_mnist",
    "kmnist": "tfcore.data.sources.idx:kmnist",
    "shapes": "tfcore.data.sources.shapes:shapes",
}
SOURCES = {  # --dataset=NAME:PATH
    "text": "tfcore.data.sources.text:text",
    "npz": "tfcore.data.sources.npz:npz",
    "idx": "tfcore.data.sources.idx:idx",
    "folder": "tfcore.data.sources.folder:folder",
}
OPTIMIZERS = {
    "gradient_descent": "tfcore.optimizers:GradientDescent",
    "momentum": "tfcore.optimizers:Momentum",
    "adagrad": "tfcore.optimizers:Adagrad",
    "adadelta": "tfcore.optimizers:Adadelta",
    "rmsprop": "tfcore.optimizers:RMSprop",
    "adam": "tfcore.optimizers:Adam",
    "adamw": "tfcore.optimizers:AdamW",
    "nadam": "tfcore.optimizers:Nadam",
    "lion": "tfcore.optimizers:Lion",
}
LEARNING_RATES = dict.fromkeys(OPTIMIZERS, 0.001) | {  # the optimizers' own, told without loading them
    "gradient_descent": 0.01,
    "momentum": 0.01,
    "adagrad": 0.01,
    "adadelta": 1.0,
    "lion": 0.0001,
}
LOSSES = {
    "cross_entropy": "tfcore.losses:cross_entropy",
    "mean_squared_error": "tfcore.losses:mean_squared_error",
}
DEFAULT_EPOCHS = 10.0
_CHAIN = ("clip_value", "clip_norm", "average_decay")  # what every optimizer takes


def check_names(config: RunConfig) -> None:
    """Raises ConfigError, with the nearest name, unless model, data set, loss and optimizer can be found."""
    lookup.check("model", config.model, MODELS)
    if not _source(config.dataset):
        lookup.check("dataset", config.dataset, DATASETS)
    lookup.check("loss", config.loss, LOSSES)
    lookup.check("optimizer", config.optimizer, OPTIMIZERS)
    if config.learning_rate is None and config.optimizer not in LEARNING_RATES:
        raise ConfigError(f"--optimizer={config.optimizer} needs --learning_rate: an optimizer of your own has none.")


def resolve(config: RunConfig) -> RunConfig:
    """`config` with every automatic choice made, by fixed rules over the configuration alone."""
    length = config.epochs if config.epochs is not None or config.steps is not None else DEFAULT_EPOCHS
    rate = config.learning_rate or LEARNING_RATES.get(config.optimizer)
    return runtime.resolved(replace(config, epochs=length, learning_rate=rate))


def dataset(config: RunConfig) -> "Dataset":
    """Loads the data set, downloading what is missing.

    Raises:
        DataError: it is damaged, or can be neither found nor downloaded.
    """
    from tfcore.data import download
    from tfcore.data.dataset import Dataset

    source = _source(config.dataset)
    if source:
        loaded = _from_source(config, *source)
    else:
        _refuse_settings(config, ())
        make, folder = lookup.find(config.dataset, DATASETS), download.data_dir(config.data_dir)
        with nullcontext() if config.dataset in DATASETS else own_code.telling(f"--dataset={config.dataset}"):
            loaded = make(folder)
    if not isinstance(loaded, Dataset):
        raise DataError(
            f"--dataset={config.dataset} must return a tfcore.data.dataset.Dataset. Received {type(loaded)}."
        )
    return loaded.take(config.train_examples, config.test_examples)


def _source(name: str) -> tuple[str, Path] | None:
    """`text:PATH` as its two parts; None where `name` is no such thing."""
    kind, _, path = name.partition(":")
    return (kind, Path(path).expanduser()) if kind in SOURCES and path else None


def _from_source(config: RunConfig, kind: str, path: Path) -> Any:
    """The data set that the user's own files hold."""
    read = lookup.load(SOURCES[kind])
    taken = inspect.signature(read).parameters
    _refuse_settings(config, tuple(taken))
    values = {"test_share": 0.1, "image_shape": None, "image_size": None, "skip_bad_pictures": False}
    given = {name: getattr(config, name) for name in SOURCE_SETTINGS if getattr(config, name) is not None}
    offered = {**values, **given, "seed": config.seed}
    return read(path, **{name: value for name, value in offered.items() if name in taken})


def _refuse_settings(config: RunConfig, taken: tuple[str, ...]) -> None:
    """Raises ConfigError on a setting that the data set would not look at."""
    for name in SOURCE_SETTINGS:
        if getattr(config, name) is not None and name not in taken:
            raise ConfigError(f"--dataset={config.dataset} takes no --{name}. Leave it out.")


def splits(config: RunConfig, data: "Dataset") -> dict[str, "Examples"]:
    """The examples of `train`, of `validation` where some are held out, and of `test`."""
    from tfcore.data.batches import Examples, as_tensor
    from tfcore.data.dataset import split_validation

    train, held_out = split_validation(data.train.labels, config.validation, config.seed)
    images, labels = as_tensor(data.train.images), as_tensor(data.train.labels)
    found = {"train": Examples(images, labels, train if len(held_out) else None)}
    if len(held_out):
        found["validation"] = Examples(images, labels, held_out)
    return {**found, "test": Examples(as_tensor(data.test.images), as_tensor(data.test.labels))}


def architecture(config: RunConfig, data: "Dataset") -> Architecture:
    """What model is to be built for these data."""
    sizes = {name: getattr(config, name) for name in MODEL_SIZES if getattr(config, name) is not None}
    precision = "float32" if config.precision == "auto" else config.precision
    return Architecture(config.model, data.image_shape, data.class_names, config.pixels, precision, sizes)


def model(
    plan: Architecture, *, seed: int = 0, statistics: Mapping[str, Any] | None = None, cls: type | None = None
) -> Any:
    """The model with its initial weights.

    Args:
        plan: what to build.
        seed: of the initial weights.
        statistics: `mean` and `std` of the pixels, where the scaling has them; None leaves them to a checkpoint.
        cls: the class, where it is at hand; else it is found by the plan's name.

    Raises:
        ConfigError: a size that this model does not take, or a class of the user's own that raises an error.
    """
    import tensorflow as tf

    from tfcore.layers import Pixels

    cls = cls or lookup.find(plan.model, MODELS)
    taken = inspect.signature(cls).parameters
    for name in plan.sizes:
        if name not in taken:
            raise ConfigError(f"--model={plan.model} takes no --{name}. Leave it out, or choose a model that does.")
    dtype = tf.bfloat16 if plan.precision == "bfloat16" else tf.float32
    pixels = Pixels(plan.pixels, **(statistics or _no_statistics(plan)), dtype=dtype)
    offered = {"pixels": pixels, "seed": seed, "dtype": dtype}
    fitting = {name: value for name, value in offered.items() if name in taken}
    with nullcontext() if plan.model in MODELS else own_code.telling(f"--model={plan.model}"):
        net = cls(plan.image_shape, len(plan.class_names), **fitting, **plan.sizes)
    if not isinstance(net, tf.Module):
        raise ConfigError(f"--model={plan.model} must be a tf.Module, whose variables can be found. It is {type(net)}.")
    return net


def statistics(config: RunConfig, data: "Dataset") -> dict[str, Any]:
    """Mean and standard deviation of the training share's pixels, where the scaling wants them."""
    from tfcore.data.dataset import split_validation
    from tfcore.data.statistics import channel_statistics, mean_picture

    if config.pixels in ("unit", "raw"):
        return {}
    train, _ = split_validation(data.train.labels, config.validation, config.seed)
    if config.pixels == "centered":
        return {"mean": mean_picture(data.train.images, train)}
    mean, std = channel_statistics(data.train.images, train)
    return {"mean": mean, "std": std}


def _no_statistics(plan: Architecture) -> dict[str, Any]:
    """Statistics that change nothing, in the shapes of those that a checkpoint holds."""
    import numpy as np

    channels = plan.image_shape[2]
    if plan.pixels == "centered":
        return {"mean": np.zeros(plan.image_shape)}
    if plan.pixels == "standardized":
        return {"mean": np.zeros(channels), "std": np.ones(channels)}
    return {}


def loss(config: RunConfig) -> Callable[..., Any]:
    """Per-example losses from logits and labels.

    Raises:
        ConfigError: smoothing for a loss that takes none.
        ShapeError: at the call, a loss of the user's own that gives anything but one number for each example.
    """
    function = lookup.find(config.loss, LOSSES)
    if "label_smoothing" in inspect.signature(function).parameters:
        function = partial(function, label_smoothing=config.label_smoothing)
    elif config.label_smoothing:
        raise ConfigError(f"--loss={config.loss} takes no --label_smoothing. Leave it out.")

    def per_example(logits: Any, labels: Any) -> Any:
        losses = function(logits, labels)
        if losses.shape.rank != 1:  # a mean would be trained on too, at a rate that is off by the size of the batch
            raise ShapeError(
                f"--loss={config.loss} must return one loss for each example, [N], and no mean. Received shape "
                f"{losses.shape}."
            )
        return losses

    return per_example


def training_step(config: RunConfig, net: Any, total_steps: int) -> "TrainingStep":
    """The step with its optimizer, schedule, penalty and micro-batches."""
    from tfcore.modules import named_parameters
    from tfcore.training.step import Penalty, TrainingStep

    parameters = named_parameters(net)
    penalty = None
    if config.l1 or config.l2:
        penalty = Penalty(parameters, config.penalty_variables, l1=config.l1, l2=config.l2)
    return TrainingStep(
        net, optimizer(config, net, parameters, total_steps), loss(config), seed=config.seed,
        batch_size=config.batch_size, penalty=penalty, microbatches=config.microbatches,
    )  # fmt: skip


def optimizer(config: RunConfig, net: Any, parameters: Mapping[str, Any], total_steps: int) -> Any:
    """The update rule with its schedule, and what surrounds it: clipping, decay by path, max-norms, averages."""
    from tfcore.modules import max_norms
    from tfcore.optimizers import Group, MaxNorm, Optimizer

    cls = lookup.find(config.optimizer, OPTIMIZERS)
    if not (isinstance(cls, type) and issubclass(cls, Optimizer)):
        raise ConfigError(f"--optimizer={config.optimizer} must be a subclass of tfcore.optimizers.Optimizer.")
    taken = inspect.signature(cls).parameters
    given = {name: getattr(config, name) for name in (*OPTIMIZERS_WITH, *_CHAIN) if getattr(config, name) is not None}
    for name in OPTIMIZERS_WITH:
        if name in given and name not in taken:
            raise ConfigError(f"--optimizer={config.optimizer} takes no --{name}. Leave it out.")
    if "weight_decay" in taken and config.weight_decay != 0:
        given["groups"] = (Group(config.decayed_variables), Group("", weight_decay=0.0))  # the first that matches
    limits = {path: MaxNorm(limit) for path, limit in max_norms(net).items()}
    return cls(parameters, learning_rate=schedule(config, total_steps), constraints=limits, **given)


def schedule(config: RunConfig, total_steps: int) -> Callable[..., Any]:
    """The learning rate as a function of the step."""
    from tfcore import schedules

    rate: Any = config.learning_rate  # a number once `resolve` has seen the configuration
    length = config.decay_steps or total_steps
    inner: Any = {
        "constant": lambda: schedules.Constant(rate),
        "step_wise": lambda: schedules.StepWise(rate, config.decay_boundaries or (), config.decay_factor),
        "exponential": lambda: schedules.Exponential(rate, length, config.decay_factor),
        "polynomial": lambda: schedules.Polynomial(rate, length, config.decay_power, config.end_learning_rate),
        "cosine": lambda: schedules.Cosine(rate, length, config.end_learning_rate),
    }[config.schedule]()
    return schedules.WarmUp(inner, config.warmup_steps) if config.warmup_steps else inner
