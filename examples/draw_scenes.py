"""Draws a folder of JPEGs of many sizes, one folder a class: data for trying out what is made for photos.

    python examples/draw_scenes.py scenes
    python train.py --model=resnet18 --dataset=folder:scenes --image_size=128

A picture shows one object of its class at a random place, size, angle and colour, on a dark background with three other
spots. Its sides have 160 to 480 pixels.
"""

import argparse
import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDES_PIXELS = (160, 480)
RADIUS = (0.28, 0.45)  # of the object, as a share of the shorter side
DARK, BRIGHT = (20, 110), (130, 256)  # levels of the background, and of the object and the spots
TEST_SHARE = 0.2

Points = list[tuple[float, float]]  # in radii from the centre


def star(points: int, inner: float) -> Points:
    """The corners of a star; of a polygon if `inner` lies on its sides."""
    radii = (1.0, inner) * points
    angles = (math.pi * corner / points for corner in range(2 * points))
    return [(radius * math.sin(angle), -radius * math.cos(angle)) for radius, angle in zip(radii, angles, strict=True)]


OBJECTS: dict[str, Points] = {
    "arrow": [(0, -1), (0.8, 0), (0.3, 0), (0.3, 1), (-0.3, 1), (-0.3, 0), (-0.8, 0)],
    "bolt": [(0.3, -1), (-0.6, 0.2), (-0.1, 0.2), (-0.3, 1), (0.6, -0.2), (0.1, -0.2)],
    "cross": [(x * s, y * t) for s, t in ((1, 1), (-1, 1), (-1, -1), (1, -1))
              for x, y in ([(0.3, 1), (0.3, 0.3), (1, 0.3)] if s * t < 0 else [(1, 0.3), (0.3, 0.3), (0.3, 1)])],
    "disc": star(24, math.cos(math.pi / 24)),
    "hourglass": [(-0.8, -1), (0.8, -1), (-0.8, 1), (0.8, 1)],
    "house": [(0, -1), (0.9, -0.1), (0.6, -0.1), (0.6, 0.9), (-0.6, 0.9), (-0.6, -0.1), (-0.9, -0.1)],
    "moon": [(math.cos(a / 8) * 0.9, math.sin(a / 8)) for a in range(-16, 17)]
    + [(math.cos(a / 8) * 0.4 + 0.05, math.sin(a / 8) * 0.85) for a in range(16, -17, -1)],
    "square": star(4, math.cos(math.pi / 4)),
    "star": star(5, 0.4),
    "triangle": star(3, math.cos(math.pi / 3)),
}  # fmt: skip


def scene(name: str, generator: np.random.Generator) -> Image.Image:
    """Draws one picture of a class."""
    width, height = (int(side) for side in generator.integers(*SIDES_PIXELS, size=2))
    image = Image.fromarray(generator.integers(*DARK, (4, 4, 3), np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    draw = ImageDraw.Draw(image)
    for _ in range(3):
        x, y, radius = generator.random(3) * (width, height, min(width, height) / 10)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=bright(generator))
    image = image.filter(ImageFilter.GaussianBlur(2))
    radius = min(width, height) * generator.uniform(*RADIUS)
    x, y = (generator.uniform(radius, side - radius) for side in (width, height))
    angle = generator.uniform(-0.5, 0.5)
    cosine, sine = radius * math.cos(angle), radius * math.sin(angle)
    corners = [(x + cosine * u - sine * v, y + sine * u + cosine * v) for u, v in OBJECTS[name]]
    ImageDraw.Draw(image).polygon(corners, fill=bright(generator))
    noise = generator.normal(0, 12, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


def bright(generator: np.random.Generator) -> tuple[int, ...]:
    """A random bright colour."""
    return tuple(int(level) for level in generator.integers(*BRIGHT, 3))


def main() -> None:
    """Draws the folder."""
    parser = argparse.ArgumentParser(description="Draws JPEGs of many sizes in PATH/train/CLASS and PATH/test/CLASS.")
    parser.add_argument("path", type=Path, help="the folder to make")
    parser.add_argument("pictures", type=int, nargs="?", default=3000, help="how many, of all classes [3000]")
    given = parser.parse_args()
    if given.path.exists():
        parser.error(f"{given.path} is there already. Name another folder, or delete it first.")
    for number in range(given.pictures):
        generator = np.random.default_rng(number)
        name = list(OBJECTS)[number % len(OBJECTS)]
        part = "test" if number < given.pictures * TEST_SHARE else "train"
        path = given.path / part / name / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        scene(name, generator).save(path, quality=int(generator.integers(75, 96)))
    print(f"{given.path}: {given.pictures:,} pictures of {len(OBJECTS)} classes")


if __name__ == "__main__":
    main()
