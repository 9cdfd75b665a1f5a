"""Data sets written as text, .npz and pictures are equal when read back, and written completely or not at all."""

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcore.data import writers
from tfcore.data.dataset import Dataset, Split
from tfcore.data.source import Source
from tfcore.data.sources.folder import folder
from tfcore.data.sources.npz import npz
from tfcore.data.sources.text import text
from tfcore.errors import DataError, RunError

NAMES = ("T-shirt/top", "größer", "a b")


def dataset(shape: tuple[int, int, int], names: tuple[str, ...] = NAMES) -> Dataset:
    """Three hundred pictures to train on, more than are written at a time, and seven to test on."""
    rng = np.random.default_rng(0)
    parts = [
        Split(rng.integers(0, 256, (count, *shape), np.uint8), (np.arange(count) % len(names)).astype(np.int32))
        for count in (300, 7)
    ]
    return Dataset("made", *parts, names)


def read(form: str, path: Path) -> Dataset:
    common: dict[str, Any] = {"test_share": 0.5, "seed": 0}
    if form == "png":
        return folder(path, image_size=None, image_fit="stretch", skip_bad_pictures=False, **common)
    return npz(path, **common) if form == "npz" else text(path, image_shape=None, **common)


SHAPES = pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3)], ids=["grey", "colour"])


@SHAPES
@pytest.mark.parametrize("form", ["text", "npz"])
def test_what_was_written_is_read(tmp_path: Path, form: str, shape: tuple[int, int, int]) -> None:
    data = dataset(shape)
    writers.write(data, form, tmp_path / "out")
    back = read(form, tmp_path / "out")
    assert back.class_names == NAMES
    for split, same in ((data.train, back.train), (data.test, back.test)):
        np.testing.assert_array_equal(split.images, same.images)
        np.testing.assert_array_equal(split.labels, same.labels)
    assert os.listdir(tmp_path) == ["out"]


def contents(split: Source, names: tuple[str, ...]) -> Counter[tuple[str, bytes]]:
    """Counts each picture in each class."""
    labels = split.labels.tolist()
    images = split.read(np.arange(len(split)))
    return Counter((names[label], image.tobytes()) for image, label in zip(images, labels, strict=True))


@SHAPES
def test_pictures_that_were_written_are_read(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    data = dataset(shape)
    writers.write(data, "png", tmp_path / "out")
    assert sorted(os.listdir(tmp_path / "out" / "test" / "a b")) == ["000002.png", "000005.png"]
    back = read("png", tmp_path / "out")
    assert back.class_names == ("T-shirt_top", "a b", "größer")
    assert back.image_shape == shape
    names = ("T-shirt_top", "größer", "a b")
    assert contents(back.train, back.class_names) == contents(data.train, names)
    assert contents(back.test, back.class_names) == contents(data.test, names)


@pytest.mark.parametrize("form", writers.FORMATS)
def test_pictures_in_files_are_read_a_few_at_a_time(tmp_path: Path, form: str) -> None:
    data = dataset((4, 4, 3))
    asked: list[int] = []

    class Counted(Split):
        def read(self, indices: np.ndarray) -> np.ndarray:
            asked.append(len(indices))
            return super().read(indices)

    lazy = Counted(data.train.read(np.arange(300)), data.train.labels)
    writers.write(Dataset("lazy", lazy, data.test, NAMES), form, tmp_path / "out")
    assert asked == [256, 44]
    assert len(read(form, tmp_path / "out").train) == 300


def test_npz_is_what_numpy_reads(tmp_path: Path) -> None:
    data = dataset((5, 4, 1))
    writers.write(data, "npz", tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz", allow_pickle=False) as file:
        assert sorted(file) == ["class_names", "x_test", "x_train", "y_test", "y_train"]
        np.testing.assert_array_equal(file["x_train"], data.train.images)
        np.testing.assert_array_equal(file["y_test"], data.test.labels)
        assert file["class_names"].tolist() == list(NAMES)


def test_a_line_of_text(tmp_path: Path) -> None:
    split = Split(np.array([[[[0], [7]], [[255], [10]]]], np.uint8), np.zeros(1, np.int32))
    writers.write(Dataset("one", split, split, ("a  b",)), "text", tmp_path / "out")
    assert (tmp_path / "out" / "train.txt").read_bytes() == b"0 ** 0 7 255 10\n"
    assert (tmp_path / "out" / "class_names.txt").read_text(encoding="utf-8") == "a b\n"


def test_other_channels_make_no_picture_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has 1 or 3 channels, and made has 2. Take another --format"):
        writers.write(dataset((4, 4, 2)), "png", tmp_path / "out")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("form", writers.FORMATS)
def test_nothing_is_replaced(tmp_path: Path, form: str) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("mine", "empty", "link"):
        with pytest.raises(RunError, match=f"{name} is there already. Name another place"):
            writers.write(dataset((4, 4, 1)), form, tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["empty", "link", "mine"]
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize("form", writers.FORMATS)
@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["full", "stopped"]
)
def test_nothing_is_left_half_written(
    tmp_path: Path, form: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends(split: Split) -> Any:
        yield split.images[:3], split.labels[:3]
        raise error

    monkeypatch.setattr(writers, "_chunks", ends)
    expected = "out cannot be written: No space left on device" if isinstance(error, OSError) else None
    with pytest.raises(RunError if expected else KeyboardInterrupt, match=expected):
        writers.write(dataset((4, 4, 1)), form, tmp_path / "out")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("form", writers.FORMATS)
def test_what_came_meanwhile_is_not_replaced(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = writers._chunks

    def slow(split: Split) -> Any:
        (tmp_path / "out").write_text("mine")
        return real(split)

    monkeypatch.setattr(writers, "_chunks", slow)
    with pytest.raises(RunError, match="out is there already"):
        writers.write(dataset((4, 4, 1)), form, tmp_path / "out")
    assert os.listdir(tmp_path) == ["out"]
    assert (tmp_path / "out").read_text() == "mine"


@given(st.lists(st.text(max_size=8), min_size=1, max_size=8))
def test_names_of_folders_are_safe_and_differ(class_names: list[str]) -> None:
    names = writers.folder_names(tuple(class_names))
    assert len({name.casefold() for name in names}) == len(class_names)
    for name in names:
        assert name == os.path.basename(name)
        assert name.encode("utf-8")
        assert not name.startswith((".", " "))
        assert not name.endswith((".", " "))
        assert 0 < len(name.encode("utf-8")) < 255


def test_names_of_folders() -> None:
    given_names = ("0", "T-shirt/top", "a:b", "A_B", "..", "", "cat (2)")
    assert writers.folder_names(given_names) == ["0", "T-shirt_top", "a_b", "A_B_2", "_", "__2", "cat (2)"]


def test_weights_are_written_where_there_is_room_for_them(tmp_path: Path) -> None:
    data = replace(dataset((4, 4, 1)), train_weights=np.arange(300) / 4)
    writers.write(data, "npz", tmp_path / "out.npz")
    np.testing.assert_array_equal(read("npz", tmp_path / "out.npz").train_weights, data.train_weights)
    with pytest.raises(
        DataError, match=r"weights of its examples, which only --format=npz and --format=records can hold"
    ):
        writers.write(data, "text", tmp_path / "out")
