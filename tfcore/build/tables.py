"""Tables of names that flags take, each with an import path.

The entries are paths, so names are checked before TensorFlow loads.
"""

from collections.abc import Mapping
from types import MappingProxyType

from tfcore.build import arguments, augmentation, lookup, registry, signatures, unused
from tfcore.config import RunConfig

MODELS = {
    "softmax": "tfcore.models.softmax:Softmax",
    "mlp": "tfcore.models.mlp:Mlp",
    "mnist_cnn": "tfcore.models.mnist_cnn:MnistCnn",
    "cifar_cnn": "tfcore.models.cifar_cnn:CifarCnn",
    "resnet20": "tfcore.models.resnet_cifar:ResNet20",
    "resnet32": "tfcore.models.resnet_cifar:ResNet32",
    "resnet44": "tfcore.models.resnet_cifar:ResNet44",
    "resnet56": "tfcore.models.resnet_cifar:ResNet56",
    "resnet110": "tfcore.models.resnet_cifar:ResNet110",
    "resnet18": "tfcore.models.resnet:ResNet18",
    "resnet34": "tfcore.models.resnet:ResNet34",
    "resnet50": "tfcore.models.resnet:ResNet50",
    "wide_resnet": "tfcore.models.wide_resnet:WideResNet",
    "airbench": "tfcore.models.airbench:Airbench",
    "mobilenet": "tfcore.models.mobilenet:MobileNet",
    "vit": "tfcore.models.vit:ViT",
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
    "records": "tfcore.data.sources.records:records",
    "tfrecord": "tfcore.data.sources.tfrecord:tfrecord",
    "webdataset": "tfcore.data.sources.webdataset:webdataset",
    "huggingface": "tfcore.data.sources.huggingface:huggingface",
    "tfds": "tfcore.data.sources.tfds:tfds",
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
    "adafactor": "tfcore.optimizers.adafactor:Adafactor",
    "schedule_free_adamw": "tfcore.optimizers.schedule_free:ScheduleFreeAdamW",
    "muon": "tfcore.optimizers.muon:MuonAndAdamW",
}
AUGMENTATIONS = {
    "flip": "tfcore.data.augmentation.geometry:flip",
    "alternating_flip": "tfcore.data.augmentation.geometry:alternating_flip",
    "crop": "tfcore.data.augmentation.geometry:crop",
    "resized_crop": "tfcore.data.augmentation.geometry:resized_crop",
    "translate": "tfcore.data.augmentation.geometry:translate",
    "rotate": "tfcore.data.augmentation.geometry:rotate",
    "jitter": "tfcore.data.augmentation.colour:jitter",
    "cutout": "tfcore.data.augmentation.erasing:cutout",
    "erase": "tfcore.data.augmentation.erasing:erase",
    "randaugment": "tfcore.data.augmentation.policies:randaugment",
    "trivialaugment": "tfcore.data.augmentation.policies:trivialaugment",
    "mixup": "tfcore.data.augmentation.mixing:mixup",
    "cutmix": "tfcore.data.augmentation.mixing:cutmix",
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
    augmentation.check(config, AUGMENTATIONS)
    lookup.check("loss", config.loss, LOSSES)
    lookup.check("optimizer", config.optimizer, OPTIMIZERS)
    registry.check(config, OPTIMIZERS)
    unused.check(config, decays=registry.decays(config, OPTIMIZERS))
    constructor = signatures.of_path(MODELS.get(config.model, config.model))
    if constructor is not None:
        arguments.fitting(config.model, arguments.given(config), constructor)


def source_of(name: str) -> tuple[str, str] | None:
    """Splits `text:PATH` into kind and path, or address; None if `name` has another form."""
    kind, _, path = name.partition(":")
    return (kind, path) if kind in SOURCES and path else None
