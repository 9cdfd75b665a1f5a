"""`make test` and `make test-rest` divide the tests between them: none is in both, and none in neither."""

import pathlib
import re
import subprocess
from types import SimpleNamespace
from typing import Any

import pytest
from support import marks

ROOT = pathlib.Path(__file__).parents[1]


def item(nodeid: str, *own_marks: pytest.MarkDecorator, fixturenames: tuple[str, ...] = ()) -> Any:
    """What marks.py needs of a collected test."""
    found = {decorator.name: decorator.mark for decorator in own_marks}
    return SimpleNamespace(
        nodeid=nodeid,
        fixturenames=fixturenames,
        get_closest_marker=found.get,
        add_marker=lambda decorator: found.update({decorator.name: decorator.mark}),
    )


def thorough(items: list[Any]) -> list[bool]:
    marks.mark_thorough(items)
    return [item.get_closest_marker("thorough") is not None for item in items]


def test_one_case_in_so_many_is_kept_of_each_sampled_test() -> None:
    sampled = pytest.mark.sampled(3)
    one = [item(f"a.py::one[{number}]", sampled) for number in range(7)]
    other = [item(f"a.py::other[{number}]", sampled) for number in range(2)]
    assert thorough([*one, *other]) == [False, True, True, False, True, True, False, False, True]
    assert thorough([item("a.py::plain[1]"), item("a.py::plain[2]")]) == [False, False]


def test_what_uses_the_real_data_is_marked() -> None:
    items = [item("a.py::one", fixturenames=("real_data",)), item("a.py::other")]
    marks.mark_real_data(items)
    assert [item.get_closest_marker("real_data") is not None for item in items] == [True, False]


def selections(*settings: str) -> dict[str, list[str]]:
    """The expressions that each target gives to pytest's -m."""
    found = {}
    for target in ("test", "test-rest", "test-all"):
        command = ["make", "--dry-run", target, *settings]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
        found[target] = re.findall(r"-m pytest .*-m \"(.*)\"", done.stdout)
    return found


@pytest.mark.parametrize(("data", "suffix"), [("folder", ""), ("", " and not real_data")])
def test_the_two_commands_are_complements_and_a_third_runs_both(data: str, suffix: str) -> None:
    found = selections(f"TFCORE_DATA_DIR={data}", "BROWSER=yes")
    assert found["test"] == [f"not thorough{suffix}"]
    assert found["test-rest"] == [f"thorough{suffix}"]
    assert found["test-all"] == found["test"] + found["test-rest"]


def test_without_a_browser_both_leave_its_tests_out() -> None:
    found = selections("TFCORE_DATA_DIR=folder", "BROWSER=")
    assert found["test-all"] == ["not thorough and not browser", "thorough and not browser"]
