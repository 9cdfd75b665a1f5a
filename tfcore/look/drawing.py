"""Draws sheets of captioned tiles, with NumPy and Pillow."""

import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tfcore.files import appearing

MARGIN_PIXELS = 16  # around a sheet
GAP_PIXELS = 6  # between tiles, and between a tile and its row's label
LINE_PIXELS = 20  # a line of text with the space around it
MID_GREY = 128
_DARK = 160  # mean of a colour below which text on it is white
_FONT: Any = ImageFont.load_default(13)

Picture = NDArray[np.uint8]  # [H, W, C]


@dataclass(frozen=True)
class Tile:
    """A picture on a sheet, uint8 `[H, W, 3]`, and its caption."""

    picture: Picture
    caption: str = ""


def enlarged(picture: Picture, side_pixels: int) -> Picture:
    """Enlarges a picture by a whole factor, and gives it three channels.

    Args:
        picture: uint8 `[H, W, C]`. Three channels are colours; any other number is shown as grey planes side by side.
        side_pixels: minimum length of the longer side.
    """
    height, width, channels = picture.shape
    if channels != 3:
        planes = np.concatenate(np.moveaxis(picture, 2, 0), axis=1)  # [H, C·W]
        picture = np.repeat(planes[..., np.newaxis], 3, axis=2)
    factor = max(1, -(-side_pixels // max(height, width)))
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def stretched(values: NDArray[np.floating[Any]]) -> Picture:
    """Scales numbers to pixels, minimum to 0 and maximum to 255; mid-grey where they are all equal or not finite."""
    numbers, is_finite = np.asarray(values, np.float64), np.isfinite(values)
    low, high = numbers.min(initial=np.inf, where=is_finite), numbers.max(initial=-np.inf, where=is_finite)
    if low >= high:
        return np.full(values.shape, MID_GREY, np.uint8)
    scaled = (np.where(is_finite, numbers, low) - low) * (255 / (high - low))
    return np.where(is_finite, np.rint(scaled), MID_GREY).astype(np.uint8)


def wrapped(tiles: Sequence[Tile]) -> list[list[Tile]]:
    """Arranges tiles in rows: about as many columns as rows, or up to twice as many where that fills all rows."""
    side = math.ceil(math.sqrt(len(tiles)))
    columns = next((count for count in range(side, 2 * side + 1) if len(tiles) % count == 0), side)
    return [list(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]


def sheet(title: str, rows: Sequence[Sequence[Tile]], labels: Sequence[str] = ()) -> Image.Image:
    """Draws rows of tiles under a title, on white, each with a thin outline.

    Args:
        title: one line.
        rows: may differ in length; all tiles are centred in cells of one size.
        labels: text to the left of each row; empty for none.
    """
    left = MARGIN_PIXELS + max((_length(label) + GAP_PIXELS for label in labels), default=0)
    width, height = _place(tile for row in rows for tile in row)
    tops = [MARGIN_PIXELS + LINE_PIXELS]  # of the tiles of each row, and of one row more
    for row in rows:
        tops[-1] += LINE_PIXELS * any(tile.caption for tile in row)
        tops.append(tops[-1] + height + GAP_PIXELS)
    right = max(left + max(map(len, rows)) * (width + GAP_PIXELS) - GAP_PIXELS, MARGIN_PIXELS + _length(title))
    canvas = Image.new("RGB", (right + MARGIN_PIXELS, tops[-1] - GAP_PIXELS + MARGIN_PIXELS), "white")
    _write(canvas, (MARGIN_PIXELS, MARGIN_PIXELS + GAP_PIXELS), title, "lm")
    for row, top in zip(rows, tops[:-1], strict=True):
        for column, tile in enumerate(row):
            _draw(canvas, tile, left + column * (width + GAP_PIXELS), top, width, height)
    for label, top in zip(labels, tops, strict=False):
        _write(canvas, (left - GAP_PIXELS, top + height / 2), label, "rm")
    return canvas


def matrix(title: str, names: Sequence[str], colours: Picture, texts: Sequence[Sequence[str]]) -> Image.Image:
    """Draws a square table of coloured cells, with the names left of its rows and, rotated, above its columns.

    Args:
        title: one line.
        names: n names.
        colours: uint8 `[n, n, 3]`, of the cells.
        texts: n rows of n texts for the cells: white on dark colours, otherwise black.
    """
    side = max(LINE_PIXELS, *(_length(text) for row in texts for text in row)) + 2 * GAP_PIXELS
    names_wide = max(map(_length, names)) + GAP_PIXELS
    left, top = MARGIN_PIXELS + names_wide, MARGIN_PIXELS + LINE_PIXELS + names_wide
    width = max(left + len(names) * side, MARGIN_PIXELS + _length(title)) + MARGIN_PIXELS
    canvas = Image.new("RGB", (width, top + len(names) * side + MARGIN_PIXELS), "white")
    _write(canvas, (MARGIN_PIXELS, MARGIN_PIXELS + GAP_PIXELS), title, "lm")
    for number, name in enumerate(names):
        _write(canvas, (left - GAP_PIXELS, top + (number + 0.5) * side), name, "rm")
        upright = Image.new("RGB", (names_wide, side), "white")
        _write(upright, (GAP_PIXELS, side / 2), name, "lm")
        canvas.paste(upright.rotate(90, expand=True), (left + number * side, top - names_wide))
    canvas.paste(Image.fromarray(colours.repeat(side, axis=0).repeat(side, axis=1)), (left, top))
    for row, column in np.ndindex(colours.shape[:2]):
        colour = "white" if colours[row, column].mean() < _DARK else "black"
        place = (left + (column + 0.5) * side, top + (row + 0.5) * side)
        _write(canvas, place, texts[row][column], "mm", colour)
    return canvas


def _place(tiles: Iterable[Tile]) -> tuple[int, int]:
    """Computes the size of a cell that fits every tile with its caption."""
    sizes = [(max(tile.picture.shape[1], _length(tile.caption)), tile.picture.shape[0]) for tile in tiles]
    return max(width for width, _ in sizes), max(height for _, height in sizes)


def _draw(canvas: Image.Image, tile: Tile, x: int, y: int, width: int, height: int) -> None:
    """Draws a tile centred in the cell whose upper left corner is (x, y), and its caption above."""
    image = Image.fromarray(tile.picture)
    left, top = x + (width - image.width) // 2, y + (height - image.height) // 2
    ImageDraw.Draw(canvas).rectangle((left - 1, top - 1, left + image.width, top + image.height), outline="lightgray")
    canvas.paste(image, (left, top))
    _write(canvas, (x + width / 2, y - LINE_PIXELS / 2), tile.caption, "mm")


def _write(canvas: Image.Image, place: tuple[float, float], text: str, anchor: str, colour: str = "black") -> None:
    """Writes a line of text at `place`; `anchor` is Pillow's."""
    ImageDraw.Draw(canvas).text(place, _drawable(text), colour, _FONT, anchor)


def _drawable(text: str) -> str:
    """Replaces letters that Pillow's font lacks: removes accents, then turns what is not ASCII into question marks."""
    letters = (letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return "".join(letters).encode("ascii", "replace").decode()


def _length(text: str) -> int:
    """Computes the width of a line of text, in pixels."""
    return math.ceil(_FONT.getlength(_drawable(text)))


def beside(left: Image.Image, right: Image.Image) -> Image.Image:
    """Joins two sheets, with one margin between them."""
    size = (left.width - MARGIN_PIXELS + right.width, max(left.height, right.height))
    canvas = Image.new("RGB", size, "white")
    canvas.paste(left, (0, 0))
    canvas.paste(right, (left.width - MARGIN_PIXELS, 0))
    return canvas


def hexadecimal(picture: Picture) -> str:
    """Formats the bytes, one line per picture row: a grey pixel as `7f`, one of three channels as `ff7f00`."""
    return "\n".join(" ".join(bytes(pixel).hex() for pixel in row) for row in picture)


def save(image: Image.Image, path: Path) -> None:
    """Writes a PNG, complete or not at all.

    Raises:
        RunError: `path` exists already, or it cannot be written.
    """
    with appearing(path) as scratch:
        image.save(scratch, format="PNG")
