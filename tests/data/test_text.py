"""Text files of labels and pixels: what is read, and that the first wrong line is named."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcore.data.dataset import Dataset
from tfcore.data.sources import text as source
from tfcore.errors import ConfigError, DataError

GOOD = "0 ** 1 2 3 4\n1 ** 5 6 7 8\n"


def read(path: Path, **settings: Any) -> Dataset:
    return source.text(path, **{"image_shape": None, "test_share": 0.5, "seed": 0, **settings})


def folder(path: Path, train: str | bytes, test: str | bytes = GOOD) -> Path:
    """A folder with the two files."""
    for name, content in (("train.txt", train), ("test.txt", test)):
        (path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "train",
    [
        GOOD,
        "0 1 2 3 4\n1 5 6 7 8",
        "0,1,2,3,4\r\n1,5,6,7,8\r\n",
        "0, **, 1, 2, 3, 4\n1\t5\t6\t7\t8\n",
        "\n 0 ** 001 02 3 4 \n\n1 ** 5 6 7 8\n \n",
        b"\xef\xbb\xbf" + GOOD.encode(),
    ],
    ids=["marked", "blanks", "commas", "mixed", "blank lines", "byte order mark"],
)
def test_what_stands_on_a_line(tmp_path: Path, train: str | bytes) -> None:
    dataset = read(folder(tmp_path, train))
    np.testing.assert_array_equal(dataset.train.images.reshape(2, 4), [[1, 2, 3, 4], [5, 6, 7, 8]])
    np.testing.assert_array_equal(dataset.train.labels, [0, 1])
    assert dataset.train.images.ctypes.data % 64 == 0
    assert dataset.image_shape == (2, 2, 1)
    assert dataset.class_names == ("0", "1")
    assert dataset.name == f"text:{tmp_path}"


@pytest.mark.parametrize(
    ("pixels", "image_shape", "expected"),
    [
        (1, None, (1, 1, 1)),
        (784, None, (28, 28, 1)),
        (3072, None, (32, 32, 3)),
        (12, (3, 4, 1), (3, 4, 1)),
        (12, (1, 4, 3), (1, 4, 3)),
    ],
)
def test_the_shape_of_a_picture(tmp_path: Path, pixels: int, image_shape: Any, expected: tuple[int, ...]) -> None:
    values = np.arange(pixels) % 256
    content = f"0 ** {' '.join(map(str, values))}\n"
    dataset = read(folder(tmp_path, content, content), image_shape=image_shape)
    np.testing.assert_array_equal(dataset.train.images[0], values.reshape(expected))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 ** 1 2 3", "expected a label and 4 pixels. Received 3 pixels"),
        ("0 ** 1 2 3 4 5", "expected a label and 4 pixels. Received 5 pixels"),
        ("0", "Received 0 pixels"),
        ("0 ** 1 2 3 256", "pixel 3 must be a whole number from 0 to 255. Received '256'"),
        ("0 ** -1 2 3 4", "pixel 0 .* Received '-1'"),
        ("0 ** 1 2.0 3 4", "pixel 1 .* Received '2.0'"),
        ("0 ** 1 2 ** 4", r"pixel 2 .* Received '\*\*'"),
        ("0 ** 1 2 3 x", "pixel 3 .* Received 'x'"),
        ("-1 ** 1 2 3 4", "the label must be a whole number from 0 on. Received '-1'"),
        ("cat ** 1 2 3 4", "the label .* Received 'cat'"),
        ("2147483648 ** 1 2 3 4", "the label .* Received '2147483648'"),
        ("9" * 5000 + " ** 1 2 3 4", "the label .* Received '9{20}'"),
        ("** 0 1 2 3", r"the label .* Received '\*\*'"),
        ("0 ** 1 2 3 é", "not ASCII"),
        ("٣ ** 1 2 3 4", "not ASCII"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    folder(tmp_path, GOOD, f"{GOOD}\n{line}\n{GOOD}")
    with pytest.raises(DataError, match=rf"test\.txt, line 4: .*{message}"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (b"", r"train\.txt is empty"),
        (b" \n\n", r"train\.txt is empty"),
        (
            b"0 ** 1 2 3 4 5\n",
            r"train\.txt, line 1: 5 pixels are no square picture, grey or RGB. Give its --image_shape",
        ),
        (b"7\n", "line 1: 0 pixels are no square"),
        (GOOD.encode("utf-16"), "line 1"),
        (b"0 ** 1 2 3 4\n2 ** 1 2 3 4\n", "class 1 of 3 is an empty class"),
        (b"2000000000 ** 1 2 3 4\n", "class 0 of 2000000001 is an empty class"),
        (b"0 ** 1\n1 ** 1\n", r"\(1, 1, 1\) in train and \(2, 2, 1\) in test"),
        (b"0 ** 1 2 3 4\n", r"within 0\.\.0. Received 1 at index 1 of test"),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, train: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(folder(tmp_path, train))


def test_an_image_shape_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train.txt, line 1: --image_shape=3,3,1 takes 9 pixels. Received 4"):
        read(folder(tmp_path, GOOD), image_shape=(3, 3, 1))
    for shape in [(2, 2), (2, 2, 0)]:
        with pytest.raises(ConfigError, match=r"`image_shape` must be H,W,C, each at least 1"):
            read(tmp_path, image_shape=shape)


def test_a_line_without_end_is_not_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "_LINE_BYTES", 100)
    with pytest.raises(DataError, match=r"train.txt, line 3 has 100 bytes or more"):
        read(folder(tmp_path, GOOD + "0 " * 200))


def test_a_file_that_is_written_to_meanwhile_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fstat

    def as_before(descriptor: int) -> os.stat_result:
        values = list(real(descriptor))
        values[6] = len("0 ** 1 2 3 4")
        return os.stat_result(values)

    folder(tmp_path, GOOD)
    monkeypatch.setattr(source.os, "fstat", as_before)
    with pytest.raises(DataError, match=r"became longer while it was read"):
        read(tmp_path)


@pytest.mark.parametrize("content", [GOOD, GOOD.replace("** ", ""), "0 " + "255 " * 10_000 + "\n0\n0\n"])
def test_memory_is_bounded_by_the_size_of_the_file(
    tmp_path: Path, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long first line among short ones must not be multiplied by their number."""
    asked: list[int] = []
    real = source.aligned_empty

    def counted(shape: tuple[int, ...]) -> np.ndarray:
        asked.append(math.prod(shape))
        return real(shape)

    monkeypatch.setattr(source, "aligned_empty", counted)
    folder(tmp_path, content)
    if content.startswith("0 255"):
        with pytest.raises(DataError, match=r"line 2"):
            read(tmp_path)
    else:
        read(tmp_path)
    assert 0 < asked[0] <= len(content) / 2


@pytest.mark.parametrize("name", ["", "train.txt", "test.txt"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    folder(tmp_path, GOOD)
    path = tmp_path / "nothing"
    if name:
        path = tmp_path
        (tmp_path / name).unlink()
    with pytest.raises(DataError, match=f"Cannot use .*{name or 'nothing'}: No such file or directory. Name a folder"):
        read(path)


def test_a_share_of_one_file_is_held_out(tmp_path: Path) -> None:
    labels = np.repeat([0, 1], [30, 10])
    path = tmp_path / "all.txt"
    path.write_text("".join(f"{label} ** {number}\n" for number, label in enumerate(labels)))
    dataset, again, other = (read(path, test_share=0.2, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(np.bincount(dataset.test.labels), [6, 2])
    for split in (dataset.train, dataset.test):
        np.testing.assert_array_equal(labels[split.images.reshape(-1)], split.labels)
        assert split.images.ctypes.data % 64 == 0
    both = np.concatenate([dataset.train.images, dataset.test.images]).reshape(-1)
    np.testing.assert_array_equal(np.sort(both), np.arange(40))
    np.testing.assert_array_equal(dataset.test.images, again.test.images)
    assert (dataset.test.images != other.test.images).any()


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, float("nan")])
def test_an_impossible_share_is_refused(tmp_path: Path, share: float) -> None:
    with pytest.raises(ConfigError, match=r"`test_share` must be above 0 and below 1"):
        read(folder(tmp_path, GOOD), test_share=share)


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_a_share_that_leaves_a_split_empty_is_refused(tmp_path: Path, share: float) -> None:
    (tmp_path / "all.txt").write_text(GOOD)
    with pytest.raises(ConfigError, match=r"must leave examples to train on and to test on"):
        read(tmp_path / "all.txt", test_share=share)


def test_names_of_classes_are_read(tmp_path: Path) -> None:
    folder(tmp_path, GOOD)
    (tmp_path / "class_names.txt").write_text("\ufeffcat \n\ndog,\tgrößer\n", encoding="utf-8")
    assert read(tmp_path).class_names == ("cat", "dog, größer")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (b"cat\n", r"within 0\.\.0. Received 1"),
        (b"cat\ndog\ncow\n", r"class 2 \('cow'\) of 3 is an empty class"),
        (b"\n", "class_names.txt must hold at least one name"),
        (b"a\n" * 600_000, "at most 1048576 bytes"),
        (b"\xff\xfe", "class_names.txt is not UTF-8"),
        (b"cat\n\x1b[2Jdog\n", r"text without control characters. Received '.x1b\[2Jdog'"),
    ],
)
def test_names_that_do_not_fit_are_refused(tmp_path: Path, names: bytes, message: str) -> None:
    folder(tmp_path, GOOD)
    (tmp_path / "class_names.txt").write_bytes(names)
    with pytest.raises(DataError, match=message):
        read(tmp_path)


@settings(max_examples=40)
@given(data=st.data())
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 4), st.sampled_from([1, 3])))
    count = data.draw(st.integers(1, 6))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    images, labels = rng.integers(0, 256, (count, *shape)), rng.permutation(count)
    separators, marks = st.sampled_from([" ", ",", "\t", ", ", "  "]), st.booleans()
    lines = []
    for image, label in zip(images, labels, strict=True):
        fields = [str(label), *(["**"] if data.draw(marks) else []), *map(str, image.reshape(-1))]
        lines.append(data.draw(separators).join(fields) + data.draw(st.sampled_from(["\n", "\r\n", "\n\n"])))
    path = folder(tmp_path_factory.mktemp("text"), "".join(lines), "".join(lines))
    dataset = read(path, image_shape=shape)
    np.testing.assert_array_equal(dataset.train.images, images)
    np.testing.assert_array_equal(dataset.test.labels, labels)
