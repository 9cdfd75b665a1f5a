"""Loads the data set that a configuration names."""

import inspect
import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from tfcore.build import lookup, user_code
from tfcore.build.shuffle import blocks
from tfcore.build.tables import DATASETS, SOURCES, source_of
from tfcore.config import SOURCE_SETTINGS, RunConfig
from tfcore.errors import ConfigError, DataError

if TYPE_CHECKING:
    from tfcore.data.dataset import Dataset
    from tfcore.data.examples import Examples
    from tfcore.data.splits import Part


def load_dataset(
    config: RunConfig,
    data: Any = None,
    *,
    for_training: bool = False,
    as_files: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> "Dataset":
    """Loads the data set, downloading what is missing, or makes it of what was handed over from Python.

    Args:
        config: the run's. Its settings of the data, such as `test_share` and `train_examples`, are for the data that it
            names; other data that a run is scored on are taken as they are.
        data: what `tfcore.dataset` takes, or a `Dataset`; None for the one that the configuration names.
        for_training: read the weights of the examples, too.
        as_files: of images in files, the files are wanted and not the pixels, so their sizes may differ.
        say: is called with lines about what is read.

    Raises:
        ConfigError: a setting that does not apply to the data.
        DataError: it is damaged, can neither be found nor downloaded, or the weights do not fit it.
    """
    from tfcore.build import own_data

    is_named = data is None or config.dataset == lookup.HANDED_OVER + own_data.name_of(data)
    loaded = _named(config, as_files) if data is None else _handed_over(config, data, is_named, say)
    if for_training:
        loaded = with_example_weights(config, loaded)
    return loaded.take(config.train_examples, config.test_examples) if is_named else loaded


def _handed_over(config: RunConfig, data: Any, is_named: bool, say: Callable[[str], None]) -> "Dataset":
    """Makes a data set of objects, with the configuration's settings if it names them."""
    from tfcore.build import own_data
    from tfcore.data.dataset import Dataset

    if is_named:
        own = () if isinstance(data, Dataset) else ("test_share", "image_size")
        _refuse_settings(config, (*own, "image_fit"))  # the fit is of `predict`, too
    if isinstance(data, Dataset):
        return data
    names = ("test_share", "image_size", "image_fit") if is_named else ()
    given: dict[str, Any] = {name: getattr(config, name) for name in names if getattr(config, name) is not None}
    return own_data.dataset(data, **given, seed=config.seed, data_dir=config.data_dir, say=say)


def _named(config: RunConfig, as_files: bool) -> "Dataset":
    """Loads the data set that the configuration names."""
    from tfcore.data import download
    from tfcore.data.dataset import Dataset

    source = source_of(config.dataset)
    if source:
        loaded = _from_source(config, *source, as_files=as_files)
    else:
        _refuse_settings(config, ())
        make, folder = lookup.find(config.dataset, DATASETS), download.data_dir(config.data_dir)
        with nullcontext() if config.dataset in DATASETS else user_code.telling(f"--dataset={config.dataset}"):
            loaded = make(folder)
    if not isinstance(loaded, Dataset):
        raise DataError(
            f"--dataset={config.dataset} must return a tfcore.data.dataset.Dataset. Received {type(loaded)}."
        )
    return loaded


def with_example_weights(config: RunConfig, data: "Dataset") -> "Dataset":
    """Returns the data set with the weights of `--example_weights`, in place of its own; itself where none are given.

    Raises:
        DataError: the file cannot be read, or its weights do not fit the training examples.
    """
    from tfcore.data.npy import NUMBERS, read_npy
    from tfcore.data.source import checked_weights

    if not config.example_weights:
        return data
    path = Path(config.example_weights).expanduser()
    weights = checked_weights(read_npy(path, NUMBERS), len(data.train), f"--example_weights={path}")
    return replace(data, train_weights=weights)


def _from_source(config: RunConfig, kind: str, place: str, *, as_files: bool) -> Any:
    """Loads a data set from the user's files, local or at an address."""
    from tfcore.data import remote
    from tfcore.data.download import data_dir
    from tfcore.data.remote_files import shown
    from tfcore.data.sources.encoded import AS_THEY_ARE

    read = lookup.load(SOURCES[kind])
    taken = _taken(read)
    _refuse_settings(config, taken)
    values = {
        "test_share": 0.1,
        "image_shape": None,
        "image_size": AS_THEY_ARE if as_files else None,
        "image_fit": "stretch",
        "skip_bad_pictures": False,
    }
    given = {name: getattr(config, name) for name in SOURCE_SETTINGS if getattr(config, name) is not None}
    offered = {**values, **given, "seed": config.seed}
    path = Path(place).expanduser()
    if remote.is_url(place):
        path = remote.local_folder(kind, place, data_dir(config.data_dir) / "remote", config.cache_bytes)
    loaded = read(path, **{name: value for name, value in offered.items() if name in taken})
    return replace(loaded, name=f"{kind}:{shown(place)}") if remote.is_url(place) else loaded


def _taken(read: Callable[..., Any]) -> tuple[str, ...]:
    """The arguments of a reader, with the keys of what it takes as `**settings: Unpack[…]`."""
    names: list[str] = []
    for name, parameter in inspect.signature(read).parameters.items():
        is_unpacked = parameter.kind is inspect.Parameter.VAR_KEYWORD
        names += get_args(parameter.annotation)[0].__annotations__ if is_unpacked else [name]
    return tuple(names)


def _refuse_settings(config: RunConfig, taken: tuple[str, ...]) -> None:
    """Raises ConfigError on a setting that the data set does not use."""
    for name in SOURCE_SETTINGS:
        if getattr(config, name) is not None and name not in taken:
            raise ConfigError(f"--dataset={config.dataset} takes no --{name}. Leave it out.")


def make_splits(config: RunConfig, data: "Dataset") -> dict[str, "Examples"]:
    """Returns the examples of `train`, `validation` (if any are held out) and `test`."""
    from tfcore.data.examples import Examples
    from tfcore.data.layout import layout_of
    from tfcore.data.read_ahead import ReadAhead

    train, held_out = _divided(config, data)
    reader = data.train.batch_reader()
    rows, layout = train if len(held_out) else None, layout_of(data.train)
    in_blocks = blocks(config, data, rows)
    read_ahead = ReadAhead(layout) if in_blocks is not None and layout is not None and layout.is_remote else None
    found = {"train": Examples(reader, rows, data.train_weights, blocks=in_blocks, read_ahead=read_ahead)}
    if len(held_out):
        found["validation"] = Examples(reader, held_out)
    return {**found, "test": Examples(data.test.batch_reader())}


def _divided(config: RunConfig, data: "Dataset") -> tuple["Part", "Part"]:
    """The training and the validation part of the training examples."""
    from tfcore.data import splits

    return splits.divided(data.train.labels, config.validation, config.seed, config.validation_split)


def check_validation(config: RunConfig, data: "Dataset") -> None:
    """Raises ConfigError where a positive --validation holds out none of the training examples.

    It is for new runs: one that was started without such a check goes on, and is scored, as it is.
    """
    from tfcore.data.dataset import validation_examples

    examples = len(data.train)
    if config.validation and not validation_examples(config.validation, examples):
        share = f"a share of at least {math.ceil(100 / examples) / 100:g}, or " if examples > 1 else ""
        raise ConfigError(
            f"--validation={config.validation:g} holds out none of {examples} training examples. "
            f"Give {share}--validation=0 to train on all of them without validation."
        )


def pixel_statistics(config: RunConfig, data: "Dataset") -> dict[str, Any]:
    """Computes the statistics of the training pixels that the scaling needs, if any."""
    from tfcore.data.statistics import channel_statistics, mean_picture

    if config.pixels in ("unit", "raw"):
        return {}
    train, _ = _divided(config, data)
    if config.pixels == "centered":
        return {"mean": mean_picture(data.train, train)}
    mean, std = channel_statistics(data.train, train)
    return {"mean": mean, "std": std}
