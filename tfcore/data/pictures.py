"""Reads picture files of any kind as arrays; checks the header before decoding, and reports every conversion.

Colour becomes grey by ITU-R 601-2 luma, CMYK becomes RGB without a profile, 16 bits become the upper 8, and
transparency is composited on white. Of several pictures in a file the first is used. A JPEG, WebP or TIFF is rotated
upright by its EXIF orientation before its size is checked.
"""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from tfcore import checks
from tfcore.data.download import usable
from tfcore.data.headers import ON_ITS_SIDE, Header, usual_jpeg
from tfcore.data.npy import open_npz, read_array
from tfcore.data.windows import Window
from tfcore.errors import DataError
from tfcore.files import open_file

EXTENSIONS = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".webp", ".tif", ".tiff")
ARRAYS = (".npy", ".npz")
MAX_SIDE_PIXELS = 16_384
MAX_PIXELS = 64_000_000

_MAX_BYTES = 1 << 30  # of a file: twice the uncompressed size of so many pixels
_MAX_SCANS = 100  # of a JPEG, each of which passes over all pixels; a progressive one has ten
_START_OF_SCAN = b"\xff\xda"
_PIECE_BYTES = 1 << 20  # read at a time
_HEADER_BYTES = 1 << 14  # in which nearly all JPEGs have their header
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")  # recognised by content, not by the name of the file
_ORIENTED = ("JPEG", "MPO", "WEBP")  # Pillow turns a TIFF itself
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


class Picture(NamedTuple):
    """A picture's pixels, with a note on each conversion."""

    pixels: NDArray[np.uint8]  # [H, W, C]
    notes: tuple[str, ...]


def shown(path: str | Path) -> str:
    """Escapes a path for a message: bytes that are not text could stop the printing or control the terminal."""
    return checks.escaped(os.fsencode(path).decode(errors="replace"))


def read_header(path: str | Path) -> Header:
    """Reads what is known of a picture file, without decoding it.

    Raises:
        DataError: it is missing, of another format, or too large.
    """
    with _file(path) as file:
        return header(file, shown(path))


def read_bytes(path: str | Path) -> bytes:
    """Reads a whole picture file.

    Raises:
        DataError: it is missing, or larger than a picture can be.
    """
    with _file(path) as file:
        return file.read()


def header(encoded: bytes | IO[bytes], name: str) -> Header:
    """Parses the header of a picture, of its bytes or a file.

    Raises:
        DataError: with the name; it is of another format, or too large.
    """
    found = usual_header(encoded if isinstance(encoded, bytes) else _first_bytes(encoded))
    if found is not None:
        return found
    with _opened(encoded, name) as image:
        found = _header(image)
        if found.plain and isinstance(encoded, bytes):
            _check_scans(encoded.count(_START_OF_SCAN))
        return found


def usual_header(data: bytes) -> Header | None:
    """Parses the header of a usual JPEG of an allowed size, from its first bytes; None for all else. See `header`."""
    found = usual_jpeg(data)
    return found if found is not None and _is_allowed(found.size) else None


def decode(encoded: bytes | IO[bytes], name: str, channels: int) -> Picture:
    """Decodes a picture: uint8 [H, W, channels], upright, in its own size.

    Args:
        encoded: a picture file, or its bytes.
        name: of the picture, for messages.
        channels: 1 for grey or 3 for RGB.

    Raises:
        DataError: it cannot be decoded, or its header is refused.
    """
    notes: list[str] = []
    with _opened(encoded, name) as image:
        is_grey = _header(image).grey
        _load(image)
        picture = _eight_bits(image, notes)
        if picture.has_transparency_data:
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))
            notes.append("transparency laid on white")
        picture = picture.convert("L" if channels == 1 else "RGB")
        if is_grey != (channels == 1):
            notes.append("grey to colour" if is_grey else "colour to grey")
        orientation = _orientation(image)
        if orientation in _TURNS:
            picture = picture.transpose(_TURNS[orientation])
            notes.append("turned upright")
        return Picture(np.asarray(picture).reshape(picture.height, picture.width, channels), tuple(notes))


def resized(pixels: NDArray[np.uint8], window: Window, image_size: tuple[int, int]) -> NDArray[np.uint8]:
    """Cuts a window out of pixels [h, w, C] and resizes it to (H, W): uint8 [H, W, C].

    Bilinear, with a filter as much wider where the window shrinks; rounded after each axis.
    """
    top, left, height, width = window
    cut = pixels[top : top + height, left : left + width]
    if (height, width) == image_size:
        return cut
    image = Image.fromarray(cut if cut.shape[2] == 3 else cut[..., 0])
    return np.asarray(image.resize(image_size[::-1], Image.Resampling.BILINEAR)).reshape(*image_size, -1)


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
def _file(path: str | Path) -> Iterator[IO[bytes]]:
    """Opens a picture file; turns the operating system's errors into a DataError."""
    with _telling(path), _Clipped(open_file(path)) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        if not size_bytes:
            raise ValueError("it is empty")
        if size_bytes > _MAX_BYTES:
            raise DataError(f"{shown(path)} must have at most {_MAX_BYTES} bytes. It has {size_bytes}.")
        yield file


@contextmanager
def _opened(encoded: bytes | IO[bytes], name: str) -> Iterator[ImageFile.ImageFile]:
    """Opens a picture and checks its header; turns every error in the block into a DataError."""
    file = io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded
    with _telling(name), Image.open(file, formats=_FORMATS) as image:
        if not _is_allowed(image.size):
            raise DataError(
                f"{name} must have sides of at most {MAX_SIDE_PIXELS} pixels, and {MAX_PIXELS} in all. "
                f"It has {image.width}x{image.height}."
            )
        yield image


@contextmanager
def _telling(name: str | Path) -> Iterator[None]:
    """Raises a DataError with the name in place of any error in the block."""
    try:
        yield
    except (DataError, MemoryError):
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged input
        raise DataError(f"{shown(name)} cannot be used: {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    """Describes the error in a few words."""
    if isinstance(error, UnidentifiedImageError):
        return f"it is none of {', '.join(_FORMATS)}"
    if isinstance(error, Image.DecompressionBombError):
        return f"it claims more than {MAX_PIXELS} pixels"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__


def _is_allowed(size: tuple[int, int]) -> bool:
    return max(size) <= MAX_SIDE_PIXELS and size[0] * size[1] <= MAX_PIXELS


def _first_bytes(file: IO[bytes]) -> bytes:
    found = file.read(_HEADER_BYTES)
    file.seek(0)
    return found


def _load(image: ImageFile.ImageFile) -> None:
    """Decodes a picture."""
    if image.format in _JPEG and image.fp is not None:
        image.fp.seek(0)
        pieces = iter(partial(image.fp.read, _PIECE_BYTES), b"")
        _check_scans(sum(piece.count(_START_OF_SCAN) for piece in pieces))
    image.load()


def _check_scans(scans: int) -> None:
    """Refuses a JPEG with so many scans that decoding would take hours."""
    if scans > _MAX_SCANS:
        raise ValueError(f"it has {scans} scans, and may have {_MAX_SCANS}")


def _header(image: Image.Image) -> Header:
    size, orientation = (image.width, image.height), _orientation(image)
    is_plain = image.format in _JPEG and image.mode in ("L", "RGB") and orientation == 1
    return Header(size if orientation in ON_ITS_SIDE else size[::-1], _is_grey(image), is_plain)


def _orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation, a number from 1 (upright) to 8."""
    if image.format not in _ORIENTED:
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
    if image.mode == "F":
        raise ValueError("it holds floating-point numbers")
    if not image.mode.startswith("I"):
        return image
    notes.append("16 bits to 8")
    values: NDArray[Any] = np.asarray(image)
    return Image.fromarray(np.clip(values >> 8, 0, 255).astype(np.uint8))
