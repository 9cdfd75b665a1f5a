"""What is known of a picture before it is decoded; parses the headers of usual JPEGs a few times as fast as Pillow."""

from typing import NamedTuple

from PIL import ExifTags, Image

ON_ITS_SIDE = (5, 6, 7, 8)  # EXIF orientations that swap height and width

_START, _EXIF = b"\xff\xd8\xff", b"Exif\0\0"
_BITS = 8  # of a sample
_FRAMES = (0xC0, 0xC1)  # Huffman-coded and sequential; a progressive frame may have any number of scans
_SCAN, _APP1 = 0xDA, 0xE1
_SKIPPED = {0xC4, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE}  # tables, restart interval, applications' data, comment


class Header(NamedTuple):
    """What is known of a picture before it is decoded.

    Attributes:
        size: (H, W), upright.
        grey: by its mode, not by its pixels.
        plain: whether it is an upright JPEG in grey or RGB, which TensorFlow decodes as Pillow does.
    """

    size: tuple[int, int]
    grey: bool
    plain: bool = False


def usual_jpeg(data: bytes) -> Header | None:
    """Parses the header of a JPEG of one scan with 8 bits in grey or RGB.

    Args:
        data: the file, or so much of it that the first scan begins there.

    Returns:
        None for every other kind of picture, and for anything irregular: it may be a picture all the same.

    Source: ITU-T T.81, annex B.
    """
    if not data.startswith(_START):
        return None
    metadata: list[bytes] = []
    place, size, channels = 2, (0, 0), 0
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        first, place = place + 4, place + 2 + int.from_bytes(data[place + 2 : place + 4])
        if place > len(data) or place <= first:
            return None
        if marker in _FRAMES and not channels and data[first] == _BITS and place - first >= 6:
            size = int.from_bytes(data[first + 1 : first + 3]), int.from_bytes(data[first + 3 : first + 5])
            channels = data[first + 5]
        elif marker == _SCAN:
            orientation = _orientation(metadata)
            if 0 in size or channels not in (1, 3) or data[first] != channels or orientation is None:
                return None
            return Header(size[::-1] if orientation in ON_ITS_SIDE else size, channels == 1, orientation == 1)
        elif marker not in _SKIPPED:
            return None
        elif marker == _APP1:
            metadata.append(data[first:place])
    return None


def _orientation(metadata: list[bytes]) -> int | None:
    """The orientation, from 1 (upright) to 8, of no segment or one of EXIF data; None where Pillow must decide."""
    if not metadata:
        return 1
    exif = Image.Exif()
    try:
        exif.load(metadata[0] if metadata[0].startswith(_EXIF) else b"")
        found = exif.get(ExifTags.Base.Orientation)
    except Exception:  # Pillow's reader raises nearly anything on damaged data
        return None
    return found if len(metadata) == 1 and found in range(1, 9) else None
