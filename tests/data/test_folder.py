"""Folders of picture files: which files are read, what is refused, and that pictures are decoded lazily."""

import logging
import os
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tfcore.data import file_list
from tfcore.data.batches import EvaluationBatches, Examples, data_errors
from tfcore.data.dataset import Dataset
from tfcore.data.source import Source
from tfcore.data.sources import folder as source
from tfcore.errors import ConfigError, DataError


def read(path: Path, **settings: Any) -> Dataset:
    defaults = {"image_size": None, "image_fit": "stretch", "test_share": 0.5, "seed": 0, "skip_bad_pictures": False}
    return source.folder(path, **{**defaults, **settings})


def pixels(split: Source) -> np.ndarray:
    """Every picture of the split."""
    return split.read(np.arange(len(split)))


def put(path: Path, value: int | tuple[int, int, int], size: tuple[int, int] = (4, 3)) -> None:
    """Saves a picture of one colour, of (W, H) pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L" if isinstance(value, int) else "RGB", size, value).save(path)


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Four grey pictures of each of two classes, in one folder; a pixel is 10 * class + number."""
    for label, name in enumerate(["cat", "dog"]):
        for number, extension in enumerate(["png", "PNG", "bmp", "gif"]):
            put(tmp_path / name / f"{number}.{extension}", 10 * label + number)
    return tmp_path


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """Two pictures to train on and one to test on of each of two classes."""
    for part, count in (("train", 2), ("test", 1)):
        for label, name in enumerate(["cat", "dog"]):
            for number in range(count):
                put(tmp_path / part / name / f"{number}.png", 10 * label + number)
    return tmp_path


def test_train_and_test_side_by_side(split: Path) -> None:
    (split / "validation").mkdir()
    dataset = read(split)
    assert dataset.name == f"folder:{split}"
    assert dataset.class_names == ("cat", "dog")
    assert dataset.image_shape == (3, 4, 1)
    np.testing.assert_array_equal(pixels(dataset.train)[:, 0, 0, 0], [0, 10, 1, 11])
    np.testing.assert_array_equal(dataset.train.labels, [0, 1, 0, 1])
    np.testing.assert_array_equal(pixels(dataset.test)[:, 0, 0, 0], [0, 10])
    np.testing.assert_array_equal(dataset.test.labels, [0, 1])


def test_a_share_is_held_out(classes: Path) -> None:
    dataset, again, other = (read(classes, test_share=0.25, seed=seed) for seed in (1, 1, 3))
    train, test = pixels(dataset.train)[:, 0, 0, 0], pixels(dataset.test)[:, 0, 0, 0]
    np.testing.assert_array_equal(np.sort([*train, *test]), [0, 1, 2, 3, 10, 11, 12, 13])
    np.testing.assert_array_equal(train // 10, dataset.train.labels)
    np.testing.assert_array_equal(dataset.test.labels, [0, 1])
    np.testing.assert_array_equal(test, pixels(again.test)[:, 0, 0, 0])
    assert (test != pixels(other.test)[:, 0, 0, 0]).any()
    assert (np.diff(train) > 0).all()


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    for name in ("car", "train"):
        for number in range(2):
            put(tmp_path / name / f"{number}.png", 0)
    assert read(tmp_path).class_names == ("car", "train")


def test_pictures_are_colour_unless_all_are_grey(split: Path) -> None:
    put(split / "train" / "cat" / "0.png", (0, 0, 0))
    assert read(split).image_shape == (3, 4, 3)
    put(split / "train" / "cat" / "0.png", 0)
    assert read(split).image_shape == (3, 4, 1)
    put(split / "test" / "dog" / "1.png", (1, 2, 3))
    dataset = read(split)
    assert dataset.image_shape == (3, 4, 3)
    np.testing.assert_array_equal(pixels(dataset.train)[:, 0, 0], [[v] * 3 for v in (0, 10, 1, 11)])
    np.testing.assert_array_equal(pixels(dataset.test)[2, 0, 0], [1, 2, 3])


def test_pictures_are_resized(split: Path) -> None:
    put(split / "test" / "dog" / "1.png", 99, size=(9, 9))
    with pytest.raises(DataError, match=r"differ in size: .*0.png is 3x4 and .*dog/1.png is 9x9 \(HxW\). Give one"):
        read(split)
    dataset = read(split, image_size=(5, 6))
    assert dataset.image_shape == (5, 6, 1)
    np.testing.assert_array_equal(pixels(dataset.test)[2], np.full((5, 6, 1), 99))


def test_links_are_followed_and_hidden_files_not_seen(split: Path) -> None:
    (split / "train" / "cat" / "9.jpeg").symlink_to("1.png")
    (split / "train" / "cow").symlink_to("dog")
    (split / "test" / "cow").symlink_to("dog")
    (split / "train" / "cat" / ".hidden.png").write_bytes(b"")
    (split / "train" / ".git").mkdir()
    dataset = read(split)
    assert dataset.class_names == ("cat", "cow", "dog")
    np.testing.assert_array_equal(pixels(dataset.train)[:, 0, 0, 0], [0, 10, 10, 1, 11, 11, 1])


def test_what_is_no_picture_is_ignored_with_a_word(classes: Path, caplog: pytest.LogCaptureFixture) -> None:
    read(classes)
    assert caplog.records == []
    (classes / "readme.md").write_text("x")
    for name in ("a.txt", "b.tfx", "png"):
        (classes / "dog" / name).write_text("x")
    (classes / "cat" / "more.png").mkdir()
    read(classes)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "5 entries are no picture files and are ignored: " in record.message
    assert record.message.endswith(f"more.png, {classes}/dog/a.txt, {classes}/dog/b.tfx, …")
    assert "\n" not in record.message


def test_the_layout_is_checked(split: Path) -> None:
    with pytest.raises(DataError, match=r"Cannot use .*nothing: No such file or directory. Expected PATH/train/CLASS"):
        read(split / "nothing")
    with pytest.raises(DataError, match=r"0\.png: Not a directory"):
        read(split / "train" / "cat" / "0.png")
    with pytest.raises(DataError, match=r"cat holds no folder of a class. Expected PATH/train/CLASS"):
        read(split / "train" / "cat")
    (split / "test").rename(split / "train" / "cow")
    with pytest.raises(DataError, match=r"train/cow is an empty class: it holds no picture"):
        read(split / "train")
    with pytest.raises(DataError, match=r"train is an empty class"):
        read(split)


def test_a_folder_that_may_not_be_read_is_named(split: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    def locked(path: str | Path) -> Any:
        if str(path).endswith("train/dog"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", locked)
    with pytest.raises(DataError, match=r"Cannot use .*train/dog: Permission denied. Expected PATH/train/CLASS"):
        read(split)


def test_train_and_test_hold_the_same_classes(split: Path) -> None:
    put(split / "test" / "cow" / "0.png", 0)
    with pytest.raises(DataError, match=r"must hold the same classes. Only one of them has 'cow'"):
        read(split)


def test_a_folder_whose_name_is_no_text_is_refused(split: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    (split / "train" / "cat").rename(split / "train" / name)
    with pytest.raises(DataError, match=r"caf\ufffd is no plain text in UTF-8, and cannot name a class"):
        read(split)


def spoil(split: Path) -> list[str]:
    """Puts four bad pictures, two of which have good headers; returns their names in order."""
    noise = np.random.default_rng(0).integers(0, 256, (3, 4), np.uint8)
    cut, lying = split / "train" / "cat" / "cut.png", split / "train" / "dog" / "lying.png"
    for path in (cut, lying):
        Image.fromarray(noise).save(path)
    cut.write_bytes(cut.read_bytes()[:50])
    data = bytearray(lying.read_bytes())
    data[data.index(b"IDAT") + 8] ^= 0xFF
    lying.write_bytes(data)
    (split / "train" / "dog" / "empty.png").write_bytes(b"")
    (split / "test" / "dog" / "gone.png").symlink_to("nowhere")
    return [f"{split}/{name}" for name in ("train/cat/cut.png", "train/dog/empty.png", "train/dog/lying.png")]


def test_bad_headers_are_counted_and_the_first_is_named(split: Path) -> None:
    spoil(split)
    with pytest.raises(DataError) as caught:
        read(split)
    assert str(caught.value).startswith(
        f"2 of 10 pictures in folder:{split} are bad. {split}/train/dog/empty.png cannot be "
    )
    assert "it is empty" in str(caught.value)
    assert str(caught.value).endswith("Mend or remove them or leave them out with --skip_bad_pictures.")


def test_bad_pictures_are_left_out_where_that_is_asked_for(split: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = spoil(split)
    dataset = read(split, skip_bad_pictures=True)
    np.testing.assert_array_equal(pixels(dataset.train)[:, 0, 0, 0], [0, 10, 1, 11])
    np.testing.assert_array_equal(dataset.train.labels, [0, 1, 0, 1])
    assert len(dataset.test) == 2
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message == f"folder:{split}: 4 of 10 pictures are bad and are left out: {', '.join(names)}, …"


@pytest.mark.parametrize("skip", [True, False])
def test_a_class_of_bad_pictures_only_is_refused(split: Path, skip: bool) -> None:
    for number in range(2):
        (split / "train" / "cat" / f"{number}.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"class 0 \('cat'\) of 2 is an empty class" if skip else "2 of 6 pictures"):
        read(split, skip_bad_pictures=skip)
    for path in split.rglob("*.png"):
        path.write_bytes(b"x")
    with pytest.raises(DataError, match=r"6 of 6 pictures in .* are bad"):
        read(split, skip_bad_pictures=skip)


def test_a_picture_that_fails_later_is_named(split: Path) -> None:
    dataset = read(split)
    path = split / "test" / "dog" / "0.png"
    path.write_bytes(b"x" * path.stat().st_size)
    examples = Examples(dataset.test.batch_reader())
    with pytest.raises(DataError, match=r"^.*test/dog/0\.png cannot be used: it is none of .*$"):
        with data_errors([examples]):
            list(EvaluationBatches(examples, batch_size=2))


def test_nothing_is_decoded_before_it_is_wanted(split: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_files: list[str] = []
    real = file_list.read_bytes

    def counted(path: str) -> bytes:
        read_files.append(path)
        return real(path)

    monkeypatch.setattr(file_list, "read_bytes", counted)
    dataset = read(split)
    assert read_files == []
    dataset.train.read(np.array([1]))
    assert read_files == [f"{split}/train/dog/0.png"]


def test_memory_does_not_grow_with_the_pixels(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        put(tmp_path / name / "0.png", 0, size=(1000, 1000))
        for link in range(1, 50):
            (tmp_path / name / f"{link}.png").symlink_to("0.png")
    read(tmp_path).train.read(np.arange(2))  # traces the decoding
    tracemalloc.start()
    dataset = read(tmp_path, skip_bad_pictures=True)
    for start in range(0, 20, 2):
        dataset.train.read(np.arange(start, start + 2))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert dataset.train.nbytes == 50_000_000
    assert peak_bytes < 12_000_000


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": (5, 6, 7)}, "`image_size` must be H,W, each at least 1. Received 5,6,7"),
        ({"image_fit": "crop:1.5"}, "`image_fit` must be stretch, crop, or crop:SHARE .* Received 'crop:1.5'"),
        ({"image_fit": "fill"}, "`image_fit` must be stretch, crop, or crop:SHARE .* Received 'fill'"),
        ({"image_size": (5, 0)}, "`image_size` must be H,W, each at least 1. Received 5,0"),
        ({"test_share": 1.0}, "`test_share` must be above 0 and below 1"),
        ({"test_share": 0.01}, "must leave examples to train on and to test on"),
    ],
)
def test_settings_are_checked(classes: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(classes, **settings)
