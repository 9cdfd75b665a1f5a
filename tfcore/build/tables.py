"""Tables of names that flags take, each with an import path.

The entries are paths, so names are checked before TensorFlow loads.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from tfcore.build import arguments, lookup, registry, signatures, unused
from tfcore.config import RunConfig

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
    "gradient_descent": "tfcore.optimizers.gradient_descent:GradientDescent",
    "momentum": "tfcore.optimizers.momentum:Momentum",
    "adagrad": "tfcore.optimizers.adagrad:Adagrad",
    "adadelta": "tfcore.optimizers.adadelta:Adadelta",
    "rmsprop": "tfcore.optimizers.rmsprop:RMSprop",
    "adam": "tfcore.optimizers.adam:Adam",
    "adamw": "tfcore.optimizers.adamw:AdamW",
    "nadam": "tfcore.optimizers.nadam:Nadam",
    "lion": "tfcore.optimizers.lion:Lion",
    "lars": "tfcore.optimizers.lars:Lars",
    "lamb": "tfcore.optimizers.lamb:Lamb",
    "muon": "tfcore.optimizers.muon:MuonAndAdamW",
}
LOSSES = {
    "cross_entropy": "tfcore.losses:cross_entropy",
    "mean_squared_error": "tfcore.losses:mean_squared_error",
}


def check_names(config: RunConfig, *, handed_over: Mapping[str, bool] = MappingProxyType({})) -> None:
    """Checks that model, data set, loss and optimizer can be found, and that they use the settings that are given.

    Args:
        config: of the run.
        handed_over: whether `model` and `dataset` are at hand as objects, so that their names need not be found.

    Raises:
        ConfigError: an unknown name, with the nearest one; a setting or an argument that nothing takes.
    """
    if not handed_over.get("model"):
        lookup.check("model", config.model, MODELS)
    if not (handed_over.get("dataset") or source_of(config.dataset)):
        lookup.check("dataset", config.dataset, DATASETS)
    lookup.check("loss", config.loss, LOSSES)
    lookup.check("optimizer", config.optimizer, OPTIMIZERS)
    registry.check(config, OPTIMIZERS)
    unused.check(config, decays=registry.decays(config, OPTIMIZERS))
    constructor = signatures.of_path(MODELS.get(config.model, config.model))
    if constructor is not None:
        arguments.fitting(config.model, arguments.given(config), constructor)


def source_of(name: str) -> tuple[str, Path] | None:
    """Splits `text:PATH` into kind and path; None if `name` has another form."""
    kind, _, path = name.partition(":")
    return (kind, Path(path).expanduser()) if kind in SOURCES and path else None
