"""Sheets of pictures: every tile is in its position, and files are written completely or not at all."""

import math
import resource
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tfcore.errors import RunError
from tfcore.look import drawing
from tfcore.look.drawing import GAP_PIXELS, LINE_PIXELS, MARGIN_PIXELS, Tile

GREY = np.array([[[0], [127]], [[255], [10]], [[20], [30]]], np.uint8)  # [3, 2, 1]
COLOUR = np.arange(18, dtype=np.uint8).reshape(3, 2, 3)
TOP = MARGIN_PIXELS + LINE_PIXELS  # of the first row of tiles


def flat(value: int, height: int = 20, width: int = 20) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image)


def test_every_pixel_becomes_a_square_of_one_colour() -> None:
    large = drawing.enlarged(COLOUR, 6)
    assert large.shape == (6, 4, 3)
    for row, column in np.ndindex(6, 4):
        np.testing.assert_array_equal(large[row, column], COLOUR[row // 2, column // 2])


@pytest.mark.parametrize(("side", "factor"), [(1, 1), (3, 1), (4, 2), (6, 2), (7, 3), (256, 86)])
def test_the_longer_side_reaches_what_was_asked_for(side: int, factor: int) -> None:
    assert drawing.enlarged(COLOUR, side).shape == (3 * factor, 2 * factor, 3)


def test_a_large_picture_stays_as_it_is() -> None:
    np.testing.assert_array_equal(drawing.enlarged(COLOUR, 2), COLOUR)


def test_grey_is_grey_and_other_channels_stand_side_by_side() -> None:
    np.testing.assert_array_equal(drawing.enlarged(GREY, 1), np.repeat(GREY, 3, axis=2))
    two = np.concatenate([GREY, 255 - GREY], axis=2)
    planes = np.concatenate([GREY, 255 - GREY], axis=1)
    np.testing.assert_array_equal(drawing.enlarged(two, 1), np.repeat(planes, 3, axis=2))


def test_numbers_are_stretched_to_their_own_range() -> None:
    values = np.array([-2.0, -1.0, 0.0, 2.0], np.float32)
    assert drawing.stretched(values).tolist() == [0, 64, 128, 255]
    assert drawing.stretched(values).dtype == np.uint8
    assert drawing.stretched(np.zeros(3, np.float32)).tolist() == [128, 128, 128]


def test_numbers_that_are_not_finite_are_grey_among_the_others() -> None:
    values = np.array([np.nan, -3e38, np.inf, 3e38, -np.inf], np.float32)
    assert drawing.stretched(values).tolist() == [128, 0, 128, 255, 128]
    assert drawing.stretched(np.full(2, np.nan)).tolist() == [128, 128]


@given(count=st.integers(1, 400))
def test_wrapped_tiles_stay_in_order_and_about_square(count: int) -> None:
    tiles = [Tile(GREY, str(number)) for number in range(count)]
    rows = drawing.wrapped(tiles)
    assert [tile for row in rows for tile in row] == tiles
    assert all(len(row) == len(rows[0]) for row in rows[:-1])
    assert 1 <= len(rows[-1]) <= len(rows[0])
    assert math.sqrt(count) <= len(rows[0]) <= 2 * math.ceil(math.sqrt(count))


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (10, 5), (16, 4), (32, 8), (64, 8), (120, 12), (13, 4)])
def test_rows_are_filled_where_they_can_be(count: int, columns: int) -> None:
    assert len(drawing.wrapped([Tile(GREY)] * count)[0]) == columns


def test_tiles_stand_in_rows_with_even_margins() -> None:
    image = pixels(drawing.sheet("", [[Tile(flat(10)), Tile(flat(20))], [Tile(flat(30))]]))
    step = 20 + GAP_PIXELS
    assert image.shape == (TOP + step + 20 + MARGIN_PIXELS, 2 * MARGIN_PIXELS + step + 20, 3)
    for row, column, value in [(0, 0, 10), (0, 1, 20), (1, 0, 30), (1, 1, 255)]:
        top, left = TOP + row * step, MARGIN_PIXELS + column * step
        np.testing.assert_array_equal(image[top : top + 20, left : left + 20], flat(value))
    assert (image[: TOP - 1] == 255).all()
    assert (image[:, : MARGIN_PIXELS - 1] == 255).all()
    assert (image[-MARGIN_PIXELS + 1 :] == 255).all()
    assert (image[:, -MARGIN_PIXELS + 1 :] == 255).all()


def test_a_white_tile_is_seen_by_its_outline() -> None:
    image = pixels(drawing.sheet("", [[Tile(flat(255))]]))
    line = image[TOP - 1 : TOP + 21, MARGIN_PIXELS - 1 : MARGIN_PIXELS + 21].copy()
    assert (line[1:-1, 1:-1] == 255).all()
    line[1:-1, 1:-1] = 211
    assert (line == 211).all()  # light grey all around


def test_captions_and_labels_get_room_of_their_own() -> None:
    plain = drawing.sheet("", [[Tile(flat(0))], [Tile(flat(0))]])
    with_caption = drawing.sheet("", [[Tile(flat(0), "0")], [Tile(flat(0))]])
    assert with_caption.size == (plain.width, plain.height + LINE_PIXELS)
    above = pixels(with_caption)[TOP : TOP + LINE_PIXELS - 1]
    assert (above < 128).any()
    np.testing.assert_array_equal(pixels(with_caption)[TOP + LINE_PIXELS :], pixels(plain)[TOP:])
    labelled = drawing.sheet("", [[Tile(flat(0))], [Tile(flat(0))]], ["a", "a longer one"])
    room = labelled.width - plain.width
    assert room > 40
    assert (pixels(labelled)[TOP:, :room] < 128).any()
    np.testing.assert_array_equal(pixels(labelled)[TOP:, room + MARGIN_PIXELS :], pixels(plain)[TOP:, MARGIN_PIXELS:])


def test_a_caption_wider_than_its_tile_widens_every_place() -> None:
    image = pixels(drawing.sheet("", [[Tile(flat(9), "wider than twenty pixels"), Tile(flat(9))]]))
    columns = np.flatnonzero((image[TOP + LINE_PIXELS] == 9).all(axis=1))
    assert len(columns) == 40
    place = columns[20] - columns[0] - GAP_PIXELS
    assert place > 100
    assert columns[0] == MARGIN_PIXELS + (place - 20) // 2  # in the middle


def test_a_long_title_fits() -> None:
    image = pixels(drawing.sheet("a title that is much wider than the one tile", [[Tile(flat(255))]]))
    written = np.flatnonzero((image[: TOP - 1] < 128).any(axis=(0, 2)))
    assert written[0] >= MARGIN_PIXELS
    assert MARGIN_PIXELS <= image.shape[1] - 1 - written[-1] <= MARGIN_PIXELS + 2


def test_text_that_the_font_lacks_is_spelled_without() -> None:
    accents, plain = (drawing.sheet(title, [[Tile(flat(255))]]) for title in ("écolier Ω", "ecolier ?"))
    np.testing.assert_array_equal(pixels(accents), pixels(plain))


def test_sheets_side_by_side_share_the_margin_between_them() -> None:
    left, right = drawing.sheet("", [[Tile(flat(1))]]), drawing.sheet("", [[Tile(flat(2))], [Tile(flat(3))]])
    both = pixels(drawing.beside(left, right))
    assert both.shape == (right.height, left.width + right.width - MARGIN_PIXELS, 3)
    second = left.width
    np.testing.assert_array_equal(both[TOP : TOP + 20, MARGIN_PIXELS : MARGIN_PIXELS + 20], flat(1))
    np.testing.assert_array_equal(both[TOP : TOP + 20, second : second + 20], flat(2))
    assert (both[left.height :, : left.width - MARGIN_PIXELS] == 255).all()


def test_pixels_as_hexadecimal_bytes() -> None:
    assert drawing.hexadecimal(GREY) == "00 7f\nff 0a\n14 1e"
    assert drawing.hexadecimal(COLOUR) == "000102 030405\n060708 090a0b\n0c0d0e 0f1011"


@given(st.binary(min_size=12, max_size=12))
def test_hexadecimal_bytes_can_be_read_back(data: bytes) -> None:
    picture = np.frombuffer(data, np.uint8).reshape(2, 2, 3)
    assert bytes.fromhex(drawing.hexadecimal(picture)) == data


def test_a_picture_is_saved_as_it_is(tmp_path: Path) -> None:
    drawing.save(Image.fromarray(COLOUR), tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as image:
        assert image.format == "PNG"
        np.testing.assert_array_equal(pixels(image), COLOUR)
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("mine")
    with pytest.raises(RunError, match=r"x\.png is there already"):
        drawing.save(Image.fromarray(COLOUR), tmp_path / "x.png")
    assert (tmp_path / "x.png").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("file/x.png", "File exists"), ("x" * 252 + ".png", "name too long")],
)
def test_what_cannot_be_written_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=f"cannot be written: .*{reason}"):
        drawing.save(Image.fromarray(COLOUR), tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, allowed[1]))  # bytes of a file, as on a full disk
    try:
        with pytest.raises(RunError, match="cannot be written: File too large"):
            drawing.save(Image.fromarray(COLOUR), tmp_path / "x.png")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
    assert list(tmp_path.iterdir()) == []
