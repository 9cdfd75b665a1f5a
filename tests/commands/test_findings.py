"""Sheets of batches, wrong predictions and the confusion matrix."""

import numpy as np
import pytest

from tfcore.commands import drawing, findings

NAMES = ("cat", "dog", "eel")


def test_the_surest_of_the_wrong_come_first() -> None:
    probabilities = np.array([[0.9, 0.1, 0], [0.6, 0.4, 0], [0, 0.2, 0.8], [0.3, 0.7, 0], [0, 0.7, 0.3]])
    assert findings.most_wrong(probabilities, np.array([0, 1, 0, 0, 2])).tolist() == [2, 3, 4, 1]
    assert findings.most_wrong(probabilities, probabilities.argmax(1)).tolist() == []
    many = findings.most_wrong(np.full([100, 2], 0.5), np.ones([100], np.int64))
    assert many.tolist() == list(range(findings._MOST_WRONG))


def test_wrong_ones_have_their_captions(monkeypatch: pytest.MonkeyPatch) -> None:
    captions: list[str] = []
    monkeypatch.setattr(drawing, "_write", lambda _, __, text, ___: captions.append(text))
    pictures = np.zeros([2, 4, 4, 1], np.uint8)
    findings.wrong("title", pictures, np.array([[0.1, 0.9, 0], [0.2, 0.3, 0.5]]), np.array([0, 1]), NAMES)
    assert {"title", "dog 90%, is cat", "eel 50%, is dog"} <= set(captions)


def test_a_batch_is_on_one_scale() -> None:
    pixels = np.stack([np.full([2, 2, 1], -1.0), np.full([2, 2, 1], 3.0)])
    shown = np.asarray(findings.batch(pixels, ["cat", "dog"]))
    assert {0, 255} <= set(np.unique(shown))
    side = findings._SIDE
    assert (shown == 0).all(2).sum() >= side * side


def test_a_confusion_matrix_is_dark_where_many_are() -> None:
    image = findings.confusion(np.array([[9, 1, 0], [0, 0, 0], [0, 0, 5]]), NAMES)
    assert image is not None
    colours = np.asarray(image).reshape(-1, 3).tolist()
    assert colours.count([31, 119, 180]) >= findings._CELL[0] * findings._CELL[1]  # all of the eels, nobody else
    assert colours.count([31, 119, 180]) < 2 * findings._CELL[0] * findings._CELL[1]
    assert findings.confusion(np.eye(21, dtype=np.int64), [str(number) for number in range(21)]) is None
