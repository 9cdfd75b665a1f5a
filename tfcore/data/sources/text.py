"""Reads pictures from lines of numbers: `label ** p0 p1 …`, with blanks, tabs or commas between; `**` is optional.

The pixels of a line are whole numbers from 0 to 255, row by row, the channels of a pixel next to each other.
"""

import itertools
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from tfcore import checks
from tfcore.data.dataset import Dataset, Split, aligned_empty
from tfcore.data.download import usable
from tfcore.data.sources.assemble import check_lengths, class_names, hold_out, own_dataset
from tfcore.errors import DataError
from tfcore.files import open_file

ImageShape = tuple[int, int, int]

_LINE_BYTES = 1 << 24  # more than a line of 4 million pixels has; its fields take 20 times the memory
_LARGEST_LABEL = 2**31 - 1
# Looking a number's bytes up is three times as quick as int(); with leading zeros, up to three digits.
_PIXELS = {f"{value:0{digits}d}".encode(): value for digits in (1, 2, 3) for value in range(256)}
_BLANKS = bytes.maketrans(b",\t", b"  ")
_MARK = b"**"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # some editors on Windows start a file with it


def text(path: Path, *, image_shape: ImageShape | None, test_share: float, seed: int) -> Dataset:
    """`text:PATH`: a folder with train.txt and test.txt, or one file of which a share is held out as test.

    The names of the classes are the lines of class_names.txt in that folder, or else their numbers.

    Args:
        path: the folder or the file.
        image_shape: (H, W, C); None for a square picture, grey or RGB by its number of pixels.
        test_share: of one file, the share to test on, above 0 and below 1.
        seed: for the choice of that share.

    Raises:
        DataError: a file that is missing or unreadable; a line, by its number, that is not a label and its pixels.
        ConfigError: an invalid shape, or a share that leaves one of the splits empty.
    """
    checks.share("test_share", test_share)
    check_lengths("image_shape", image_shape, "H,W,C")
    if not os.path.isdir(path):
        train, test = hold_out(*_read(path, image_shape), test_share, seed)
        return own_dataset(f"text:{path}", train, test, class_names(path.parent))
    train, test = (Split(*_read(path / name, image_shape)) for name in ("train.txt", "test.txt"))
    return own_dataset(f"text:{path}", train, test, class_names(path))


def _read(path: Path, image_shape: ImageShape | None) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Reads pictures [N, H, W, C] and labels [N] from one file."""
    advice = "Name a folder with train.txt and test.txt, or one file, of lines `label ** p0 p1 …`."
    with usable(path, advice), open_file(path) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        lines = _lines(file, path)
        first = next(lines, None)
        if first is None:
            raise DataError(f"{path} is empty. {advice}")
        where, fields = first
        pixels = len(_numbers(fields))
        shape = _image_shape(pixels, image_shape, where)
        # A number and its separator take two bytes, but for the end of the last line.
        most = (size_bytes + 1) // (2 * (pixels + 1))
        images, labels, count = aligned_empty((most, pixels)), np.empty(most, np.int32), 0
        for where, fields in itertools.chain([first], lines):
            row = _row(fields, pixels, where)
            if count == most:
                raise DataError(f"{path} became longer while it was read. Run again when nothing writes to it.")
            labels[count], images[count] = _label(fields[0], where), np.frombuffer(row, np.uint8)
            count += 1
    return images[:count].reshape(count, *shape), labels[:count]


def _lines(file: IO[bytes], path: Path) -> Iterator[tuple[str, list[bytes]]]:
    """Yields the location and the fields of each line that is not empty."""
    for number in itertools.count(1):
        line = file.readline(_LINE_BYTES)
        if not line:
            return
        where = f"{path}, line {number}"
        if len(line) == _LINE_BYTES:
            raise DataError(f"{where} has {_LINE_BYTES} bytes or more. Is this a file of lines `label ** p0 p1 …`?")
        fields = line.translate(_BLANKS).removeprefix(_BYTE_ORDER_MARK if number == 1 else b"").split()
        if fields:
            yield where, fields


def _numbers(fields: list[bytes]) -> list[bytes]:
    """Returns the fields after the label and the optional mark."""
    return fields[2:] if fields[1:2] == [_MARK] else fields[1:]


def _image_shape(pixels: int, image_shape: ImageShape | None, where: str) -> ImageShape:
    """Returns the given shape, or the one that follows from the number of pixels."""
    if image_shape is not None:
        if math.prod(image_shape) != pixels:
            expected = ",".join(map(str, image_shape))
            raise DataError(
                f"{where}: --image_shape={expected} takes {math.prod(image_shape)} pixels. Received {pixels}."
            )
        return image_shape
    for channels in (1, 3):
        side = math.isqrt(pixels // channels)
        if side and side * side * channels == pixels:
            return side, side, channels
    raise DataError(f"{where}: {pixels} pixels are no square picture, grey or RGB. Give its --image_shape=H,W,C.")


def _row(fields: list[bytes], pixels: int, where: str) -> bytes:
    """Parses the pixels of one line."""
    numbers = _numbers(fields)
    if len(numbers) != pixels:
        raise DataError(f"{where}: expected a label and {pixels} pixels. Received {len(numbers)} pixels.")
    try:
        return bytes(map(_PIXELS.__getitem__, numbers))
    except KeyError as error:
        place = next(place for place, number in enumerate(numbers) if number not in _PIXELS)
        raise DataError(
            f"{where}: pixel {place} must be a whole number from 0 to 255. Received {_shown(error.args[0])}."
        ) from None


def _label(field: bytes, where: str) -> int:
    """Parses the label of one line."""
    # int() would also accept signs, underscores, digits of every script, and thousands of digits.
    if not (field.isdigit() and len(field) <= 10 and int(field) <= _LARGEST_LABEL):
        raise DataError(f"{where}: the label must be a whole number from 0 on. Received {_shown(field)}.")
    return int(field)


def _shown(field: bytes) -> str:
    """Shortens and escapes a field for an error message."""
    if not field.isascii():
        return f"bytes that are not ASCII text ({field[:20]!r})"
    return repr(field[:20].decode())
