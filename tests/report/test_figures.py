"""Figures: valid inline SVG for all numbers and names."""

import re
import xml.etree.ElementTree
from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcore.history import Curve
from tfcore.report import figures as report_figures
from tfcore.report.figures import COLOURS, Line


def line(values: list[float], label: str = "train", number: int = 0, steps: list[int] | None = None) -> Line:
    return Line(label, Curve(np.array(steps or range(1, len(values) + 1)), np.array(values, float)), number)


def parsed(svg: str) -> xml.etree.ElementTree.Element:
    """Parses the figure as XML; asserts that every reference points into the figure."""
    root = xml.etree.ElementTree.fromstring(svg)
    names = [item.get("id") for item in root.iter() if item.get("id")]
    assert len(set(names)) == len(names)
    used = re.findall(r'(?:href="|url\()#(\w+)', svg)
    assert set(used) <= set(names)
    assert "://" not in svg
    return root


def texts(svg: str) -> list[str]:
    return [item.text or "" for item in parsed(svg).iter() if item.tag == "text"]


def strokes(svg: str) -> Iterator[str]:
    """Returns the coordinates of each curve."""
    yield from re.findall(r'<path d="([^"]*)" clip-path="[^"]*" style="fill: none; stroke[^"]*var\(--series', svg)


def test_curves_have_names_steps_and_the_colours_of_the_page() -> None:
    svg = report_figures.curves("Loss", [line([2, 1]), line([3, 2], "validation", 1)])
    root = parsed(svg)
    assert root.get("role") == "img"
    assert root.get("aria-label") == "Loss over the steps: train, validation"
    assert {"train", "validation", "step"} < set(texts(svg))
    assert set(re.findall(r"var\(--([\w-]+)\)", svg)) == {"ink", "faint", "series-1", "series-2"}
    assert len(list(strokes(svg))) == 2
    assert not re.search(r"#[0-9a-f]{6}\b", svg.replace('href="#', ""))


def test_the_same_numbers_give_the_same_bytes_and_leave_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    first = report_figures.curves("Loss", [line([2, 1])])
    monkeypatch.setitem(mpl.rcParams, "xtick.major.size", 30)
    before = dict(mpl.rcParams)
    assert report_figures.curves("Loss", [line([2, 1])]) == first
    assert dict(mpl.rcParams) == before


def test_figures_of_one_page_share_no_names() -> None:
    one, other = (report_figures.curves(title, [line([2, 1])]) for title in ("Loss", "Accuracy"))
    assert set(re.findall(r'id="(\w+)"', one)).isdisjoint(re.findall(r'id="(\w+)"', other))


def test_what_is_not_finite_is_a_gap() -> None:
    whole, broken = (report_figures.curves("Loss", [line([1, 2, middle, 2, 1])]) for middle in (3, np.nan))
    assert [next(strokes(svg)).count("M") for svg in (whole, broken)] == [1, 2]


def test_an_explosion_is_drawn_by_powers_of_ten() -> None:
    assert "1e+08" in texts(report_figures.curves("Loss", [line([1, 1, 1, 1, 1e9])]))
    fading = texts(report_figures.curves("Learning rate", [line([1, 1, 1, 1, 1e-9])]))
    assert "0.0" in fading


def test_a_hundred_thousand_points_stay_a_small_picture() -> None:
    noise = np.random.default_rng(0).normal(size=100_000).tolist()
    assert len(report_figures.curves("Loss", [line(noise)])) < 400_000


def test_more_runs_than_colours_differ_by_their_dashes() -> None:
    svg = report_figures.curves("Loss", [line([1, 2], str(number), number) for number in (0, COLOURS)])
    assert svg.count("stroke-dasharray") >= 1
    assert "series-2" not in svg


NAMES = ["<b>&", "$x_$", "_hidden", "猫", "</svg><script>", "#000001", "a" * 500]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_text_whatever_it_says(name: str) -> None:
    svg = report_figures.curves("Loss", [line([1, 2], name), line([1, 2], "other", 1)])
    assert parsed(svg).get("aria-label") == f"Loss over the steps: {name}, other"
    assert "<script" not in svg
    assert "other" in texts(svg)
    assert {"script", "b"}.isdisjoint(item.tag for item in parsed(svg).iter())


NUMBERS = st.floats(width=64) | st.sampled_from([0.0, 1e-300, 1e30, -1e30, 1e308])


@pytest.mark.thorough
@settings(max_examples=25)
@given(
    values=st.lists(NUMBERS, min_size=1, max_size=5),
    start=st.sampled_from([-(2**63), -5, 0, 1, 2**62]),
)
def test_any_numbers_are_drawn(values: list[float], start: int) -> None:
    parsed(report_figures.curves("Loss", [line(values, steps=[start + place for place in range(len(values))])]))
