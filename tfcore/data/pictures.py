"""Reads picture files as arrays; checks the header before decoding, and reports every conversion.

Colour becomes grey by ITU-R 601-2 luma, 16 bits become the upper 8, transparency is composited on white, and pictures
are resized by bilinear interpolation over all pixels that a new one covers; a picture of other proportions is
stretched. Of a GIF the first frame is used. A JPEG is rotated upright by its EXIF orientation before its size is
checked.
"""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from tfcore import checks
from tfcore.data.download import usable
from tfcore.data.npy import open_npz, read_array
from tfcore.errors import DataError
from tfcore.files import open_file

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
ARRAYS = (".npy", ".npz")
MAX_SIDE_PIXELS = 16_384
MAX_PIXELS = 64_000_000

_MAX_BYTES = 1 << 30  # of a file: twice the uncompressed size of so many pixels
_MAX_SCANS = 100  # of a JPEG, each of which passes over all pixels; a progressive one has ten
_START_OF_SCAN = b"\xff\xda"
_PIECE_BYTES = 1 << 20  # read at a time
_FORMATS = ("PNG", "JPEG", "BMP", "GIF")  # recognised by content, not by the name of the file
_JPEG = ("JPEG", "MPO")  # Pillow's names; MPO holds several pictures, of which the first is read
_GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B")  # Pillow's
_TURNS = {  # by EXIF orientation, the transposition that puts a picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ON_ITS_SIDE = (5, 6, 7, 8)


class Header(NamedTuple):
    """A picture's size in pixels, upright, and whether it is grey (by its mode, not by its pixels)."""

    size: tuple[int, int]  # (H, W)
    grey: bool


class Picture(NamedTuple):
    """A picture in a model's shape, with a note on each conversion."""

    pixels: NDArray[np.uint8]  # [H, W, C]
    notes: tuple[str, ...]


def shown(path: str | Path) -> str:
    """Escapes a path for a message: bytes that are not text could stop the printing or control the terminal."""
    return checks.escaped(os.fsencode(path).decode(errors="replace"))


def read_header(path: str | Path) -> Header:
    """Reads size and kind of a picture, without decoding it.

    Raises:
        DataError: it is missing, of another format, or too large.
    """
    with _opened(path) as image:
        return _header(image)


def decode(path: str | Path) -> Header:
    """Decodes a picture, and returns its size and kind.

    Raises:
        DataError: it cannot be decoded, or its header is refused.
    """
    with _opened(path) as image:
        _load(image)
        return _header(image)


def read_picture(path: str | Path, image_shape: tuple[int, int, int]) -> Picture:
    """Reads a picture and converts it to the shape that a model takes.

    Args:
        path: a file in one of the formats PNG, JPEG, BMP and GIF.
        image_shape: (H, W, C), where C is 1 for grey or 3 for RGB.

    Raises:
        DataError: it is missing, of another format, too large or damaged; or C is neither 1 nor 3.
    """
    height, width, channels = image_shape
    if channels not in (1, 3):
        raise DataError(f"A picture file gives 1 or 3 channels, not {channels}. Give the pictures as an .npy file.")
    notes: list[str] = []
    with _opened(path) as image:
        header = _header(image)
        _load(image)
        picture = _eight_bits(image, notes)
        if picture.has_transparency_data:
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))
            notes.append("transparency laid on white")
        picture = picture.convert("L" if channels == 1 else "RGB")
        if header.grey != (channels == 1):
            notes.append("grey to colour" if header.grey else "colour to grey")
        orientation = _orientation(image)
        if orientation in _TURNS:
            picture = picture.transpose(_TURNS[orientation])
            notes.append("turned upright")
        if header.size != (height, width):
            notes.append(f"resized from {picture.width}x{picture.height} to {width}x{height}")
            picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        return Picture(np.asarray(picture).reshape(image_shape), tuple(notes))


def read_pictures(path: str | Path, image_shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Reads pictures from a NumPy file.

    Args:
        path: .npy, or .npz, of which the first array is read; uint8 [N, H, W, C] or [H, W, C], for grey pictures also
            [N, H, W] or [H, W].
        image_shape: (H, W, C), of every picture.

    Returns:
        uint8 [N, H, W, C].

    Raises:
        DataError: it is missing or damaged, or holds something else.
    """
    path = Path(path)
    if path.suffix.lower() == ".npz":
        with open_npz(path) as file:
            if not file.names:
                raise DataError(f"{path} holds no array.")
            array = file.read(file.names[0])
    else:
        with usable(path, "Name an .npy file as np.save writes it."), open_file(path) as file:
            array = read_array(file, os.fstat(file.fileno()).st_size, str(path))
    shapes = [image_shape] if image_shape[2] > 1 else [image_shape, image_shape[:2]]
    if array.dtype != np.uint8 or not (array.shape in shapes or array.shape[1:] in shapes) or not array.size:
        raise DataError(
            f"{path} must hold pictures of the model's size, uint8 {list(image_shape)} or many of them. Received "
            f"{array.dtype} of shape {list(array.shape)}."
        )
    return array.reshape(-1, *image_shape)


class _Clipped(io.BufferedReader):
    """A file whose `read` never asks for more bytes than are left.

    Python's reader allocates the requested size before it reads, and a chunk of a PNG can claim up to 4 GB.
    """

    def __init__(self, file: io.BufferedReader) -> None:
        super().__init__(file.detach())
        self._size_bytes = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        left_bytes = max(0, self._size_bytes - self.tell())
        return super().read(left_bytes if size is None or size < 0 else min(size, left_bytes))


@contextmanager
def _opened(path: str | Path) -> Iterator[ImageFile.ImageFile]:
    """Opens a picture and checks its header; turns every error in the block into a DataError."""
    try:
        with _Clipped(open_file(path)) as file:
            size_bytes = os.fstat(file.fileno()).st_size
            if size_bytes > _MAX_BYTES:
                raise DataError(f"{shown(path)} must have at most {_MAX_BYTES} bytes. It has {size_bytes}.")
            with Image.open(file, formats=_FORMATS) as image:
                if max(image.size) > MAX_SIDE_PIXELS or image.width * image.height > MAX_PIXELS:
                    raise DataError(
                        f"{shown(path)} must have sides of at most {MAX_SIDE_PIXELS} pixels, and {MAX_PIXELS} in all. "
                        f"It has {image.width}x{image.height}."
                    )
                yield image
    except (DataError, MemoryError):
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged input
        raise DataError(f"{shown(path)} cannot be used: {_reason(path, error)}.") from error


def _reason(path: str | Path, error: Exception) -> str:
    """Describes the error in a few words."""
    if isinstance(error, UnidentifiedImageError):
        return f"it is none of {', '.join(_FORMATS)}" if os.path.getsize(path) else "it is empty"
    if isinstance(error, Image.DecompressionBombError):
        return f"it claims more than {MAX_PIXELS} pixels"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__


def _load(image: ImageFile.ImageFile) -> None:
    """Decodes a picture; refuses a JPEG with so many scans that decoding would take hours."""
    if image.format in _JPEG and image.fp is not None:
        image.fp.seek(0)
        pieces = iter(partial(image.fp.read, _PIECE_BYTES), b"")
        scans = sum(piece.count(_START_OF_SCAN) for piece in pieces)
        if scans > _MAX_SCANS:
            raise ValueError(f"it has {scans} scans, and may have {_MAX_SCANS}")
    image.load()


def _header(image: Image.Image) -> Header:
    size = image.width, image.height
    return Header(size if _orientation(image) in _ON_ITS_SIDE else size[::-1], _is_grey(image))


def _orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation, a number from 1 (upright) to 8."""
    if image.format not in _JPEG:
        return 1
    try:
        found = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # damaged EXIF data; the picture can be read without them
        return 1
    return found if found in _TURNS else 1


def _is_grey(image: Image.Image) -> bool:
    """Whether the picture is stored as grey, or with a palette of greys only."""
    if image.mode != "P" or image.palette is None:
        return image.mode in _GREY_MODES
    colours, step = bytes(image.palette.palette), len(image.palette.rawmode or image.palette.mode)
    return colours[0::step] == colours[1::step] == colours[2::step]


def _eight_bits(image: Image.Image, notes: list[str]) -> Image.Image:
    """Converts to 8 bits a channel; Pillow's conversion would clip 16-bit values at 255."""
    if not image.mode.startswith("I"):
        return image
    notes.append("16 bits to 8")
    values: NDArray[Any] = np.asarray(image)
    return Image.fromarray((values >> 8).astype(np.uint8))
