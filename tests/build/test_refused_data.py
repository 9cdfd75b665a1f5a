"""Data from Python that cannot be used: each is told in one line, with what to do."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from support.own_objects import TEST, TRAIN, Least, as_dataset, stream

import tfcore
from tfcore.errors import ConfigError, DataError

X, Y = TRAIN


def least(read: Callable[[np.ndarray], Any], **attributes: Any) -> Any:
    """An object of the class Mine, whose `read` is given."""
    members = {"labels": Y, "__len__": lambda _: 60, "read": lambda _, indices: read(indices), **attributes}
    return type("Mine", (), members)()


def items(item: Callable[[int], Any], **attributes: Any) -> Any:
    """A sequence of the class Mine, whose items are given."""
    return type("Mine", (), {"__len__": lambda _: 60, "__getitem__": lambda _, index: item(index), **attributes})()


def read_all(data: Any) -> None:
    """Reads the training pictures."""
    train = tfcore.dataset(data, say=lambda _: None).train
    train.read(np.arange(len(train)))


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
        ((X > 9, Y), "^The training pictures must be whole numbers .*Received bool from 0 to 1. Say the range"),
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
        (items(fails), r"^Mine\[17\] raises an error: KeyError: 'x' \(.*test_refused_data.py, line \d+\)"),
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
        (least(lambda _: {}["x"]), r"^Mine.read raises an error: KeyError: 'x' \(.*_refused_data.py, line"),
        (least(lambda i: X[i], labels=Y[:9]), "^The labels of Mine must hold one label"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_data_is_told_in_one_line(data: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as told:
        read_all(data)
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
