"""Pixels as they come from users, converted to uint8 [N, H, W, C]."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcore import checks
from tfcore.data import pictures
from tfcore.data.dataset import aligned_empty
from tfcore.data.labels import described
from tfcore.data.windows import Fit
from tfcore.errors import ConfigError, DataError

_CHUNK = 256  # pictures converted at a time
_CHANNELS = (1, 3, 4)  # of what looks like a picture


@dataclass(frozen=True)
class PixelFormat:
    """The form of pixels that are handed over. Nothing of it is guessed.

    With a range (a, b), a value v becomes the byte

        round(255 · (v - a) / (b - a))

    so pictures that were made by dividing bytes by 255 become the same bytes again. Keras and PyTorch keep such values
    as float32; here, the model's first layer scales bytes, in training and in every export.

    Args:
        pixel_range: the values of black and white, such as (0, 1); None for whole numbers from 0 to 255.
        channels_first: whether pictures are [C, H, W], as PyTorch's are, and not [H, W, C].
        image_size: (H, W) that pictures are resized to, as those in files; None for no resizing.
        image_fit: how pictures of other proportions become that.

    Raises:
        ConfigError: a range that is not two finite numbers in ascending order, or a size below 1.
    """

    pixel_range: tuple[float, float] | None = None
    channels_first: bool = False
    image_size: tuple[int, int] | None = None
    image_fit: Fit = Fit(None)  # noqa: RUF009, a tuple

    def __post_init__(self) -> None:
        for name, pair in (("pixel_range", self.pixel_range), ("image_size", self.image_size)):
            if pair is not None and not (isinstance(pair, tuple | list) and len(pair) == 2):
                raise ConfigError(f"`{name}` must be a pair of numbers. Received {pair!r}.")
        if self.pixel_range is not None and not -math.inf < self.pixel_range[0] < self.pixel_range[1] < math.inf:
            raise ConfigError(
                "`pixel_range` must be two finite numbers in ascending order, the values of black and white. "
                f"Received {self.pixel_range}."
            )
        for length in self.image_size or ():
            checks.positive_integer("image_size", length)

    def pixels(self, images: Any, what: str) -> NDArray[np.uint8]:
        """Converts pictures of one shape to uint8 [n, H, W, C].

        Args:
            images: numbers [n, H, W, C] or [n, H, W], or [n, C, H, W] with `channels_first`; anything that NumPy takes.
            what: the pictures, as a message begins.

        Raises:
            DataError: another shape, floats without a range, or values outside of the range.
        """
        found = as_array(images, what)
        if found.ndim not in (3, 4) or 0 in found.shape[1:]:
            raise DataError(
                f"{what} must be [H, W] or [H, W, C], not empty. Received {found.dtype} of shape "
                f"{list(found.shape[1:])}."
            )
        if found.ndim == 3:
            found = found[..., np.newaxis]
        elif self.channels_first:
            found = np.moveaxis(found, 1, -1)
        elif found.shape[1] in _CHANNELS and found.shape[3] > max(_CHANNELS):
            raise DataError(
                f"{what} must be [H, W, C]. Received the shape {list(found.shape[1:])}, which looks like [C, H, W]. "
                "Say so: tfcore.dataset(data, channels_first=True)."
            )
        scaled = self._bytes(found, what)
        return scaled if self.image_size is None else _resized(scaled, self.image_size, self.image_fit, what)

    def in_memory(self, images: Any, what: str) -> NDArray[np.uint8]:
        """Converts all pictures of an array, a part at a time, to a new and aligned array; see `pixels`.

        Raises:
            DataError: also where the memory does not suffice.
        """
        images = images if hasattr(images, "shape") else as_array(images, what)
        if len(images.shape) == 0 or len(images) == 0:
            raise DataError(f"{what} must be at least one. Received none.")
        shape = self.pixels(images[:1], what).shape[1:]
        try:
            found = aligned_empty((len(images), *shape))
        except MemoryError as error:
            raise DataError(
                f"{what}, {len(images)} of shape {list(shape)}, do not fit into memory. Keep them as uint8 in a file: "
                "numpy.load(path, mmap_mode='r')."
            ) from error
        for start in range(0, len(images), _CHUNK):
            found[start : start + _CHUNK] = self.pixels(images[start : start + _CHUNK], what)
        return found

    def _bytes(self, values: NDArray[Any], what: str) -> NDArray[np.uint8]:
        if values.dtype == np.uint8 and self.pixel_range is None:
            return values
        if values.dtype.kind not in "uifb":
            raise DataError(f"{what} must be numbers. Received {described(values)}.")
        least, greatest = float(values.min()), float(values.max())
        if self.pixel_range is None and values.dtype.kind not in "ui":
            raise DataError(
                f"{what} must be whole numbers from 0 to 255, or have a known range. Received {values.dtype} from "
                f"{least:g} to {greatest:g}. Say the range, such as tfcore.dataset(data, pixel_range=(0, 1))."
            )
        low, high = self.pixel_range or (0, 255)
        if not low <= least <= greatest <= high:  # also false for NaN
            raise DataError(
                f"{what} must have values from {low:g} to {high:g}. Received {values.dtype} from {least:g} to "
                f"{greatest:g}. Say another range, tfcore.dataset(data, pixel_range=…), and leave standardizing to "
                "--pixels=standardized."
            )
        if self.pixel_range is None:
            return values.astype(np.uint8)
        return np.rint((values.astype(np.float64) - low) * (255 / (high - low))).astype(np.uint8)


def as_array(values: Any, what: str) -> NDArray[Any]:
    """Converts anything that NumPy takes, such as lists and tensors, to an array.

    Raises:
        DataError: it is nothing of that kind, or its parts differ in shape.
    """
    try:
        return np.asarray(values)
    except Exception as error:  # from other packages' `__array__`
        raise DataError(f"{what} must be what NumPy takes as one array: {checks.told(error)}.") from error


def _resized(images: NDArray[np.uint8], size: tuple[int, int], fit: Fit, what: str) -> NDArray[np.uint8]:
    """Cuts and resizes pictures [n, H, W, C] as those in files."""
    _, height, width, channels = images.shape
    window = fit.window((height, width), size)
    if (window.height, window.width) != size and channels not in (1, 3):
        raise DataError(f"{what} must have 1 or 3 channels to be resized. Received {channels}. Resize them before.")
    return np.stack([pictures.resized(image, window, size) for image in images])
