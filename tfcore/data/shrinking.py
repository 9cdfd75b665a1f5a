"""Shrinks picture files to a length of their shorter side."""

import io

from PIL import Image

from tfcore.data.headers import Header
from tfcore.data.pictures import decode, header

_JPEG_START = b"\xff\xd8"
_QUALITY = 95


def shrunk(encoded: bytes, name: str, shorter_side: int | None) -> tuple[bytes, Header]:
    """Resizes a picture file whose shorter side has more than `shorter_side` pixels; returns any other as it is.

    Bilinear, with a filter as much wider as the picture shrinks; the longer side is rounded. A JPEG becomes a JPEG of
    quality 95, any other file a PNG; upright, in 8 bits, grey or RGB, with transparency composited on white, without
    metadata.

    Args:
        encoded: the bytes of the file.
        name: for messages.
        shorter_side: in pixels; None for any.

    Returns:
        The bytes and their header.

    Raises:
        DataError: the header is refused, or a picture that is to be shrunk cannot be decoded.
    """
    found = header(encoded, name)
    if shorter_side is None or min(found.size) <= shorter_side:
        return encoded, found
    pixels = decode(encoded, name, 1 if found.grey else 3).pixels
    height, width = (round(side * shorter_side / min(found.size)) for side in found.size)
    image = Image.fromarray(pixels[..., 0] if found.grey else pixels)
    file = io.BytesIO()
    kind = "JPEG" if encoded.startswith(_JPEG_START) else "PNG"
    image.resize((width, height), Image.Resampling.BILINEAR).save(file, kind, quality=_QUALITY)
    return file.getvalue(), header(file.getvalue(), name)
