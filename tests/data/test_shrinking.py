"""Picture files are shrunk to a shorter side, or kept to the byte."""

import io

import numpy as np
import pytest
from PIL import Image

from tfcore.data.shrinking import shrunk
from tfcore.errors import DataError

PIXELS = np.stack(np.meshgrid(np.arange(60) * 4, np.arange(45) * 5, indexing="xy"), -1).astype(np.uint8)
PIXELS = np.concatenate([PIXELS, 255 - PIXELS[..., :1]], -1)  # a smooth picture, of which a JPEG loses little


def encoded(kind: str, mode: str = "RGB", **settings: object) -> bytes:
    """PIXELS, 45 high and 60 wide, as a file."""
    file = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(file, kind, **settings)
    return file.getvalue()


@pytest.mark.parametrize("side", [None, 45, 46])
@pytest.mark.parametrize("kind", ["JPEG", "GIF"])
def test_what_is_small_enough_is_kept(kind: str, side: int | None) -> None:
    data = encoded(kind, quality=30) if kind == "JPEG" else encoded(kind)
    same, header = shrunk(data, "a", side)
    assert same is data
    assert header.size == (45, 60)


@pytest.mark.parametrize(
    ("kind", "mode", "becomes"),
    [("JPEG", "RGB", "JPEG"), ("JPEG", "L", "JPEG"), ("PNG", "RGB", "PNG"), ("BMP", "RGB", "PNG"), ("PNG", "L", "PNG")],
)
def test_a_larger_one_is_resized(kind: str, mode: str, becomes: str) -> None:
    data, header = shrunk(encoded(kind, mode), "a", 16)
    assert (header.size, header.grey) == ((16, 21), mode == "L")
    with Image.open(io.BytesIO(data)) as image, Image.open(io.BytesIO(encoded(kind, mode))) as whole:
        assert (image.format, image.mode) == (becomes, mode)
        expected = np.asarray(whole.resize((21, 16), Image.Resampling.BILINEAR)).astype(int)
        distance = np.abs(np.asarray(image).astype(int) - expected)
    assert distance.max() == 0 if becomes == "PNG" else 0 < distance.mean() < 3


def test_a_turned_jpeg_is_upright_afterwards() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    data, header = shrunk(encoded("JPEG", exif=exif), "a", 15)
    assert header.size == (20, 15)
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif().get(0x0112) is None
        assert image.size == (15, 20)


def test_a_damaged_picture_is_named() -> None:
    data = encoded("PNG")
    with pytest.raises(DataError, match=r"^pets/1.png cannot be used: "):
        shrunk(data[: len(data) // 2], "pets/1.png", 16)
