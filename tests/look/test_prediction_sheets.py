"""Sheets of batches, wrong predictions and the confusion matrix."""

import numpy as np
import pytest

from tfcore.look import drawing, prediction_sheets

NAMES = ("cat", "dog", "eel")


def test_the_most_confident_mistakes_come_first() -> None:
    probabilities = np.array([[0.9, 0.1, 0], [0.6, 0.4, 0], [0, 0.2, 0.8], [0.3, 0.7, 0], [0, 0.7, 0.3]])
    assert prediction_sheets.most_wrong(probabilities, np.array([0, 1, 0, 0, 2])).tolist() == [2, 3, 4, 1]
    assert prediction_sheets.most_wrong(probabilities, probabilities.argmax(1)).tolist() == []
    many = prediction_sheets.most_wrong(np.full([100, 2], 0.5), np.ones([100], np.int64))
    assert many.tolist() == list(range(prediction_sheets._MOST_WRONG))


def test_mistakes_have_captions(monkeypatch: pytest.MonkeyPatch) -> None:
    captions: list[str] = []
    monkeypatch.setattr(drawing, "_write", lambda _, __, text, ___: captions.append(text))
    pictures = np.zeros([2, 4, 4, 1], np.uint8)
    prediction_sheets.wrong("title", pictures, np.array([[0.1, 0.9, 0], [0.2, 0.3, 0.5]]), np.array([0, 1]), NAMES)
    assert {"title", "dog 90%, is cat", "eel 50%, is dog"} <= set(captions)


def test_a_batch_is_on_one_scale() -> None:
    pixels = np.stack([np.full([2, 2, 1], -1.0), np.full([2, 2, 1], 3.0)])
    shown = np.asarray(prediction_sheets.batch(pixels, ["cat", "dog"]))
    assert {0, 255} <= set(np.unique(shown))
    side = prediction_sheets._SIDE
    assert (shown == 0).all(2).sum() >= side * side


def test_a_confusion_matrix_is_dark_where_many_are() -> None:
    image = prediction_sheets.confusion(np.array([[9, 1, 0], [0, 0, 0], [0, 0, 5]]), NAMES)
    assert image is not None
    blue = (np.asarray(image) == [31, 119, 180]).all(2)
    rows, columns = np.flatnonzero(blue.any(1)), np.flatnonzero(blue.any(0))
    side = rows[-1] - rows[0] + 1
    assert columns[-1] - columns[0] + 1 == side  # one cell: all of the eels, and nothing else
    assert (rows[-1], columns[-1]) == (image.height - drawing.MARGIN_PIXELS - 1, columns[0] + side - 1)
    assert blue.sum() > 0.8 * side**2
    assert prediction_sheets.confusion(np.eye(21, dtype=np.int64), [str(number) for number in range(21)]) is None


def test_a_confusion_matrix_has_every_count_and_every_name_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []
    monkeypatch.setattr(drawing, "_write", lambda _, __, text, *___: texts.append(text))
    prediction_sheets.confusion(np.array([[9, 1, 0], [2, 3, 4], [5, 6, 77]]), NAMES)
    assert sorted(texts[1:]) == sorted([*NAMES, *NAMES, *"9102345", "6", "77"])
