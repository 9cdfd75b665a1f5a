"""Augmentations of one picture in NumPy float64, as loops over pixels; imports nothing from tfcore."""

import math

import numpy as np

Picture = np.ndarray  # [H, W, C]
Row = tuple[float, float, float]


def as_bytes(picture: Picture) -> Picture:
    return np.clip(np.rint(picture), 0, 255)


def cropped(picture: Picture, row: int, column: int, rows: int, columns: int, mode: str) -> Picture:
    """The picture padded by (rows, columns) on each side, from (row, column) on."""
    width = ((rows, rows), (columns, columns), (0, 0))
    padded = np.pad(picture, width, mode="reflect") if mode == "reflect" else np.pad(picture, width)
    height, side = picture.shape[:2]
    return padded[row : row + height, column : column + side]


def covered(picture: Picture, top: int, bottom: int, left: int, right: int) -> Picture:
    found = picture.copy()
    found[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = 0
    return found


def resized(picture: Picture, height: int, width: int) -> Picture:
    """Each pixel as the mean over a triangle around its centre, as wide as the shrinking demands."""
    found = picture
    for axis, count in ((0, height), (1, width)):
        ratio = picture.shape[axis] / count
        centres, places = (np.arange(count) + 0.5) * ratio, np.arange(picture.shape[axis]) + 0.5
        weights = np.maximum(0, 1 - np.abs(places - centres[:, None]) / max(1, ratio))
        found = np.moveaxis(np.tensordot(weights / weights.sum(1, keepdims=True), found, (1, axis)), 0, axis)
    return found


def warped(picture: Picture, across: Row, down: Row, fill: str) -> Picture:
    """Each pixel from the place (x', y') = A (x, y, 1), bilinearly; the origin is the picture's centre."""
    height, width, _ = picture.shape
    x0, y0 = (width - 1) / 2, (height - 1) / 2

    def value(row: int, column: int) -> np.ndarray:
        inner = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
        return picture[inner] if fill == "NEAREST" or inner == (row, column) else np.zeros(picture.shape[2])

    found = np.zeros(picture.shape)
    for row in range(height):
        for column in range(width):
            place = np.array([column - x0, row - y0, 1])
            x, y = across @ place + x0, down @ place + y0
            left, top = math.floor(x), math.floor(y)
            for r, share in ((top, 1 - (y - top)), (top + 1, y - top)):
                for c, other in ((left, 1 - (x - left)), (left + 1, x - left)):
                    found[row, column] += share * other * value(r, c)
    return found


def grey(picture: Picture) -> Picture:
    return (picture @ np.array([0.299, 0.587, 0.114]))[..., None] if picture.shape[2] == 3 else picture


def blended(picture: Picture, other: Picture | float, factor: float) -> Picture:
    return np.clip(factor * picture + (1 - factor) * other, 0, 255)


def jittered(picture: Picture, brightness: float, contrast: float, saturation: float) -> Picture:
    picture = blended(picture, 0.0, brightness)
    picture = blended(picture, grey(picture).mean(), contrast)
    return blended(picture, grey(picture), saturation)
