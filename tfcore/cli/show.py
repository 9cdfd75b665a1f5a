"""`show`: draws examples of a data set, or filters and feature maps of a trained model, as PNGs."""

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
_MOST_PER_CLASS = 100
_EXAMPLE_SIDE, _GRID_SIDE = 256, 48  # minimum side of a tile in pixels

Drawn = tuple[Image.Image, str]  # the picture, and the stem of its file name


def run(parsed: flags.Parsed) -> int:
    """Draws one picture of the kind that the command names, and returns the exit status."""
    options = {**parsed.options, "given": parsed.given}
    kind = parsed.command.removeprefix("show ")
    given = _check(kind, options)
    image, name = _DRAW[kind](options)
    if given or not options.get("hex"):
        path = given or Path(re.sub(r"[^\w.-]+", "-", name) + ".png")
        drawing.save(image, path)
        print(f"Written to {path}: {image.width}x{image.height} pixels")
    return 0


def _check(kind: str, options: dict[str, Any]) -> Path | None:
    """Checks the options, and returns the path given by --out or None.

    Raises:
        ConfigError: options that are invalid for every data set and run.
        RunError: the path exists already.
    """
    name, example = ("dataset", "mnist") if "dataset" in options else ("run_dir", "runs/NAME")
    if not options[name]:
        raise ConfigError(f"`tfcore show {kind}` needs --{name}, such as --{name}={example}.")
    if "split" in options:
        checks.one_of("split", options["split"], _SPLITS)
    if not options["out"]:
        return None
    path = Path(options["out"])
    if path.suffix.lower() != ".png":
        raise ConfigError(f"`out` must end in .png. Received '{path}'.")
    refuse_existing(path)
    return path


def _dataset(config: RunConfig) -> "Dataset":
    check_names(config)
    return load_dataset(config)


def _named_dataset(options: dict[str, Any]) -> "Dataset":
    return _dataset(RunConfig(dataset=options["dataset"], data_dir=options["data_dir"], **options["given"]))


def _example(options: dict[str, Any]) -> Drawn:
    """Draws one example, and with --hex prints its pixels."""
    picture, line, name = _one(_named_dataset(options), options)
    print(line)
    if options["hex"]:
        print(drawing.hexadecimal(picture))
    return Image.fromarray(drawing.enlarged(picture, _EXAMPLE_SIDE)), name


def _one(data: "Dataset", options: dict[str, Any]) -> tuple[Picture, str, str]:
    """Returns the example that --split and --example select, a description, and the stem of its file name."""
    split: Source = getattr(data, options["split"])
    number = options["example"]
    if not 0 <= number < len(split):
        raise ConfigError(
            f"`example` must be from 0 to {len(split) - 1}, the {options['split']} examples of {data.name}. "
            f"Received {number}."
        )
    label = int(split.labels[number])
    line = f"{data.name}, {options['split']} example {number}: {data.class_names[label]} (label {label})"
    return split.read(np.array([number]))[0], line, f"{data.name}-{options['split']}-{number}"


def _examples(options: dict[str, Any]) -> Drawn:
    """Draws a row of random examples for each class; a larger grid starts with the pictures of a smaller one."""
    count = options["per_class"]
    if not 1 <= count <= _MOST_PER_CLASS:
        raise ConfigError(f"`per_class` must be from 1 to {_MOST_PER_CLASS}. Received {count}.")
    data = _named_dataset(options)
    split: Source = getattr(data, options["split"])
    generator = np.random.default_rng(seeds.integer(options["seed"], "grid"))
    chosen = [generator.permutation(np.flatnonzero(split.labels == label))[:count] for label in range(data.classes)]
    rows = [[Tile(drawing.enlarged(picture, _GRID_SIDE)) for picture in split.read(places)] for places in chosen]
    title = f"{data.name}, {options['split']}: {sum(map(len, rows))} of {len(split)} examples"
    print(title)
    return drawing.sheet(title, rows, data.class_names), f"{data.name}-{options['split']}-grid"


def _filters(options: dict[str, Any]) -> Drawn:
    """Draws the filters of a layer."""
    run_dir = Path(options["run_dir"])
    trained = _load(run_dir)
    from tfcore.modules import outline

    layers = outline(trained.module, trained.architecture.image_shape).layers
    drawn = model_sheets.filters(trained.module, trained.architecture, layers, options["layer"])
    if drawn is None:
        raise ConfigError(f"The model in {run_dir} has no convolution, and no linear layer on the pixels.")
    print(drawn.title)
    return drawn.image, f"{run_dir.resolve().name}-{drawn.path}-filters"


def _load(run_dir: Path) -> "TrainedModel":
    """Loads the run's model; raises ConfigError for a SavedModel, which has no layers."""
    importing.import_tensorflow_for_good()
    from tfcore.use import loading

    trained = loading.load(run_dir)
    if trained.module is None:
        raise ConfigError(f"{run_dir} is a SavedModel, whose layers cannot be inspected. Name the run's folder.")
    return trained


def _features(options: dict[str, Any]) -> Drawn:
    """Draws a layer's feature maps of an example of the run's data set, beside the example."""
    run_dir = Path(options["run_dir"])
    config = of_run(run_dir)
    data = _dataset(replace(config, data_dir=options["data_dir"] or config.data_dir))
    picture, line, name = _one(data, options)
    trained = _load(run_dir)
    drawn = model_sheets.feature_maps(trained.module, trained.architecture, picture, line, options["layer"])
    print(line, drawn.title, sep="\n")
    return drawn.image, f"{run_dir.resolve().name}-{drawn.path}-{name}"


_DRAW: dict[str, Callable[[dict[str, Any]], Drawn]] = {
    "examples": _examples, "example": _example, "filters": _filters, "features": _features,
}  # fmt: skip
