"""Data from Python: every form gives the same data set, and what is no data is told in one line."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from support.own_objects import FORMS, NAMES, TEST, TRAIN, Least, Pictures, Tensor, as_dataset, stream

import tfcore
from tfcore.build import own_data, own_stream
from tfcore.build.data import load_dataset
from tfcore.config import RunConfig
from tfcore.data.dataset import Dataset
from tfcore.data.fingerprint import fingerprint
from tfcore.errors import ConfigError, DataError, DiskError, TfcoreError

X, Y = TRAIN


def made(data: Any, **settings: Any) -> Dataset:
    """The data set of an object; a `Dataset` as it is."""
    return data if isinstance(data, Dataset) else tfcore.dataset(data, **settings)


def pixels(source: Any) -> np.ndarray:
    return source.read(np.arange(len(source)))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_holds_the_same_examples(form: str, tmp_path: Path) -> None:
    data = made(FORMS[form](tmp_path), class_names=NAMES)
    whole = as_dataset()
    for one, other in ((data.train, whole.train), (data.test, whole.test)):
        assert (len(one), one.image_shape, one.nbytes) == (len(other), other.image_shape, other.nbytes)
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_array_equal(pixels(one), pixels(other))
        rows = np.array([5, 0, 5, 21])
        np.testing.assert_array_equal(one.first(22).read(rows), other.read(rows))
        assert fingerprint(one) == fingerprint(one) != fingerprint(one.first(22))


@pytest.mark.parametrize("data", [TRAIN, stream(TRAIN), Pictures(TRAIN), Least(TRAIN), as_dataset().train])
def test_without_a_test_part_the_same_share_is_held_out(data: Any) -> None:
    wanted = tfcore.dataset((X.copy(), Y), test_share=0.25, seed=3)
    found = tfcore.dataset(data, test_share=0.25, seed=3)
    for one, other in ((found.train, wanted.train), (found.test, wanted.test)):
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_array_equal(pixels(one), pixels(other))
    assert (len(found.train), len(found.test)) == (45, 15)
    assert fingerprint(found.train) != fingerprint(found.test)


def test_arrays_are_copied() -> None:
    x = X.copy()
    data = tfcore.dataset(((x, Y), TEST))
    x[...] = 0
    np.testing.assert_array_equal(data.train.images, X)


@pytest.mark.parametrize(
    ("values", "settings"),
    [
        (X.astype(np.int64), {}),
        (X.tolist(), {}),
        (Tensor(X), {}),
        (tf.constant(X), {}),
        (X.astype(np.float32) / 255, {"pixel_range": (0, 1)}),
        ((X / 255).astype(np.float16), {"pixel_range": [0, 1]}),
        (X / 127.5 - 1, {"pixel_range": (-1, 1)}),
        (X.astype(np.uint16) * 257, {"pixel_range": (0, 65535)}),
        (np.moveaxis(X, -1, 1), {"channels_first": True}),
    ],
)
def test_bytes_come_back_from_every_scale(values: Any, settings: Any) -> None:
    np.testing.assert_array_equal(tfcore.dataset(((values, Y), (values, Y)), **settings).train.images, X)


def test_grey_pictures_have_one_channel() -> None:
    assert tfcore.dataset((X[..., 0], Y)).image_shape == (6, 5, 1)
    assert tfcore.dataset([(Image.fromarray(picture[..., 0]), 0) for picture in X]).image_shape == (6, 5, 1)


def test_labels_that_are_text_name_the_classes() -> None:
    texts = np.array(["b", "a", "c"])[Y]
    for labels in (texts, texts.astype(bytes), texts.astype(object), texts[:, None], texts.tolist()):
        data = tfcore.dataset({"train": (X, labels), "test": (X[:2], ["c", "a"])})
        assert data.class_names == ("a", "b", "c")
        np.testing.assert_array_equal(data.train.labels, np.array([1, 0, 2])[Y])
        np.testing.assert_array_equal(data.test.labels, [2, 0])
    ordered = tfcore.dataset((X, texts), class_names=("c", "b", "a"))
    assert ordered.class_names == ("c", "b", "a")
    with pytest.raises(DataError, match=r"^The test labels must be among the classes a, b, c. Received 'd' at index 1"):
        tfcore.dataset(((X, texts), (X[:2], ["a", "d"])))


def test_names_of_classes_are_those_of_the_object_or_of_the_argument() -> None:
    assert tfcore.dataset(Pictures(TRAIN)).class_names == NAMES
    assert tfcore.dataset(Pictures(TRAIN), class_names=["x", "y", "z"]).class_names == ("x", "y", "z")
    assert tfcore.dataset(TRAIN).class_names == ("0", "1", "2")
    assert [own_data.name_of(data) for data in (TRAIN, (stream(TRAIN), None), Least(TRAIN), as_dataset())] == [
        "arrays",
        "tf_data",
        "Least",
        "three",
    ]


def test_pictures_are_resized_as_files_are() -> None:
    sized = [Image.fromarray(picture).resize((5 + number % 3, 6)) for number, picture in enumerate(X)]
    items = list(zip(sized, Y.tolist(), strict=True))
    data = tfcore.dataset(items, image_size=(4, 3))
    wanted = np.stack([np.asarray(picture.resize((3, 4), Image.Resampling.BILINEAR)) for picture in sized])
    np.testing.assert_array_equal(np.concatenate([pixels(data.train), pixels(data.test)]).sum(), wanted.sum())
    elements = tf.data.Dataset.from_generator(
        lambda: ((np.asarray(picture), label) for picture, label in items),
        output_signature=(tf.TensorSpec([None, None, 3], tf.uint8), tf.TensorSpec([], tf.int64)),
    )
    streamed = tfcore.dataset(elements, image_size=(4, 3))
    np.testing.assert_array_equal(pixels(streamed.test), pixels(data.test))
    for ragged, place in ((items, r"The picture of list\[1\]"), (elements, "The training pictures")):
        with pytest.raises(DataError, match=rf"^{place} must have .*shape.*image_size=\(H, W\)"):
            tfcore.dataset(ragged)


def test_a_stream_is_read_once_and_many_pixels_go_to_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(own_stream, "IN_MEMORY_BYTES", 20 * X[0].nbytes)
    data = tfcore.dataset((stream(TRAIN), stream((X[:20], Y[:20]))), data_dir=tmp_path / "new", say=said.append)
    assert said == [
        f"The training pictures: 60 of 6x5x3 were read and are kept in a file in {tmp_path / 'new'}, until this "
        "process ends (5,400 bytes).",
        "The test pictures: 20 of 6x5x3 were read and are kept in memory (1,800 bytes).",
    ]
    assert list((tmp_path / "new").iterdir()) == []  # the file has no name
    np.testing.assert_array_equal(pixels(data.train), X)
    with pytest.raises(DiskError, match=r"cannot be written"):
        tfcore.dataset(stream(TRAIN), data_dir=Path(__file__))
    monkeypatch.setattr(own_stream.shutil, "disk_usage", lambda _: own_stream.shutil._ntuple_diskusage(9, 9, 2000))
    endless = tf.data.Dataset.from_generator(
        lambda: iter(lambda: (X[0], 0), None),
        output_signature=(tf.TensorSpec([6, 5, 3], tf.uint8), tf.TensorSpec([], tf.int64)),
    )
    with pytest.raises(DataError, match=r"need more than the 2,000 bytes that are free in .* never end\?"):
        tfcore.dataset(endless, data_dir=tmp_path)


def test_targets_are_used_and_otherwise_every_item_is_read_once() -> None:
    known, unknown = Pictures(TRAIN), Pictures(TRAIN)
    del unknown.targets
    unknown.__class__ = type("Unknown", (Pictures,), {"__len__": lambda _: 60, "__getitem__": lambda self, index: (
        self.asked.append(index), (Image.fromarray(X[index]), int(Y[index])))[1]})  # fmt: skip
    tfcore.dataset(known)
    tfcore.dataset(unknown)
    assert known.asked == [0, 0]  # its form, and that of a whole batch
    assert unknown.asked == [*range(60), 0]


def test_users_code_is_called_by_one_thread_at_a_time() -> None:
    inside, most = [0], [0]

    class Slow(Least):
        """Counts the calls that overlap."""

        def read(self, indices: np.ndarray) -> np.ndarray:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            threading.Event().wait(0.002)
            inside[0] -= 1
            return super().read(indices)

    data = tfcore.dataset((Slow(TRAIN), Slow(TEST)))
    threads = [
        threading.Thread(target=source.read, args=(np.array([3, 1, 3]),)) for source in (data.train, data.test) * 4
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def least(read: Callable[[np.ndarray], Any], **attributes: Any) -> Any:
    """An object of the class Mine, whose `read` is given."""
    members = {"labels": Y, "__len__": lambda _: 60, "read": lambda _, indices: read(indices), **attributes}
    return type("Mine", (), members)()


def items(item: Callable[[int], Any], **attributes: Any) -> Any:
    """A sequence of the class Mine, whose items are given."""
    return type("Mine", (), {"__len__": lambda _: 60, "__getitem__": lambda _, index: item(index), **attributes})()


def fails(index: int) -> Any:
    """As good until item 17."""
    return {}["x"] if index == 17 else (X[index], Y[index])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (X, "Received ndarray. Pictures need labels"),
        ((X, Y, X, Y), r"Received tuple. Of four arrays, hand over \(\(x_train, y_train\), \(x_test, y_test\)\)"),
        ("folder:pets", r"Received str. Files are named in the configuration: RunConfig\(dataset="),
        (iter([(X[0], 0)]), "Received list_iterator. Pictures are read by index, .*: make a list of it"),
        (type("DataLoader", (), {"dataset": 1})(), "Received DataLoader. Of a DataLoader, hand over its `dataset`"),
        ((as_dataset(), None), "Received Dataset. A Dataset of tfcore has both parts: hand it over by itself"),
        (7, "^Data must be a pair of arrays .*Received int\\.$"),
        ({"train": TRAIN, "validation": TEST}, r"must be {'train': …, 'test': …}. Received train, validation. For val"),
        (stream(TRAIN).repeat(), r"^The training pictures never end. Leave out repeat\(\).*take\(N\)"),
        (stream(TRAIN).map(lambda x, y: {"image": x, "label": y}), r"Received a dict with image, label. .* map\(\)"),
    ],
)
def test_what_is_no_data_is_refused_before_anything_is_read(data: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as told:
        tfcore.dataset(data)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((X / 255, Y), r"^The training pictures must be whole numbers .*Received float64 from 0 to 0\.\d+. Say"),
        ((X.astype(np.int32) * 2, Y), r"must have values from 0 to 255. Received int32 from 0 to \d+\. Say another"),
        ((np.moveaxis(np.tile(X, (1, 1, 2, 1)), -1, 1), Y), r"looks like \[C, H, W\]. .*channels_first=True"),
        ((X[0, 0], Y), r"must be \[H, W\] or \[H, W, C\], not empty. Received uint8 of shape \[3\]"),
        ((X[:0], Y[:0]), "^The training pictures must be at least one. Received none"),
        (([X[0], X[1][:3]], [0, 1]), "must be what NumPy takes as one array: ValueError: setting an array"),
        ((X, np.eye(3)[Y]), r"^The training labels must hold one label.*float64 of shape \[60, 3\]. Of one-hot"),
        ((X, Y[:5]), r"for each of 60 pictures. Received int64 of shape \[5\]"),
        ((X, Y / 2), r"^The training labels must hold one whole number for each of 60 pictures. Received float64"),
        ((X, Y - 1), "^The training labels must be 0 or more. Received -1 at index 0"),
        ((X, Y * 2), "In arrays, class 1 of 5 is an empty class"),
        (stream(TRAIN).take(0), "^The training pictures must be at least one. Received none"),
        (stream(TRAIN).map(lambda x, _: (x, tf.zeros([7, 3]))), r"^The labels of the training pictures .* Of one-hot"),
        (
            stream(TRAIN).map(lambda x, y: (x, tf.numpy_function(lambda _: {}["x"], [y], tf.int64))),
            r"^The training pictures: the tf.data.Dataset raises an error: KeyError: 'x'\.$",
        ),
        (items(fails), r"^Mine\[17\] raises an error: KeyError: 'x' \(.*test_own_data.py, line \d+\)"),
        (items(lambda i: {"image": X[i], "label": 0}), r"^Mine\[0\] must be \(picture, label\). Received a dict"),
        (items(lambda i: (X[i], 0, 1)), r"^Mine\[0\] must be \(picture, label\). Received 3 values"),
        (items(lambda i: (X[i] / 255, 0)), r"^The picture of Mine\[0\] must be whole numbers .*pixel_range=\(0, 1\)"),
        (items(lambda i: (X[i][: 6 - i], 0)), r"^The picture of Mine\[1\] must have the shape of the first one, \[6"),
        (items(lambda i: (X[i], [0, 1])), r"^The label of Mine\[0\] must hold one label"),
        (items(lambda i: (Image.fromarray(X[i]).convert("P"), 0)), r"mode L or RGB. Received P. Return"),
        (items(lambda i: (X[i], 0), targets=Y[:7]), r"^The labels of Mine must hold .* for each of 60 pictures"),
        (items(lambda i: (X[i], 2), targets=Y), r"^Mine\[0\] must have the same label .*Received 2, and 0 before"),
        (least(lambda i: X[i] / 255), r"^Mine.read must return a NumPy array, uint8 \[1, H, W, C\], for 1 .* float64"),
        (least(lambda i: X[i].tolist()), "for 1 indices. Received list"),
        (least(lambda _: X[:1]), r"uint8 \[54, 6, 5, 3\], for 54 indices. Received uint8 of shape \[1, 6, 5, 3\]"),
        (least(lambda i: X[i, 0]), r"\[1, H, W, C\], for 1 indices. Received uint8 of shape \[1, 5, 3\]"),
        (least(lambda _: {}["x"]), r"^Mine.read raises an error: KeyError: 'x' \(.*_own_data.py, line"),
        (least(lambda i: X[i], labels=Y[:9]), "^The labels of Mine must hold one label"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_data_is_told_in_one_line(data: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as told:
        pixels(tfcore.dataset(data, say=lambda _: None).train)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("data", "settings", "message"),
    [
        (TRAIN, {"pixel_range": (1, 0)}, r"`pixel_range` must be two finite numbers in ascending order"),
        (TRAIN, {"pixel_range": 255}, r"`pixel_range` must be a pair of numbers. Received 255"),
        (TRAIN, {"image_size": (0, 4)}, r"`image_size` must be an integer of at least 1. Received 0"),
        (TRAIN, {"test_share": 1.5}, r"`test_share` must be above 0 and below 1"),
        ((TRAIN, TEST), {"test_share": 0.1}, r"arrays takes no `test_share`, as it has a test part. Leave it out"),
        (Least(TRAIN), {"image_size": (4, 4)}, r"Least.read returns pictures as they are trained on.* Leave out"),
    ],
)
def test_an_argument_that_does_not_apply_is_refused(data: Any, settings: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tfcore.dataset(data, **settings)


def test_the_settings_of_a_run_are_for_the_data_that_it_names() -> None:
    named = load_dataset(RunConfig(dataset="python:Pictures", test_share=0.5, train_examples=9, image_size=(4, 4)),
                         Pictures(TRAIN))  # fmt: skip
    assert (len(named.train), len(named.test), named.image_shape) == (9, 30, (4, 4, 3))
    other = load_dataset(RunConfig(dataset="folder:pets", test_share=0.5, train_examples=9, image_size=(4, 4)),
                         Pictures(TRAIN))  # fmt: skip
    assert (len(other.train), len(other.test), other.image_shape) == (54, 6, (6, 5, 3))
    with pytest.raises(ConfigError, match=r"^--dataset=python:three takes no --test_share"):
        load_dataset(RunConfig(dataset="python:three", test_share=0.5), as_dataset())
    with pytest.raises(TfcoreError, match=r"takes no --skip_bad_pictures"):
        load_dataset(RunConfig(dataset="python:arrays", skip_bad_pictures=True), TRAIN)
