"""From the name of a data set to its examples."""

import inspect
import math
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcore.build import lookup, user_code
from tfcore.build.tables import DATASETS, SOURCES, source_of
from tfcore.config import SOURCE_SETTINGS, RunConfig
from tfcore.errors import ConfigError, DataError

if TYPE_CHECKING:
    from tfcore.data.batches import Examples
    from tfcore.data.dataset import Dataset


def load_dataset(config: RunConfig) -> "Dataset":
    """Loads the data set, downloading what is missing.

    Raises:
        DataError: it is damaged, or can be neither found nor downloaded.
    """
    from tfcore.data import download
    from tfcore.data.dataset import Dataset

    source = source_of(config.dataset)
    if source:
        loaded = _from_source(config, *source)
    else:
        _refuse_settings(config, ())
        make, folder = lookup.find(config.dataset, DATASETS), download.data_dir(config.data_dir)
        with nullcontext() if config.dataset in DATASETS else user_code.telling(f"--dataset={config.dataset}"):
            loaded = make(folder)
    if not isinstance(loaded, Dataset):
        raise DataError(
            f"--dataset={config.dataset} must return a tfcore.data.dataset.Dataset. Received {type(loaded)}."
        )
    return loaded.take(config.train_examples, config.test_examples)


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


def make_splits(config: RunConfig, data: "Dataset") -> dict[str, "Examples"]:
    """The examples of `train`, of `validation` where some are held out, and of `test`."""
    from tfcore.data.batches import Examples
    from tfcore.data.dataset import split_validation

    train, held_out = split_validation(data.train.labels, config.validation, config.seed)
    reader = data.train.batch_reader()
    found = {"train": Examples(reader, train if len(held_out) else None)}
    if len(held_out):
        found["validation"] = Examples(reader, held_out)
    return {**found, "test": Examples(data.test.batch_reader())}


def check_validation(config: RunConfig, data: "Dataset") -> None:
    """Raises ConfigError where a positive --validation holds out none of the training examples.

    It is for new runs: one that was started without such a check goes on, and is scored, as it is.
    """
    from tfcore.data.dataset import split_validation

    examples = len(data.train)
    _, held_out = split_validation(data.train.labels, config.validation, config.seed)
    if config.validation and not len(held_out):
        share = f"a share of at least {math.ceil(100 / examples) / 100:g}, or " if examples > 1 else ""
        raise ConfigError(
            f"--validation={config.validation:g} holds out none of {examples} training examples. "
            f"Give {share}--validation=0 to train on all of them without validation."
        )


def pixel_statistics(config: RunConfig, data: "Dataset") -> dict[str, Any]:
    """Mean and standard deviation of the training share's pixels, where the scaling wants them."""
    from tfcore.data.dataset import split_validation
    from tfcore.data.statistics import channel_statistics, mean_picture

    if config.pixels in ("unit", "raw"):
        return {}
    train, _ = split_validation(data.train.labels, config.validation, config.seed)
    if config.pixels == "centered":
        return {"mean": mean_picture(data.train, train)}
    mean, std = channel_statistics(data.train, train)
    return {"mean": mean, "std": std}
