"""The facts of a run folder: read if present, empty if missing, refused in one line if damaged."""

import math
import os
import pathlib
from collections.abc import Callable
from typing import Any

import pytest
from support.reported import PNG, SCORES, write_run

from tfcore.errors import RunError
from tfcore.report import facts as report_facts


def test_all_of_it_is_read(tmp_path: pathlib.Path) -> None:
    facts = report_facts.read(write_run(tmp_path / "run", scores=SCORES, pictures=("filters.png",)))
    assert facts.name == "run"
    assert facts.config.model == "mlp"
    assert facts.architecture is not None
    assert facts.number("best.validation.accuracy") == 0.75
    assert facts.text("machine") == "2 × Abacus; TensorFlow 2.21.0"
    steps, values = facts.curve("train", "loss") or ([], [])
    assert (list(steps), list(values)) == ([100, 200], [2.0, 1.0])
    assert facts.scores is not None
    assert facts.scores.classes == (("cat", 5, 0.75, 0.6), ("dog", 3, 0.5, 0.6667))
    assert facts.scores.confusion.tolist() == [[3, 2], [1, 2]]
    assert facts.pictures == (("First-layer filters", PNG),)


def test_what_is_missing_is_left_out(tmp_path: pathlib.Path) -> None:
    (tmp_path / "config.flags").touch()
    facts = report_facts.read(tmp_path)
    assert (facts.architecture, facts.scores, facts.pictures) == (None, None, ())
    assert (facts.number("test.accuracy"), facts.text("machine"), facts.numbers("first_bad.examples")) == (None, "", [])
    assert facts.curve("train", "loss") is None


def test_what_looks_wrong_comes_first_and_strangers_last(tmp_path: pathlib.Path) -> None:
    names = ("zebra_stripes.png", "batch.png", "filters.png", "apples.png", "wrong_test.png", "notes.txt")
    titles = [picture.title for picture in report_facts.read(write_run(tmp_path / "run", pictures=names)).pictures]
    assert titles == [
        "Most confident wrong predictions on test pictures", "First-layer filters", "A batch as the model sees it",
        "Apples", "Zebra stripes",
    ]  # fmt: skip


def test_an_undefined_precision_is_a_score(tmp_path: pathlib.Path) -> None:
    scores = {**SCORES, "classes": {"cat": {"precision": math.nan, "recall": 0}, "dog": {"precision": 1, "recall": 1}}}
    found = report_facts.read(write_run(tmp_path / "run", scores=scores)).scores
    assert found is not None
    assert math.isnan(found.classes[0].precision)


def test_control_characters_are_shown_as_escapes(tmp_path: pathlib.Path) -> None:
    scores = {**SCORES, "classes": {"\ud800\x1b": {"precision": 0, "recall": 0}, "dog": {"precision": 1, "recall": 1}}}
    facts = report_facts.read(write_run(tmp_path / "run", scores=scores, result={"machine": "a\nb\udfff"}))
    assert facts.scores is not None
    assert facts.scores.classes[0].name == "\\ud800\\x1b"
    assert facts.text("machine") == "a\\nb\\udfff"


PRECISION = {"precision": 0.5, "recall": 0.5}
BAD_SCORES: dict[str, Any] = {
    "no classes": {**SCORES, "classes": {}, "confusion_matrix": []},
    "another size": {**SCORES, "confusion_matrix": [[1]]},
    "ragged": {**SCORES, "confusion_matrix": [[1, 2], [3]]},
    "negative": {**SCORES, "confusion_matrix": [[1, -2], [3, 4]]},
    "too large": {**SCORES, "confusion_matrix": [[1, 10**30], [3, 4]]},
    "text": {**SCORES, "confusion_matrix": "many"},
    "a share above 1": {**SCORES, "classes": {"cat": PRECISION, "dog": {"precision": 2, "recall": 0}}},
    "no share": {**SCORES, "classes": {"cat": PRECISION, "dog": {"precision": {}, "recall": 0}}},
    "no entry": {**SCORES, "classes": {"cat": PRECISION, "dog": 1}},
    "a list": [1, 2],
}


@pytest.mark.parametrize("name", BAD_SCORES)
def test_scores_of_another_kind_are_refused(tmp_path: pathlib.Path, name: str) -> None:
    assert_refused(write_run(tmp_path / "run", scores=BAD_SCORES[name]), "test.json is damaged")


def write(name: str, data: bytes) -> Callable[[pathlib.Path], None]:
    return lambda run: (run / name).write_bytes(data)


DAMAGE: dict[str, tuple[Callable[[pathlib.Path], Any], str]] = {
    "flags": (write("config.flags", b"--sed=1\n"), "config.flags cannot be used"),
    "result": (write("result.json", b"{"), "result.json cannot be read"),
    "curves": (write("metrics.jsonl", b"{}\n"), "Line 1 of"),
    "model": (write("architecture.json", b"{}"), "architecture.json is damaged"),
    "scores": (write("test.json", b"\xff"), "test.json is damaged"),
    "deep scores": (write("test.json", b"[" * 100_000), "test.json is damaged"),
    "scores in a pipe": (
        lambda run: os.mkfifo((run / "test.json").rename(run / "t").with_name("test.json")),
        "test.json cannot be read",
    ),
    "no PNG": (write("pictures/filters.png", b"<svg onload=alert(1)>"), "filters.png is not a PNG"),
    "a huge PNG": (
        lambda run: os.truncate(run / "pictures" / "filters.png", 1 << 33),
        "filters.png is not a PNG of at most",
    ),
    "a device": (lambda run: (run / "pictures" / "a.png").symlink_to("/dev/zero"), "a.png cannot be read"),
    "no folder": (
        lambda run: (run / "pictures").rename(run / "p") and (run / "pictures").touch(),
        "pictures cannot be",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_refused(tmp_path: pathlib.Path, name: str) -> None:
    run = write_run(tmp_path / "run", scores=SCORES, pictures=("filters.png",))
    damage, message = DAMAGE[name]
    damage(run)
    assert_refused(run, message)


def assert_refused(run: pathlib.Path, message: str) -> None:
    with pytest.raises(RunError) as caught:
        report_facts.read(run)
    assert message in str(caught.value)
    assert str(run) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("result", "read"),
    [
        ({"steps": "many\n"}, lambda facts: facts.number("steps")),
        ({"steps": True}, lambda facts: facts.number("steps")),
        ({"steps": 10**400}, lambda facts: facts.number("steps")),
        ({"machine": ["\n"]}, lambda facts: facts.text("machine")),
        ({"first_bad": {"examples": [1, "2\n"]}}, lambda facts: facts.numbers("first_bad.examples")),
    ],
)
def test_a_value_of_another_type_is_refused(
    tmp_path: pathlib.Path, result: dict[str, Any], read: Callable[[report_facts.Facts], Any]
) -> None:
    facts = report_facts.read(write_run(tmp_path / "run", result=result))
    with pytest.raises(
        RunError, match=r"result\.json cannot be used: `[a-z_.]+` must be .*\. Received .*\.$"
    ) as caught:
        read(facts)
    assert len(str(caught.value)) < 400
