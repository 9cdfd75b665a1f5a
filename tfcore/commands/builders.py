"""From names to objects: the only place that names concrete classes.

Table entries are import paths, so a name is checked before TensorFlow loads.
"""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tfcore import checks
from tfcore.config import RunConfig
from tfcore.errors import ConfigError, DataError

if TYPE_CHECKING:
    from tfcore.data.batches import Examples
    from tfcore.data.dataset import Dataset
    from tfcore.training.step import TrainingStep

MODELS = {
    "softmax": "tfcore.models.softmax:Softmax",
    "mlp": "tfcore.models.mlp:Mlp",
}
# Nets of small ops: handing them from thread to thread costs more than the work, so they run in one.
SMALL_OPS = frozenset(MODELS)
DATASETS = {
    "cifar10": "tfcore.data.sources.cifar:cifar10",
    "cifar100": "tfcore.data.sources.cifar:cifar100",
    "mnist": "tfcore.data.sources.idx:mnist",
    "fashion_mnist": "tfcore.data.sources.idx:fashion_mnist",
    "kmnist": "tfcore.data.sources.idx:kmnist",
    "shapes": "tfcore.data.sources.shapes:shapes",
}
OPTIMIZERS = {  # name: class, and the settings that it takes
    "gradient_descent": ("tfcore.optimizers:GradientDescent", ()),
    "momentum": ("tfcore.optimizers:Momentum", ("momentum", "nesterov")),
    "adam": ("tfcore.optimizers:Adam", ("beta1", "beta2", "epsilon")),
    "adamw": ("tfcore.optimizers:AdamW", ("beta1", "beta2", "epsilon", "weight_decay")),
}
LOSSES = {
    "cross_entropy": "tfcore.losses:cross_entropy",
    "mean_squared_error": "tfcore.losses:mean_squared_error",
}
DEFAULT_EPOCHS = 10.0


def check_names(config: RunConfig) -> None:
    """Raises ConfigError, with the nearest name, unless model, data set and optimizer can be found."""
    _check_name("model", config.model, MODELS)
    _check_name("dataset", config.dataset, DATASETS)
    checks.one_of("optimizer", config.optimizer, tuple(OPTIMIZERS))


def resolve(config: RunConfig) -> RunConfig:
    """`config` with every automatic choice made, by fixed rules over the configuration alone."""
    small = config.model in SMALL_OPS
    length = config.epochs if config.epochs is not None or config.steps is not None else DEFAULT_EPOCHS
    return replace(
        config,
        epochs=length,
        # Casts cost these small nets more than a quicker product gains.
        precision="float32" if config.precision == "auto" else config.precision,
        intra_op_threads=config.intra_op_threads or int(small),
        inter_op_threads=config.inter_op_threads or int(small),
    )


def set_threads(config: RunConfig) -> None:
    """Applies the thread counts (0: TensorFlow's own default). To be called before TensorFlow's first op."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(config.intra_op_threads)
    tf.config.threading.set_inter_op_parallelism_threads(config.inter_op_threads)


def dataset(config: RunConfig) -> "Dataset":
    """Loads the data set, downloading what is missing.

    Raises:
        DataError: it is damaged, or can be neither found nor downloaded.
    """
    from tfcore.data import download
    from tfcore.data.dataset import Dataset

    loaded = _find(config.dataset, DATASETS)(download.data_dir(config.data_dir))
    if not isinstance(loaded, Dataset):
        raise DataError(
            f"--dataset={config.dataset} must return a tfcore.data.dataset.Dataset. Received {type(loaded)}."
        )
    return loaded


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


def model(config: RunConfig, data: "Dataset") -> Any:
    """The model with its initial weights.

    Raises:
        ConfigError: a size that this model does not take.
    """
    import tensorflow as tf

    cls = _find(config.model, MODELS)
    taken = inspect.signature(cls).parameters
    sizes = {name: getattr(config, name) for name in ("hidden", "initializer") if getattr(config, name) is not None}
    for name in sizes:
        if name not in taken:
            raise ConfigError(f"--model={config.model} takes no --{name}. Leave it out, or choose a model that does.")
    dtype = tf.bfloat16 if config.precision == "bfloat16" else tf.float32
    offered = {"pixels": _pixels(config, data, dtype), "seed": config.seed, "dtype": dtype}
    return cls(data.image_shape, data.classes, **{k: v for k, v in offered.items() if k in taken}, **sizes)


def loss(config: RunConfig) -> Callable[..., Any]:
    """Per-example losses from logits and labels."""
    return partial(_find(config.loss, LOSSES), label_smoothing=config.label_smoothing)


def training_step(config: RunConfig, net: Any, total_steps: int) -> "TrainingStep":
    """The step with its optimizer, schedule, penalty and micro-batches."""
    from tfcore.modules import named_parameters
    from tfcore.training.step import L2Penalty, TrainingStep

    parameters = named_parameters(net)
    path, names = OPTIMIZERS[config.optimizer]
    settings = {name: getattr(config, name) for name in (*names, "clip_value", "clip_norm")}
    given = {name: value for name, value in settings.items() if value is not None}
    optimizer = _load(path)(parameters, learning_rate=schedule(config, total_steps), **given)
    penalty = L2Penalty(config.l2, parameters, config.l2_variables) if config.l2 else None
    return TrainingStep(
        net, optimizer, loss(config), seed=config.seed, batch_size=config.batch_size,
        penalty=penalty, microbatches=config.microbatches,
    )  # fmt: skip


def schedule(config: RunConfig, total_steps: int) -> Callable[..., Any]:
    """The learning rate as a function of the step."""
    from tfcore import schedules

    rate, length = config.learning_rate, config.decay_steps or total_steps
    inner: Any = {
        "constant": lambda: schedules.Constant(rate),
        "step_wise": lambda: schedules.StepWise(rate, config.decay_boundaries or (), config.decay_factor),
        "exponential": lambda: schedules.Exponential(rate, length, config.decay_factor),
        "polynomial": lambda: schedules.Polynomial(rate, length, config.decay_power, config.end_learning_rate),
        "cosine": lambda: schedules.Cosine(rate, length, config.end_learning_rate),
    }[config.schedule]()
    return schedules.WarmUp(inner, config.warmup_steps) if config.warmup_steps else inner


def _pixels(config: RunConfig, data: "Dataset", dtype: Any) -> Any:
    """The scaling layer, with the statistics of the training share where it wants them."""
    from tfcore.data.dataset import split_validation
    from tfcore.data.statistics import channel_statistics, mean_picture
    from tfcore.layers import Pixels

    if config.pixels in ("unit", "raw"):
        return Pixels(config.pixels, dtype=dtype)
    train, _ = split_validation(data.train.labels, config.validation, config.seed)
    if config.pixels == "centered":
        return Pixels("centered", mean=mean_picture(data.train.images, train), dtype=dtype)
    mean, std = channel_statistics(data.train.images, train)
    return Pixels("standardized", mean=mean, std=std, dtype=dtype)


def _check_name(flag: str, name: str, table: dict[str, str]) -> None:
    if ":" not in name:
        checks.one_of(flag, name, tuple(table))
    elif name.split(":")[0].endswith(".py") and not Path(name.rsplit(":", 1)[0]).is_file():
        raise ConfigError(f"--{flag}={name}: there is no file {name.rsplit(':', 1)[0]}.")


def _find(name: str, table: dict[str, str]) -> Any:
    return _load(table.get(name, name))


def _load(path: str) -> Any:
    """What `package.module:name` or `path/to/file.py:name` points at; a file of the user's own is run."""
    place, name = path.rsplit(":", 1)
    module = _run_file(Path(place)) if place.endswith(".py") else _import(place)
    if not callable(getattr(module, name, None)):
        raise ConfigError(f"{place} has no class or function '{name}'.{checks.nearest(name, vars(module))}")
    return getattr(module, name)


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and name.startswith(error.name):
            raise ConfigError(f"There is no module {name}.") from None
        raise


def _run_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)  # dataclasses look their module up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigError(f"{path} does not run: {type(error).__name__}: {' '.join(str(error).split())}.") from error
    return module
