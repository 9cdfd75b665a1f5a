"""Draws sheets of a model's filters and feature maps."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tfcore import checks
from tfcore.architecture import Architecture
from tfcore.look import drawing
from tfcore.look.drawing import Picture, Tile

if TYPE_CHECKING:
    from tfcore.modules import LayerRow

_MOST_TILES = 256  # filters or feature maps on a sheet
_MOST_DEEP = 32  # filters on a sheet, and input channels of each, if every channel has a tile
_SMALL_PIXELS = 12  # filters up to this side have small tiles, larger ones the tiles of whole pictures
# Minimum side of a tile in pixels.
_TEMPLATE_SIDE, _FILTER_SIDE, _DEEP_SIDE, _FEATURE_SIDE, _EXAMPLE_SIDE = 96, 48, 24, 64, 256

Filters = NDArray[np.float32]  # [filters, height, width, in_channels]


class Drawn(NamedTuple):
    """A drawn sheet of one layer."""

    path: str  # of the layer
    title: str
    image: Image.Image


def filters(
    model: Any, plan: Architecture, layers: Sequence["LayerRow"], wanted: str = "", *, most: int = _MOST_TILES
) -> Drawn | None:
    """Draws the filters of a convolution, or of a linear layer on the pixels, as large as the pictures.

    Args:
        model: built from `plan`.
        plan: its architecture.
        layers: of the model, in the order of their calls.
        wanted: path of the layer; "" for the first with filters.
        most: largest number of filters on the sheet.

    Returns:
        None where no layer has filters.

    Raises:
        ConfigError: the layer `wanted` has none.
    """
    found = _all_filters(model, plan.image_shape, layers)
    if not found:
        return None
    path = wanted or next(iter(found))
    checks.one_of("layer", path, tuple(found))
    count, height, width, channels = found[path].shape
    title = f"{path} of {plan.model}: {count} filters of {height}x{width}x{channels}"
    is_of_classes = path == layers[-1].path and count == len(plan.class_names)
    names = plan.class_names if is_of_classes else tuple(map(str, range(count)))
    return Drawn(path, title, _filter_sheet(title, found[path], names, most))


def feature_maps(model: Any, plan: Architecture, picture: Picture, line: str, wanted: str = "") -> Drawn:
    """Draws the feature maps that a layer computes from a picture, beside the picture.

    Args:
        model: built from `plan`.
        plan: its architecture.
        picture: uint8 `[H, W, C]`.
        line: title of the picture.
        wanted: path of the layer; "" for the first with weights.

    Raises:
        ConfigError: the layer's output is not `[N, H, W, C]`.
    """
    path, maps = _maps(model, picture, wanted)
    title = f"{path} of {plan.model}: {len(maps)} maps of {maps.shape[1]}x{maps.shape[2]}"
    right = _tiled(title, maps, tuple(map(str, range(len(maps)))), _FEATURE_SIDE)
    left = drawing.sheet(line, [[Tile(drawing.enlarged(picture, _EXAMPLE_SIDE))]])
    return Drawn(path, title, drawing.beside(left, right))


def _all_filters(model: Any, image_shape: tuple[int, int, int], layers: Sequence["LayerRow"]) -> dict[str, Filters]:
    """Collects the filters of all layers by path, in the order of calls."""
    from tfcore.modules import named_parameters

    parameters = named_parameters(model)
    own = {row.path: parameters.get(f"{row.path}.weights") for row in layers}
    weights = {path: variable.numpy() for path, variable in own.items() if variable is not None}
    found = {path: np.moveaxis(array, 3, 0) for path, array in weights.items() if array.ndim == 4}
    for path, array in list(weights.items())[:1]:  # only the first: a later layer may have as many inputs by chance
        if array.ndim == 2 and len(array) == math.prod(image_shape):
            found[path] = array.T.reshape(-1, *image_shape)
    return found


def _filter_sheet(title: str, filters: Filters, names: tuple[str, ...], most: int = _MOST_TILES) -> Image.Image:
    """Draws a tile for each filter of 1 or 3 channels; for others a row of grey tiles, one for each channel."""
    count, height, width, channels = filters.shape
    is_large = max(height, width) > _SMALL_PIXELS
    if channels in (1, 3):
        return _tiled(title, filters, names, _TEMPLATE_SIDE if is_large else _FILTER_SIDE, most)
    left_out = f" (the first {_MOST_DEEP} of each)" if max(count, channels) > _MOST_DEEP else ""
    each = np.moveaxis(filters[:_MOST_DEEP, ..., :_MOST_DEEP], 3, 1)[..., np.newaxis]  # [filters, channels, h, w, 1]
    side = _TEMPLATE_SIDE if is_large else _DEEP_SIDE
    rows = [
        _tiles(one, tuple(map(str, range(len(one)))) if row == 0 else ("",) * len(one), side)
        for row, one in enumerate(each)
    ]
    return drawing.sheet(f"{title}; rows: filters, columns: input channels{left_out}", rows, names[:_MOST_DEEP])


def _tiled(
    title: str, pictures: NDArray[Any], names: Sequence[str], side_pixels: int, most: int = _MOST_TILES
) -> Image.Image:
    """Draws pictures `[n, H, W, C]` in rows, each scaled to its range, with its name."""
    left_out = f" (the first {most})" if len(pictures) > most else ""
    tiles = _tiles(pictures[:most], names[:most], side_pixels)
    return drawing.sheet(title + left_out, drawing.wrapped(tiles))


def _tiles(pictures: NDArray[Any], names: Sequence[str], side_pixels: int) -> list[Tile]:
    """Makes a tile of each of the pictures `[n, H, W, C]`, scaled to its range."""
    return [
        Tile(drawing.enlarged(drawing.stretched(picture), side_pixels), name)
        for picture, name in zip(pictures, names, strict=True)
    ]


def _maps(model: Any, picture: Picture, wanted: str) -> tuple[str, NDArray[np.float32]]:
    """Computes the feature maps `[C, H, W, 1]` of the layer `wanted`; "" for the first with weights."""
    from tfcore.modules import named_parameters, outputs

    found = {path: output for path, output in outputs(model, picture[np.newaxis]).items() if output.shape.rank == 4}
    parameters = named_parameters(model)
    path = wanted or next((path for path in found if f"{path}.weights" in parameters), next(iter(found), ""))
    checks.one_of("layer", path, tuple(found))
    maps = np.asarray(found[path], np.float32)  # [1, H, W, C]
    return path, np.moveaxis(maps, 3, 0).reshape(-1, *maps.shape[1:3], 1)
