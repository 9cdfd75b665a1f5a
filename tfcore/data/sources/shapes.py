"""Generates `shapes`: ten silhouettes on a noisy background; the data set that needs no download.

A picture shows one shape at a random place, size and angle, brighter than its background in random colours, over a
gradient, with one small spot as a distractor and uniform noise. Colour, size and place are independent of the class.

Pixels are computed by additions, products, quotients, square roots and comparisons only: IEEE 754 defines their
rounding, so every machine draws the same bytes.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcore import seeds
from tfcore.data.dataset import Dataset, Split, aligned_empty

SEED = 2026
TRAIN_EXAMPLES = 10_000
TEST_EXAMPLES = 2_000
SIZE = 32  # pixels, both ways
CHUNK_EXAMPLES = 200  # limits temporary arrays to about 2.5 MB each, near the size of a cache

RADIUS_PIXELS = (8.0, 12.0)
SHIFT_PIXELS = 5.5  # of the centre, both ways, either direction
TILT = 0.35  # tangent of the greatest angle, either direction
GROUND = (20.0, 80.0)  # colour of the background, each channel
CONTRAST = (60.0, 120.0)  # of the shape above its background, each channel
GRADIENT = 30.0  # change of the background from the centre to an edge, each channel
SPOT_RADIUS_PIXELS = (1.5, 3.0)
NOISE = 20.0  # greatest change of a pixel's channel, either direction

Plane = NDArray[np.floating[Any]]  # float32; a product with a Python number stays float32


def _norm(u: Plane, v: Plane) -> Plane:
    return np.sqrt(u * u + v * v)


def _half_planes(u: Plane, v: Plane, sides: int, inradius: float) -> Plane:
    """Signed distances [sides, n, H, W] to the edges of a regular polygon, the first of them below the centre."""
    turns = [(math.sin(angle), math.cos(angle)) for angle in (2 * math.pi * side / sides for side in range(sides))]
    across, down = np.array(turns, np.float32).T.reshape(2, sides, 1, 1, 1)
    return across * u + down * v - inradius


def _circle(u: Plane, v: Plane) -> Plane:
    return _norm(u, v) - 0.8


def _square(u: Plane, v: Plane) -> Plane:
    return np.maximum(abs(u), abs(v)) - 0.7


def _triangle(u: Plane, v: Plane) -> Plane:
    return _half_planes(u, v - 0.15, 3, 0.5).max(0)


def _star(u: Plane, v: Plane) -> Plane:
    # A point of the star is outside at most one edge of its inner pentagon.
    return np.sort(_half_planes(u, v, 5, 0.36), axis=0)[-2]


def _cross(u: Plane, v: Plane) -> Plane:
    long, short = np.maximum(abs(u), abs(v)), np.minimum(abs(u), abs(v))
    return np.maximum(long - 0.9, short - 0.28)


def _ring(u: Plane, v: Plane) -> Plane:
    return abs(_norm(u, v) - 0.65) - 0.2


def _heart(u: Plane, v: Plane) -> Plane:
    u, v = abs(u), v + 0.15
    tip = (u + abs(v) - 0.7) * 0.7
    lobe = _norm(u - 0.35, v + 0.35) - 0.5
    return np.minimum(tip, lobe)


def _crescent(u: Plane, v: Plane) -> Plane:
    return np.maximum(_norm(u + 0.1, v) - 0.85, 0.7 - _norm(u - 0.3, v))


def _arrow(u: Plane, v: Plane) -> Plane:
    head = np.maximum((abs(u) - v - 0.9) * 0.7, v)
    shaft = np.maximum(abs(u) - 0.25, abs(v - 0.4) - 0.5)
    return np.minimum(head, shaft)


def _hourglass(u: Plane, v: Plane) -> Plane:
    return np.maximum(abs(v) - 0.85, (abs(u) - 0.85 * abs(v)) * 0.76)


# Each maps points (u right, v down, in radii from the centre) to approximate signed distances, negative inside.
SHAPES: dict[str, Callable[[Plane, Plane], Plane]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "ring": _ring,
    "heart": _heart,
    "crescent": _crescent,
    "arrow": _arrow,
    "hourglass": _hourglass,
}


def shapes(data_dir: Path) -> Dataset:  # noqa: ARG001 (every source is called with the data folder)
    """Draws the data set `shapes`: 10,000 training and 2,000 test pictures, uint8 [N, 32, 32, 3], always the same."""
    return Dataset("shapes", draw("train", TRAIN_EXAMPLES), draw("test", TEST_EXAMPLES), tuple(SHAPES))


def draw(purpose: str, examples: int, seed: int = SEED) -> Split:
    """Draws `examples` pictures, with balanced classes in random order.

    Args:
        purpose: a name for the draw; two purposes share no picture.
        examples: number of pictures, at least 1.
        seed: the same seed gives the same pictures.
    """
    generator = np.random.default_rng(seeds.integer(seed, "shapes", purpose))
    order = np.argsort(generator.random(examples), kind="stable")
    labels = (order % len(SHAPES)).astype(np.int32)
    images = aligned_empty((examples, SIZE, SIZE, 3))
    for start in range(0, examples, CHUNK_EXAMPLES):
        part = slice(start, start + CHUNK_EXAMPLES)
        images[part] = _paint(generator, labels[part])
    return Split(images, labels)


def _uniform(generator: np.random.Generator, low: float, high: float, *shape: int) -> Plane:
    """Draws uniform float32 numbers, [*shape, 1, 1], to broadcast over a picture's rows and columns."""
    return np.float32(low) + np.float32(high - low) * generator.random((*shape, 1, 1), np.float32)


def _paint(generator: np.random.Generator, labels: NDArray[np.int32]) -> Plane:
    """Draws pictures [n, 32, 32, 3] with values within 0 .. 255."""
    count = len(labels)
    axis = np.arange(SIZE, dtype=np.float32) - np.float32((SIZE - 1) / 2)
    x, y = axis[None, None, :], axis[None, :, None]  # [1, 1, W], [1, H, 1]
    shape, spot = _shape_cover(generator, labels, x, y), _spot_cover(generator, count, x, y)  # [n, H, W]
    picture = np.empty((3, count, SIZE, SIZE), np.float32)
    for channel in picture:
        slope_x, slope_y = (_uniform(generator, -GRADIENT, GRADIENT, count) / np.float32(SIZE / 2) for _ in "xy")
        channel[:] = _uniform(generator, *GROUND, count) + slope_x * x + slope_y * y
        channel += _uniform(generator, *CONTRAST, count) * spot
        channel += _uniform(generator, *CONTRAST, count) * shape
    picture += np.float32(2 * NOISE) * generator.random(picture.shape, np.float32) - np.float32(NOISE)
    return np.clip(picture, 0, 255).transpose(1, 2, 3, 0)


def _shape_cover(generator: np.random.Generator, labels: NDArray[np.int32], x: Plane, y: Plane) -> Plane:
    """Computes the share of each pixel [n, H, W] that the picture's shape covers, 0 to 1."""
    count = len(labels)
    radius = _uniform(generator, *RADIUS_PIXELS, count)
    tangent = _uniform(generator, -TILT, TILT, count)
    across = x - _uniform(generator, -SHIFT_PIXELS, SHIFT_PIXELS, count)
    down = y - _uniform(generator, -SHIFT_PIXELS, SHIFT_PIXELS, count)
    cosine = 1 / (np.sqrt(1 + tangent * tangent) * radius)
    sine = tangent * cosine
    u, v = cosine * across + sine * down, cosine * down - sine * across
    distance = np.empty_like(u)
    for label, outline in enumerate(SHAPES.values()):
        members = labels == label
        distance[members] = outline(u[members], v[members])
    # Anti-aliasing: the edge is one pixel wide, half covered on the outline.
    return np.clip(0.5 - distance * radius, 0, 1)


def _spot_cover(generator: np.random.Generator, count: int, x: Plane, y: Plane) -> Plane:
    """Computes the share of each pixel [n, H, W] that a small disc at a random place covers, 0 to 1."""
    across, down = (_uniform(generator, -SIZE / 2, SIZE / 2, count) for _ in "xy")
    return np.clip(0.5 + _uniform(generator, *SPOT_RADIUS_PIXELS, count) - _norm(x - across, y - down), 0, 1)
