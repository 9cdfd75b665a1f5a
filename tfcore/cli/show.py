"""`show`: what a data set and a trained model look like, as PNGs."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from tfcore import checks, seeds
from tfcore.build import importing
from tfcore.build.configuration import of_run
from tfcore.build.data import load_dataset
from tfcore.build.tables import check_names
from tfcore.cli import flags
from tfcore.config import RunConfig
from tfcore.errors import ConfigError
from tfcore.files import refuse_existing
from tfcore.look import drawing, model_sheets
from tfcore.look.drawing import Picture, Tile

if TYPE_CHECKING:
    from tfcore.data.dataset import Dataset
    from tfcore.data.source import Source
    from tfcore.use.loading import TrainedModel

_SPLITS = ("test", "train")
_USES = {  # the flags that each kind of picture takes, but for those that all take
    "example": ("dataset", "example", "hex"),
    "grid": ("dataset", "grid", "seed"),
    "filters": ("run_dir", "filters"),
    "features": ("run_dir", "features", "example"),
}
_GRID_EXAMPLES = 8  # of each class, where --grid does not say
_MOST_GRID_EXAMPLES = 100  # of each class
_EXAMPLE_SIDE, _GRID_SIDE = 256, 48  # what the pixels of a tile are enlarged to

Drawn = tuple[Image.Image, str]  # a picture, and what to call its file


def run(parsed: flags.Parsed) -> int:
    """Draws what was asked for, and gives back the exit status."""
    options = {**parsed.options, "given": parsed.given}
    kind = _kind(options)
    given = Path(options["out"]) if options["out"] else None
    if given:
        if given.suffix.lower() != ".png":
            raise ConfigError(f"`out` must end in .png. Received '{given}'.")
        refuse_existing(given)
    draw: dict[str, Callable[[dict[str, Any]], Drawn]] = {
        "example": _example, "grid": _grid, "filters": _filters, "features": _features,
    }  # fmt: skip
    image, name = draw[kind](options)
    if given or not options["hex"]:
        path = given or Path(re.sub(r"[^\w.-]+", "-", name) + ".png")
        drawing.save(image, path)
        print(f"Written to {path}: {image.width}x{image.height} pixels")
    return 0


def _kind(options: dict[str, Any]) -> str:
    """Which kind of picture the flags ask for.

    Raises:
        ConfigError: they do not say, or ask for two.
    """
    checks.one_of("split", options["split"], _SPLITS)
    given = {option.name for option in flags.OPTIONS["show"] if options[option.name] != option.default}
    given &= {name for uses in _USES.values() for name in uses}
    if not given & {"dataset", "run_dir"}:
        raise ConfigError("Name what to show: a data set, as in --dataset=mnist, or a run, as in --run_dir=runs/NAME.")
    if "dataset" in given:
        kind = "example" if given & {"example", "hex"} else "grid"
    else:
        kind = "features" if given & {"example", "features"} else "filters"
    stray = sorted(given - {*_USES[kind]})
    if stray:
        together = ", ".join(f"--{name}" for name in _USES[kind])
        raise ConfigError(f"One picture at a time: {together} go together. Received --{stray[0]} too: leave it out.")
    return kind


def _dataset(config: RunConfig) -> "Dataset":
    check_names(config)
    return load_dataset(config)


def _named_dataset(options: dict[str, Any]) -> "Dataset":
    return _dataset(RunConfig(dataset=options["dataset"], data_dir=options["data_dir"], **options["given"]))


def _example(options: dict[str, Any]) -> Drawn:
    """One example, with its pixels as text if that is wanted."""
    picture, line, name = _one(_named_dataset(options), options)
    print(line)
    if options["hex"]:
        print(drawing.hexadecimal(picture))
    return Image.fromarray(drawing.enlarged(picture, _EXAMPLE_SIDE)), name


def _one(data: "Dataset", options: dict[str, Any]) -> tuple[Picture, str, str]:
    """The picture that --split and --example name (without --example: the first), in words, and as a file's name."""
    split: Source = getattr(data, options["split"])
    number = 0 if options["example"] == -1 else options["example"]
    if not 0 <= number < len(split):
        raise ConfigError(
            f"`example` must be from 0 to {len(split) - 1}, the {options['split']} examples of {data.name}. "
            f"Received {number}."
        )
    label = int(split.labels[number])
    line = f"{data.name}, {options['split']} example {number}: {data.class_names[label]} (label {label})"
    return split.read(np.array([number]))[0], line, f"{data.name}-{options['split']}-{number}"


def _grid(options: dict[str, Any]) -> Drawn:
    """A row of random examples for each class; a larger grid begins with the pictures of a smaller one."""
    count = options["grid"] or _GRID_EXAMPLES
    if not 1 <= count <= _MOST_GRID_EXAMPLES:
        raise ConfigError(f"`grid` must be from 1 to {_MOST_GRID_EXAMPLES} examples of each class. Received {count}.")
    data = _named_dataset(options)
    split: Source = getattr(data, options["split"])
    generator = np.random.default_rng(seeds.integer(options["seed"], "grid"))
    chosen = [generator.permutation(np.flatnonzero(split.labels == label))[:count] for label in range(data.classes)]
    rows = [[Tile(drawing.enlarged(picture, _GRID_SIDE)) for picture in split.read(places)] for places in chosen]
    title = f"{data.name}, {options['split']}: {sum(map(len, rows))} of {len(split)} examples"
    print(title)
    return drawing.sheet(title, rows, data.class_names), f"{data.name}-{options['split']}-grid"


def _filters(options: dict[str, Any]) -> Drawn:
    """The filters of a convolution, or of a linear layer on the pixels: as large as the pictures, one for each unit."""
    run_dir = Path(options["run_dir"])
    trained = _load(run_dir)
    from tfcore.modules import layer_table

    layers = layer_table(trained.module, trained.architecture.image_shape)
    drawn = model_sheets.filters(trained.module, trained.architecture, layers, options["filters"])
    if drawn is None:
        raise ConfigError(f"The model in {run_dir} has no convolution, and no linear layer on the pixels.")
    print(drawn.title)
    return drawn.image, f"{run_dir.resolve().name}-{drawn.path}-filters"


def _load(run_dir: Path) -> "TrainedModel":
    """The run's model; raises ConfigError where it is a program without layers."""
    importing.import_tensorflow_for_good()
    from tfcore.use import loading

    trained = loading.load(run_dir)
    if trained.module is None:
        raise ConfigError(f"{run_dir} is a SavedModel, whose layers cannot be looked into. Name the run's folder.")
    return trained


def _features(options: dict[str, Any]) -> Drawn:
    """What a layer makes of an example of the run's data set, beside the example."""
    run_dir = Path(options["run_dir"])
    config = of_run(run_dir)
    data = _dataset(replace(config, data_dir=options["data_dir"] or config.data_dir))
    picture, line, name = _one(data, options)
    trained = _load(run_dir)
    drawn = model_sheets.feature_maps(trained.module, trained.architecture, picture, line, options["features"])
    print(line, drawn.title, sep="\n")
    return drawn.image, f"{run_dir.resolve().name}-{drawn.path}-{name}"
