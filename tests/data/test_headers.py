"""The quick parser of JPEG headers: what it tells is what Pillow tells, for whole, damaged and hostile files."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tfcore.data import pictures
from tfcore.data.headers import Header, usual_jpeg
from tfcore.errors import DataError

ORIENTATION = 274
PIXELS = np.random.default_rng(0).integers(0, 256, (21, 34, 3), np.uint8)


def jpeg(mode: str = "RGB", orientation: int | None = None, **options: Any) -> bytes:
    file = io.BytesIO()
    if orientation is not None:
        exif = options["exif"] = Image.Exif()
        exif[ORIENTATION] = orientation
    Image.fromarray(PIXELS).convert(mode).save(file, options.pop("format", "JPEG"), **options)
    return file.getvalue()


def xmp(orientation: int) -> bytes:
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="{orientation}"/></x:xmpmeta>'.encode()


USUAL = {
    "RGB": jpeg(),
    "grey": jpeg("L"),
    "whole chroma": jpeg(subsampling=0),
    "restart intervals": jpeg(restart_marker_blocks=1),
    "comment": jpeg(comment=b"x" * 70),
    "profile": jpeg(icc_profile=b"y" * 3000),
    **{f"orientation {number}": jpeg(orientation=number) for number in range(1, 9)},
}
UNUSUAL = {
    "progressive": jpeg(progressive=True),
    "CMYK": jpeg("CMYK"),
    "orientation 0": jpeg(orientation=0),
    "orientation in XMP": jpeg(xmp=xmp(6)),
    "EXIF and XMP": jpeg(orientation=1, xmp=xmp(6)),
    "damaged EXIF": jpeg(exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"),
    "PNG": jpeg(format="PNG"),
    "nothing": b"",
}


def by_pillow(data: bytes) -> Header | None:
    """The header without the quick parser; None for no picture."""
    try:
        with pictures._opened(data, "x") as image:
            return pictures._header(image)
    except DataError:
        return None


@pytest.mark.parametrize("kind", USUAL)
def test_usual_jpegs_are_parsed(kind: str) -> None:
    found = usual_jpeg(USUAL[kind])
    assert found is not None
    assert found == by_pillow(USUAL[kind]) == pictures.header(USUAL[kind], "x")


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow's
@pytest.mark.parametrize("kind", UNUSUAL)
def test_others_are_left_to_pillow(kind: str) -> None:
    assert usual_jpeg(UNUSUAL[kind]) is None
    if kind != "nothing":
        assert pictures.header(UNUSUAL[kind], "x") == by_pillow(UNUSUAL[kind])


def test_the_header_is_enough() -> None:
    data = USUAL["profile"]
    start = data.index(b"\xff\xda")
    assert usual_jpeg(data[: start + 14]) == usual_jpeg(data)
    for length in range(start + 14):
        assert usual_jpeg(data[:length]) is None


def test_a_size_that_is_not_allowed_is_told() -> None:
    data = bytearray(USUAL["RGB"])
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = (100).to_bytes(2) + (17_000).to_bytes(2)
    with pytest.raises(DataError, match=r"^x must have sides of at most 16384 pixels.*It has 17000x100\.$"):
        pictures.header(bytes(data), "x")


def mutated() -> Iterator[bytes]:
    """Headers with one byte changed, or a piece cut out or doubled."""
    rng = np.random.default_rng(1)
    for data in (USUAL["RGB"], USUAL["orientation 6"], UNUSUAL["EXIF and XMP"]):
        header = data.index(b"\xff\xda") + 14
        for _ in range(1500):
            changed = bytearray(data)
            place, length = int(rng.integers(header)), int(rng.integers(1, 9))
            if rng.random() < 0.7:
                changed[place] = int(rng.choice([0, 1, 2, 8, 0xC0, 0xC2, 0xD8, 0xDA, 0xE1, 0xFF, rng.integers(256)]))
            elif rng.random() < 0.5:
                del changed[place : place + length]
            else:
                changed[place:place] = changed[place : place + length]
            yield bytes(changed)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_what_it_tells_of_damaged_headers_is_what_pillow_tells() -> None:
    told = 0
    for data in mutated():
        found, expected = usual_jpeg(data), by_pillow(data)
        if found is not None and expected is not None and max(found.size) <= pictures.MAX_SIDE_PIXELS:
            assert found == expected
            told += 1
    assert told > 1000
