"""The names that a run's flags take, and the import path of what each stands for.

A name is checked before TensorFlow loads, as the entries are paths.
"""

from pathlib import Path

from tfcore.build import lookup
from tfcore.config import RunConfig
from tfcore.errors import ConfigError

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


def check_names(config: RunConfig) -> None:
    """Raises ConfigError, with the nearest name, unless model, data set, loss and optimizer can be found."""
    lookup.check("model", config.model, MODELS)
    if not source_of(config.dataset):
        lookup.check("dataset", config.dataset, DATASETS)
    lookup.check("loss", config.loss, LOSSES)
    lookup.check("optimizer", config.optimizer, OPTIMIZERS)
    if config.learning_rate is None and config.optimizer not in LEARNING_RATES:
        raise ConfigError(f"--optimizer={config.optimizer} needs --learning_rate: an optimizer of your own has none.")


def source_of(name: str) -> tuple[str, Path] | None:
    """`text:PATH` as its two parts; None where `name` is no such thing."""
    kind, _, path = name.partition(":")
    return (kind, Path(path).expanduser()) if kind in SOURCES and path else None
