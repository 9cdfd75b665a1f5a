"""The part of a picture that becomes a model's input: a rectangle in whole pixels, then resized to the input's size."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfcore.errors import ConfigError

FITS = ("stretch", "crop")
DRAWS = ("area", "ratio", "row", "column")  # the random numbers of `random_window`
LARGEST_RATIO = 4 / 3  # of width to height in a random window, as of height to width

Size = tuple[int, int]  # (H, W)
Cut = Callable[[Size, NDArray[np.float32], Size], "Window"]  # of the picture's size, its draws, and the input's size


class Window(NamedTuple):
    """A rectangle of a picture, in pixels from its upper left corner."""

    top: int
    left: int
    height: int
    width: int


class Fit(NamedTuple):
    """How pictures of any size fit a model's input.

    Args:
        share: of the largest centred rectangle with the input's proportions, along each side, in (0, 1]; None for the
            whole picture, whose proportions change.
    """

    share: float | None

    def window(self, size: Size, image_size: Size) -> Window:
        """The rectangle of a picture of `size` that becomes an input of `image_size`, both (H, W).

        With a share s it is as high as min(h, w H/W) s, rounded, as wide as min(w, h W/H) s, and centred: the shorter
        side resized to H/s and the centre cut out, as torchvision's Resize and CenterCrop do in the other order.
        """
        (height, width), (rows, columns) = size, image_size
        if self.share is None:
            return Window(0, 0, height, width)
        high = min(height, max(1, round(min(height, width * rows / columns) * self.share)))
        wide = min(width, max(1, round(min(width, height * columns / rows) * self.share)))
        return Window((height - high) // 2, (width - wide) // 2, high, wide)


def sides(lengths: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """Completes a size: one length stands for a square; all else stays, to be checked."""
    return 2 * tuple(lengths) if lengths is not None and len(lengths) == 1 else lengths


def fit(text: str) -> Fit:
    """Reads `stretch`, `crop` or `crop:SHARE`.

    Raises:
        ConfigError: another word, or a share that is not above 0 and at most 1.
    """
    name, colon, value = text.partition(":")
    try:
        share = float(value) if colon else 1.0
    except ValueError:
        share = math.nan
    if name not in FITS or not 0 < share <= 1 or (colon and name == "stretch"):
        raise ConfigError(f"`image_fit` must be stretch, crop, or crop:SHARE with 0 < SHARE <= 1. Received '{text}'.")
    return Fit(None if name == "stretch" else share)


def random_window(
    size: Size, uniform: NDArray[np.float32], image_size: Size, smallest: float = 0.08, largest: float = 1.0
) -> Window:
    """A random rectangle on the picture's own scale, for `resized_crop` while decoding.

        area = h w · u,  u in [smallest, largest]
        width / height = exp(v) · W / H,  v in [-log 4/3, log 4/3]

    Sides are rounded to pixels and cut to the picture's; torchvision draws again where they are longer. All places in
    the picture are equally probable.

    Args:
        size: (h, w) of the picture.
        uniform: four numbers in [0, 1), for the area, the ratio, the row and the column.
        image_size: (H, W) of the input.
        smallest, largest: shares of the picture's area.

    Source: Szegedy et al. 2014, arXiv 1409.4842, section 6.
    """
    height, width = size
    area = height * width * (smallest + (largest - smallest) * float(uniform[0]))
    ratio = image_size[1] / image_size[0] * LARGEST_RATIO ** (2 * float(uniform[1]) - 1)
    high = min(height, max(1, round(math.sqrt(area / ratio))))
    wide = min(width, max(1, round(math.sqrt(area * ratio))))
    return Window(int((height - high + 1) * float(uniform[2])), int((width - wide + 1) * float(uniform[3])), high, wide)
