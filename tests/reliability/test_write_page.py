"""docs/reliability.md shows the records of the campaigns, and names tests that exist."""

import pathlib
import re

from tools.reliability import write_page

ROOT = pathlib.Path(__file__).parents[2]


def test_the_page_shows_the_campaigns() -> None:
    page = write_page.PAGE.read_text(encoding="utf-8")
    assert write_page.BEGIN + write_page.table() + write_page.END in page


def test_nothing_was_lost_in_any_campaign() -> None:
    rows = [row.split(" | ") for row in write_page.table().splitlines()[2:]]
    assert len(rows) > len(write_page.CAMPAIGNS)
    assert all(lost == "0" for *_, lost, _, _ in rows)


def test_the_files_that_the_page_names_exist() -> None:
    named = re.findall(r"(?:tests|tools)/[\w/]+\.py", write_page.PAGE.read_text(encoding="utf-8"))
    assert len(named) > 10
    assert [path for path in named if not (ROOT / path).is_file()] == []
