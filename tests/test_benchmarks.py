"""The page of figures is made from the file of figures."""

import json

from benchmarks import compare


def test_the_page_shows_the_table_of_the_figures() -> None:
    report = json.loads(compare.FIGURES.read_text(encoding="utf-8"))
    assert set(report["rounds"][0]) == set(compare.CASES)
    page = compare.PAGE.read_text(encoding="utf-8")
    assert compare.BEGIN + compare.table(report) + compare.END in page


def test_every_side_of_every_case_has_its_rate() -> None:
    report = json.loads(compare.FIGURES.read_text(encoding="utf-8"))
    for figures in report["rounds"]:
        for case, sides in compare.CASES.items():
            assert all(figures[case][side]["steps_per_sec"] > 0 for side in sides)
