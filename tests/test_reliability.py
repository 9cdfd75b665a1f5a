"""docs/reliability.md shows what the campaigns found, and names tests that exist."""

import pathlib
import re

from benchmarks import reliability

ROOT = pathlib.Path(__file__).parents[1]


def test_the_page_shows_the_campaigns() -> None:
    page = reliability.PAGE.read_text(encoding="utf-8")
    assert reliability.BEGIN + reliability.table() + reliability.END in page


def test_nothing_was_lost_in_any_campaign() -> None:
    rows = [row.split(" | ") for row in reliability.table().splitlines()[2:]]
    assert len(rows) > len(reliability.CAMPAIGNS)
    assert all(lost == "0" for *_, lost, _, _ in rows)


def test_what_the_page_names_is_there() -> None:
    named = re.findall(r"(?:tests|benchmarks)/[\w/]+\.py", reliability.PAGE.read_text(encoding="utf-8"))
    assert len(named) > 10
    assert [path for path in named if not (ROOT / path).is_file()] == []
