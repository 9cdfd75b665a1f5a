"""Data from Python: every form gives the same data set, and what is no data is told in one line."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from support.own_objects import FORMS, NAMES, TEST, TRAIN, Floats, Least, Pictures, Tensor, as_dataset, mapped, stream

import tfcore
from tfcore.build import own_data, own_stream
from tfcore.build.data import load_dataset
from tfcore.build.own_source import MappedPixels, OwnSource
from tfcore.config import RunConfig
from tfcore.data.batches import EvaluationBatches
from tfcore.data.dataset import Dataset
from tfcore.data.examples import Examples, data_errors
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


def test_the_fingerprint_tells_parts_of_a_file_apart(tmp_path: Path) -> None:
    images, labels = mapped(TRAIN, tmp_path / "x.npy")
    whole = OwnSource(MappedPixels(images, labels), labels.astype(np.int32), "MappedPixels")
    assert fingerprint(whole.part(np.array([0, 3]))) != fingerprint(whole.part(np.array([0, 6])))  # of equal labels


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
    assert tfcore.dataset(items, image_size=(4,), image_fit="crop").image_shape == (4, 4, 3)
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
    assert unknown.asked == [0, *range(60), 0]


def overlapping(base: type, method: str) -> tuple[type, list[int]]:
    """A subclass of which a method takes a while, and how many of its calls overlapped at most."""
    inside, most = [0], [0]

    def slow(self: Any, argument: Any) -> Any:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.002)
        inside[0] -= 1
        return getattr(base, method)(self, argument)

    return type("Slow", (base,), {method: slow}), most


def test_users_code_is_called_by_one_thread_at_a_time() -> None:
    slow, most = overlapping(Least, "read")
    data = tfcore.dataset((slow(TRAIN), slow(TEST)))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda source: source.read(np.array([3, 1, 3])), (data.train, data.test) * 4))
    assert most == [1]


@pytest.mark.parametrize("base", [Pictures, Floats])
def test_threads_that_are_allowed_read_the_same(base: type) -> None:
    slow, most = overlapping(base, "__getitem__")
    settings = {} if base is Pictures else {"pixel_range": (0, 1), "channels_first": True}
    data = tfcore.dataset((slow(TRAIN), slow(TEST)), threads=4, **settings)
    np.testing.assert_array_equal(pixels(data.train), X)
    np.testing.assert_array_equal(data.train.labels, Y)
    assert 1 < most[0] <= 4


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


def test_what_a_complete_source_returns_is_checked() -> None:
    class Doubled(OwnSource):
        """Reads every picture twice."""

        def read(self, indices: np.ndarray) -> np.ndarray:
            return np.repeat(super().read(indices), 2, axis=0)

    examples = Examples(Doubled(Least(TRAIN), Y.astype(np.int32), "Least").batch_reader())
    with (
        pytest.raises(DataError, match=r"^Doubled.read must return a NumPy array, uint8 \[4, 6, 5, 3\], for 4 indices"),
        data_errors([examples]),
    ):
        list(EvaluationBatches(examples, batch_size=4))
