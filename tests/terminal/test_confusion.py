"""The same confusion matrices are displayed on the terminal, in pictures and in reports."""

import numpy as np
import pytest

from tfcore.look import prediction_sheets
from tfcore.metrics import Scores
from tfcore.report import page
from tfcore.report.facts import ClassScores, TestScores
from tfcore.terminal import confusion, tables


def scores(classes: int) -> Scores:
    matrix = np.eye(classes, dtype=np.int64)
    return Scores(loss=0.0, accuracy=1.0, top_k=1.0, k=2, examples=classes, confusion=matrix)


@pytest.mark.parametrize(("classes", "is_shown"), [(2, True), (20, True), (21, False)])
def test_all_of_them_show_as_many_classes(classes: int, is_shown: bool) -> None:
    names, found = [str(number) for number in range(classes)], scores(classes)
    assert confusion.is_shown(classes) is is_shown
    assert (prediction_sheets.confusion(found.confusion, names) is not None) is is_shown
    assert isinstance(tables.confusion_table(names, found), str) is not is_shown


def test_shares_are_those_of_a_row() -> None:
    shares = confusion.row_shares(np.array([[3, 1], [0, 0]]))
    np.testing.assert_array_equal(shares, [[0.75, 0.25], [0, 0]])
    classes = tuple(ClassScores(name, 4, 1.0, 1.0) for name in ("cat", "dog"))
    rows = page._confusion(TestScores(classes, np.array([[3, 1], [0, 0]])))
    assert rows == [("cat", [3, 1], [0.75, 0.25]), ("dog", [0, 0], [0, 0])]
