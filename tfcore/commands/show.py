"""`show`: what a data set and a trained model look like, as PNGs."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tfcore import checks, seeds
from tfcore.commands import builders, drawing, flags, quiet
from tfcore.commands.drawing import Picture, Tile
from tfcore.config import RunConfig
from tfcore.errors import ConfigError
from tfcore.files import refuse_existing

if TYPE_CHECKING:
    from tfcore.commands.loading import TrainedModel
    from tfcore.data.dataset import Dataset, Split

_SPLITS = ("test", "train")
_USES = {  # the flags that each kind of picture takes, but for those that all take
    "example": ("dataset", "example", "hex"),
    "grid": ("dataset", "grid", "seed"),
    "filters": ("run_dir", "filters"),
    "features": ("run_dir", "features", "example"),
}
_GRID_EXAMPLES = 8  # of each class, where --grid does not say
_MOST_GRID_EXAMPLES = 100  # of each class
_MOST_TILES = 256  # filters or feature maps on a sheet
_MOST_DEEP = 32  # filters on a sheet, and input channels of each, where every channel has a tile
_SMALL_PIXELS = 12  # up to this side a filter is a convolution's, above it as large as a picture
# What the pixels of a tile are enlarged to.
_EXAMPLE_SIDE, _GRID_SIDE, _TEMPLATE_SIDE, _FILTER_SIDE, _DEEP_SIDE, _FEATURE_SIDE = 256, 48, 96, 48, 24, 64

Filters = NDArray[np.float32]  # [filters, height, width, in_channels]
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
    builders.check_names(config)
    return builders.dataset(config)


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
    split: Split = getattr(data, options["split"])
    number = 0 if options["example"] == -1 else options["example"]
    if not 0 <= number < len(split):
        raise ConfigError(
            f"`example` must be from 0 to {len(split) - 1}, the {options['split']} examples of {data.name}. "
            f"Received {number}."
        )
    label = int(split.labels[number])
    line = f"{data.name}, {options['split']} example {number}: {data.class_names[label]} (label {label})"
    return split.images[number : number + 1][0], line, f"{data.name}-{options['split']}-{number}"


def _grid(options: dict[str, Any]) -> Drawn:
    """A row of random examples for each class; a larger grid begins with the pictures of a smaller one."""
    count = options["grid"] or _GRID_EXAMPLES
    if not 1 <= count <= _MOST_GRID_EXAMPLES:
        raise ConfigError(f"`grid` must be from 1 to {_MOST_GRID_EXAMPLES} examples of each class. Received {count}.")
    data = _named_dataset(options)
    split: Split = getattr(data, options["split"])
    generator = np.random.default_rng(seeds.integer(options["seed"], "grid"))
    chosen = [generator.permutation(np.flatnonzero(split.labels == label))[:count] for label in range(data.classes)]
    rows = [[Tile(drawing.enlarged(picture, _GRID_SIDE)) for picture in split.images[places]] for places in chosen]
    title = f"{data.name}, {options['split']}: {sum(map(len, rows))} of {len(split)} examples"
    print(title)
    return drawing.sheet(title, rows, data.class_names), f"{data.name}-{options['split']}-grid"


def _filters(options: dict[str, Any]) -> Drawn:
    """The filters of a convolution, or of a linear layer on the pixels: as large as the pictures, one for each unit."""
    run_dir = Path(options["run_dir"])
    trained = _load(run_dir)
    found, last_path = _all_filters(trained.module, trained.image_shape)
    if not found:
        raise ConfigError(f"The model in {run_dir} has no convolution, and no linear layer on the pixels.")
    path = options["filters"] or next(iter(found))
    checks.one_of("filters", path, tuple(found))
    count, height, width, channels = found[path].shape
    title = f"{path} of {trained.architecture.model}: {count} filters of {height}x{width}x{channels}"
    print(title)
    names = trained.class_names if path == last_path else tuple(map(str, range(count)))
    return _filter_sheet(title, found[path], names), f"{run_dir.resolve().name}-{path}-filters"


def _load(run_dir: Path) -> "TrainedModel":
    """The run's model; raises ConfigError where it is a program without layers."""
    quiet.import_tensorflow_for_good()
    from tfcore.commands import loading

    trained = loading.load(run_dir)
    if trained.module is None:
        raise ConfigError(f"{run_dir} is a SavedModel, whose layers cannot be looked into. Name the run's folder.")
    return trained


def _all_filters(model: Any, image_shape: tuple[int, int, int]) -> tuple[dict[str, Filters], str]:
    """The filters of each layer that has some, by path in the order of calls; and the path of the last layer."""
    from tfcore.modules import layer_table, named_parameters

    parameters, paths = named_parameters(model), [row.path for row in layer_table(model, image_shape)]
    weights = {path: parameters[f"{path}.weights"].numpy() for path in paths if f"{path}.weights" in parameters}
    found = {path: np.moveaxis(array, 3, 0) for path, array in weights.items() if array.ndim == 4}
    for path, array in list(weights.items())[:1]:  # a later layer has that many inputs only by chance
        if array.ndim == 2 and len(array) == math.prod(image_shape):
            found[path] = array.T.reshape(-1, *image_shape)
    return found, paths[-1]


def _filter_sheet(title: str, filters: Filters, names: tuple[str, ...]) -> Image.Image:
    """A tile for each filter of 1 or 3 channels; of deeper ones, a row of grey tiles, one for each channel."""
    count, height, width, channels = filters.shape
    is_large = max(height, width) > _SMALL_PIXELS
    if channels in (1, 3):
        return _tiled(title, filters, names, _TEMPLATE_SIDE if is_large else _FILTER_SIDE)
    left_out = f" (the first {_MOST_DEEP} of each)" if max(count, channels) > _MOST_DEEP else ""
    each = np.moveaxis(filters[:_MOST_DEEP, ..., :_MOST_DEEP], 3, 1)[..., np.newaxis]  # [filters, channels, h, w, 1]
    side = _TEMPLATE_SIDE if is_large else _DEEP_SIDE
    rows = [
        _tiles(one, tuple(map(str, range(len(one)))) if row == 0 else ("",) * len(one), side)
        for row, one in enumerate(each)
    ]
    return drawing.sheet(f"{title}; a filter a row, an input channel a column{left_out}", rows, names[:_MOST_DEEP])


def _tiled(title: str, pictures: NDArray[Any], names: Sequence[str], side_pixels: int) -> Image.Image:
    """Pictures `[n, H, W, C]` in rows, each scaled to its own range, with its name."""
    left_out = f" (the first {_MOST_TILES})" if len(pictures) > _MOST_TILES else ""
    tiles = _tiles(pictures[:_MOST_TILES], names[:_MOST_TILES], side_pixels)
    return drawing.sheet(title + left_out, drawing.wrapped(tiles))


def _tiles(pictures: NDArray[Any], names: Sequence[str], side_pixels: int) -> list[Tile]:
    """A tile for each of the pictures `[n, H, W, C]`, scaled to its own range."""
    return [
        Tile(drawing.enlarged(drawing.stretched(picture), side_pixels), name)
        for picture, name in zip(pictures, names, strict=True)
    ]


def _features(options: dict[str, Any]) -> Drawn:
    """What a layer makes of an example of the run's data set, beside the example."""
    run_dir = Path(options["run_dir"])
    config = flags.of_run(run_dir)
    data = _dataset(replace(config, data_dir=options["data_dir"] or config.data_dir))
    picture, line, name = _one(data, options)
    trained = _load(run_dir)
    path, maps = _maps(trained.module, picture, options["features"])
    title = f"{path} of {trained.architecture.model}: {len(maps)} maps of {maps.shape[1]}x{maps.shape[2]}"
    print(line, title, sep="\n")
    right = _tiled(title, maps, tuple(map(str, range(len(maps)))), _FEATURE_SIDE)
    left = drawing.sheet(line, [[Tile(drawing.enlarged(picture, _EXAMPLE_SIDE))]])
    return drawing.beside(left, right), f"{run_dir.resolve().name}-{path}-{name}"


def _maps(model: Any, picture: Picture, wanted: str) -> tuple[str, NDArray[np.float32]]:
    """The feature maps `[C, H, W, 1]` of the layer at the path `wanted`; "" for the first that has weights."""
    from tfcore.modules import named_parameters, outputs

    found = {path: output for path, output in outputs(model, picture[np.newaxis]).items() if output.shape.rank == 4}
    parameters = named_parameters(model)
    path = wanted or next((path for path in found if f"{path}.weights" in parameters), next(iter(found), ""))
    checks.one_of("features", path, tuple(found))
    maps = np.asarray(found[path], np.float32)  # [1, H, W, C]
    return path, np.moveaxis(maps, 3, 0).reshape(-1, *maps.shape[1:3], 1)
