"""Reading picture files: conversions are reported, and a header is checked before decoding."""

import os
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from tfcore.data import encoded, encoded_reader, pictures, windows
from tfcore.data.store import FileStore
from tfcore.errors import DataError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 4), np.uint8)
COLOUR = RNG.integers(0, 256, (5, 4, 3), np.uint8)


def read_picture(path: Path, shape: tuple[int, int, int]) -> pictures.Picture:
    return encoded.read_picture(path, shape, windows.Fit(None))


def checked(path: Path) -> pictures.Header:
    """Decodes a picture file; returns its header."""
    return encoded_reader.check(FileStore([str(path)]), 0)


def save(path: Path, array: np.ndarray, **options: object) -> Path:
    Image.fromarray(array).save(path, **options)
    return path


@pytest.mark.parametrize("extension", ["png", "bmp", "gif"])
@pytest.mark.parametrize("array", [GREY, COLOUR], ids=["grey", "colour"])
def test_pixels_come_through(tmp_path: Path, extension: str, array: np.ndarray) -> None:
    if extension == "gif" and array.ndim == 3:
        array = array // 128 * 255  # eight colours, which a palette holds exactly
    path = save(tmp_path / f"a.{extension}", array)
    shape = (5, 4, 1) if array.ndim == 2 else (5, 4, 3)
    assert pictures.read_header(path) == checked(path) == pictures.Header((5, 4), array.ndim == 2)
    pixels, notes = read_picture(path, shape)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, array.reshape(shape))
    assert notes == ()


@pytest.mark.parametrize("extension", ["png", "bmp", "gif"])
def test_a_palette_of_greys_is_grey(tmp_path: Path, extension: str) -> None:
    for name, array, grey in [("grey", GREY, True), ("colour", COLOUR, False)]:
        path = tmp_path / f"{name}.{extension}"
        Image.fromarray(array).quantize(256).save(path)
        with Image.open(path) as image:
            assert image.mode == "P"
        assert pictures.read_header(path).grey == checked(path).grey == grey
    pixels, notes = read_picture(tmp_path / f"grey.{extension}", (5, 4, 1))
    np.testing.assert_array_equal(pixels[..., 0], GREY)
    assert notes == ()


def test_a_jpeg_is_recognised_by_content(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.full((9, 7, 3), 100, np.uint8), format="JPEG")
    pixels, notes = read_picture(path, (9, 7, 3))
    assert abs(pixels.astype(int) - 100).max() <= 2
    assert notes == ()


def test_the_first_frame_of_a_gif_counts(tmp_path: Path) -> None:
    first, second = (Image.fromarray(np.full((5, 4), value, np.uint8)) for value in (10, 200))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    np.testing.assert_array_equal(read_picture(tmp_path / "a.gif", (5, 4, 1)).pixels, np.full((5, 4, 1), 10))


def test_colour_becomes_grey_and_grey_colour_with_a_word(tmp_path: Path) -> None:
    pixels, notes = read_picture(save(tmp_path / "a.png", COLOUR), (5, 4, 1))
    np.testing.assert_allclose(pixels[..., 0], COLOUR @ [0.299, 0.587, 0.114], atol=0.6)
    assert notes == ("colour to grey",)
    pixels, notes = read_picture(save(tmp_path / "b.png", GREY), (5, 4, 3))
    np.testing.assert_array_equal(pixels, np.repeat(GREY[..., None], 3, axis=2))
    assert notes == ("grey to colour",)


def test_another_size_is_reached_with_a_word(tmp_path: Path) -> None:
    halves = np.repeat(np.array([[0, 200]], np.uint8), 8, axis=0).repeat(8, axis=1)  # [8, 16]
    pixels, notes = read_picture(save(tmp_path / "a.png", halves), (2, 4, 1))
    np.testing.assert_array_equal(pixels[..., 0], [[0, pixels[0, 1, 0], pixels[0, 2, 0], 200]] * 2)
    assert notes == ("resized from 16x8 to 4x2",)
    checks = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    pixels, _ = read_picture(save(tmp_path / "b.png", checks), (8, 8, 1))
    assert abs(pixels[1:-1, 1:-1].astype(int) - 127).max() <= 4, "pixels in between were left out"


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_laid_on_white(tmp_path: Path, mode: str) -> None:
    alpha = np.array([[0, 255, 0, 255]] * 5, np.uint8)
    image = Image.fromarray(np.dstack([np.zeros((5, 4, 3), np.uint8), alpha]))
    if mode == "P":
        plain = Image.fromarray(np.array([[0, 1, 0, 1]] * 5, np.uint8), "P")
        plain.putpalette([9, 9, 9, 0, 0, 0])
        plain.save(tmp_path / "a.png", transparency=0)
    else:
        image.convert(mode).save(tmp_path / "a.png")
    pixels, notes = read_picture(tmp_path / "a.png", (5, 4, 3))
    np.testing.assert_array_equal(pixels[..., 0], [[255, 0, 255, 0]] * 5)
    assert "transparency laid on white" in notes


def test_sixteen_bits_become_the_upper_eight(tmp_path: Path) -> None:
    values = RNG.integers(0, 65536, (5, 4), np.uint16)
    pixels, notes = read_picture(save(tmp_path / "a.png", values), (5, 4, 1))
    np.testing.assert_array_equal(pixels[..., 0], values >> 8)
    assert notes == ("16 bits to 8",)
    assert pictures.read_header(tmp_path / "a.png").grey


def test_black_and_white_is_grey(tmp_path: Path) -> None:
    Image.fromarray(GREY > 100).save(tmp_path / "a.png")
    pixels, notes = read_picture(tmp_path / "a.png", (5, 4, 1))
    np.testing.assert_array_equal(pixels[..., 0], (GREY > 100) * 255)
    assert notes == ()


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """Makes a PNG whose header claims a size that its data need not have."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(data))]
    chunks = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in [*parts, (b"IEND", b"")]
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHIIiiHHIIIIII", 54, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0)


HEADERS = [
    (b"", "it is empty"),
    (b"hello", "it is none of PNG, JPEG, BMP, GIF"),
    (b"II*\0" + bytes(50), "it is none of PNG, JPEG, BMP, GIF"),
    (b"P5 2 2 255 abcd", "it is none of PNG, JPEG, BMP, GIF"),
    (png(16_385, 1), "sides of at most 16384 pixels, and 64000000 in all. It has 16385x1"),
    (png(1, 16_385), "It has 1x16385"),
    (png(16_000, 4_001), "It has 16000x4001"),
    (png(60_000, 60_000), "it claims more than 64000000 pixels"),
    (png(0, 5), "cannot be used|none of"),
    (bmp(16_385, 2), "It has 16385x2"),
    (bmp(8_001, 8_000), "It has 8001x8000"),
    (gif(30_000, 3), "It has 30000x3|cannot be used"),
]


@pytest.mark.parametrize(("data", "message"), HEADERS)
@pytest.mark.parametrize("look", [pictures.read_header, checked, lambda p: read_picture(p, (5, 4, 1))])
def test_a_header_is_refused_before_decoding(
    tmp_path: Path, data: bytes, message: str, look: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", forbidden)
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(DataError, match=rf"a\.png.*({message})") as caught:
        look(tmp_path / "a.png")
    assert "\n" not in str(caught.value)


def forbidden(*_: object) -> None:
    raise AssertionError("decoded")


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("extension", ["jpg", "png"])
def test_a_jpeg_is_turned_upright(tmp_path: Path, orientation: int, extension: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = save(tmp_path / f"a.{extension}", RNG.integers(0, 256, (40, 24, 3), np.uint8), exif=exif)
    with Image.open(path) as image:
        upright = np.asarray(ImageOps.exif_transpose(image) if extension == "jpg" else image)
    assert (
        pictures.read_header(path)
        == checked(path)
        == pictures.Header(upright.shape[:2], False, plain=extension == "jpg" and orientation in (0, 1, 9))
    )
    pixels, notes = read_picture(path, upright.shape)
    np.testing.assert_array_equal(pixels, upright)
    assert notes == (("turned upright",) if extension == "jpg" and 2 <= orientation <= 8 else ())


def test_a_jpeg_of_endless_scans_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each scan has a few bytes and passes over every pixel."""
    whole = save(tmp_path / "a.jpg", np.zeros((64, 64), np.uint8), progressive=True).read_bytes()
    scan = whole[whole.rindex(b"\xff\xda") : -2]
    for count, name in ((90, "b.jpg"), (200_000, "c.jpg")):
        (tmp_path / name).write_bytes(whole[:-2] + scan * count + whole[-2:])
    assert checked(tmp_path / "b.jpg").size == (64, 64)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", forbidden)
    for look in (checked, lambda path: read_picture(path, (64, 64, 1))):
        with pytest.raises(DataError, match=r"c\.jpg cannot be used: it has 200006 scans, and may have 100\."):
            look(tmp_path / "c.jpg")


def test_a_file_too_large_for_a_picture_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(10**13)  # a sparse file
    monkeypatch.setattr("PIL.Image.open", forbidden)
    with pytest.raises(DataError, match=r"a\.png must have at most 1073741824 bytes\. It has 10000000000000\."):
        pictures.read_header(tmp_path / "a.png")


@pytest.mark.parametrize("extension", ["png", "jpg", "bmp", "gif"])
def test_a_file_that_ends_early_cannot_be_decoded(tmp_path: Path, extension: str) -> None:
    path = save(tmp_path / f"a.{extension}", RNG.integers(0, 256, (40, 40), np.uint8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert pictures.read_header(path).size == (40, 40)
    for look in (checked, lambda p: read_picture(p, (40, 40, 1))):
        with pytest.raises(DataError, match=rf"a\.{extension} cannot be used"):
            look(path)


def test_a_header_that_lies_is_found_by_decoding(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(100, 100, bytes(50)))
    with pytest.raises(DataError, match=r"a.png cannot be used"):
        checked(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(png(16_384, 3_000, bytes(16_385 * 3_000)))
    assert checked(tmp_path / "b.png").size == (3_000, 16_384)


@pytest.mark.parametrize("place", range(0, 300, 11))
@pytest.mark.parametrize("extension", ["png", "jpg", "bmp", "gif"])
def test_one_wrong_byte_is_a_picture_or_an_error_in_one_line(tmp_path: Path, extension: str, place: int) -> None:
    path = save(tmp_path / f"a.{extension}", COLOUR)
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 0xFF
    path.write_bytes(data)
    message = ""
    try:
        assert read_picture(path, (5, 4, 3)).pixels.shape == (5, 4, 3)
    except DataError as error:
        message = str(error)
    assert "\n" not in message


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    for name in ("pipe.png", "folder.png"):
        with pytest.raises(DataError, match=f"{name} cannot be used: it is no regular file"):
            pictures.read_header(tmp_path / name)
    with pytest.raises(DataError, match=r"nothing.png cannot be used: No such file or directory"):
        pictures.read_header(tmp_path / "nothing.png")


def test_a_name_that_is_no_text_can_be_printed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\\nb\\x1b\[2J\.png cannot be used"):
        pictures.read_header(tmp_path / "a\nb\x1b[2J.png")
    with pytest.raises(DataError) as caught:
        pictures.read_header(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    assert "caf\ufffd.png" in str(caught.value).encode("utf-8").decode()


def test_lack_of_memory_is_no_fault_of_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object) -> None:
        raise MemoryError

    path = save(tmp_path / "a.png", GREY)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", no_memory)
    with pytest.raises(MemoryError):
        checked(path)


def test_a_chunk_that_claims_gigabytes_takes_no_memory(tmp_path: Path) -> None:
    data = save(tmp_path / "a.png", GREY).read_bytes()
    place = data.index(b"IDAT")
    (tmp_path / "a.png").write_bytes(data[: place - 4] + b"\xff\xff\xff\xff" + data[place:])
    tracemalloc.start()
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png", (5, 4, 1)).pixels[..., 0], GREY)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 2**24


def test_other_channels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gives 1 or 3 channels, not 4"):
        read_picture(save(tmp_path / "a.png", GREY), (5, 4, 4))


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "A.NPZ"])
@pytest.mark.parametrize(
    ("array", "image_shape"),
    [
        (np.stack([COLOUR, COLOUR]), (5, 4, 3)),
        (COLOUR, (5, 4, 3)),
        (np.stack([GREY, GREY])[..., None], (5, 4, 1)),
        (np.stack([GREY, GREY]), (5, 4, 1)),
        (GREY[..., None], (5, 4, 1)),
        (GREY, (5, 4, 1)),
    ],
)
def test_arrays_of_pictures(tmp_path: Path, name: str, array: np.ndarray, image_shape: tuple[int, int, int]) -> None:
    with (tmp_path / name).open("wb") as file:
        np.save(file, array) if name == "a.npy" else np.savez(file, array, np.zeros(3))
    found = pictures.read_pictures(tmp_path / name, image_shape)
    np.testing.assert_array_equal(found, array.reshape(-1, *image_shape))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (COLOUR[:4], r"uint8 \[5, 4, 3\] or many of them. Received uint8 of shape \[4, 4, 3\]"),
        (GREY, r"Received uint8 of shape \[5, 4\]"),
        (np.zeros((0, 5, 4, 3), np.uint8), r"Received uint8 of shape \[0, 5, 4, 3\]"),
        (COLOUR.astype(np.int32), "Received int32"),
        (COLOUR.astype(np.float32), "must hold whole numbers"),
        (COLOUR.astype(object), "must hold whole numbers"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(DataError, match=f"a.npy.*{message}"):
        pictures.read_pictures(tmp_path / "a.npy", (5, 4, 3))


def test_files_without_an_array_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz")
    with pytest.raises(DataError, match=r"a.npz holds no array"):
        pictures.read_pictures(tmp_path / "a.npz", (5, 4, 3))
    with pytest.raises(DataError, match=r"Cannot use .*b.npy: No such file"):
        pictures.read_pictures(tmp_path / "b.npy", (5, 4, 3))
    (tmp_path / "b.npy").write_bytes(b"")
    with pytest.raises(DataError, match=r"b.npy cannot be used: it has no header of an array"):
        pictures.read_pictures(tmp_path / "b.npy", (5, 4, 3))
