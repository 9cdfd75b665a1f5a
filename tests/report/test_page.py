"""The report page: self-contained, equal to the run's files, and with all untrusted text escaped."""

import html.parser
import itertools
import pathlib
import re
from typing import Any

import pytest
from support.reported import ENTRIES, RESULT, SCORES, write_run

from tfcore.errors import RunError
from tfcore.report import facts as report_facts
from tfcore.report import page as report_page
from tfcore.terminal import confusion

VOID = ("meta", "img", "rect", "path", "use")


class Page(html.parser.HTMLParser):
    """Collects a page's elements and text; a closing tag without an opening one is an error."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[Any]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open += [] if tag in VOID else [tag]

    def handle_startendtag(self, tag: str, attrs: list[Any]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open and data.strip():
            self.words.append(data.strip())

    def of(self, *tags: str) -> list[dict[str, str]]:
        """Returns the attributes of each element with one of these tags."""
        return [attributes for tag, attributes in self.elements if tag in tags]


def page(*folders: pathlib.Path) -> tuple[str, Page]:
    source = report_page.page([report_facts.read(folder) for folder in folders])
    return source, Page(source)


def assert_complete_in_itself(source: str, parsed: Page) -> None:
    assert "://" not in source
    assert "@import" not in source
    assert parsed.of("script", "link", "iframe", "object", "embed", "base", "form") == []
    values = [(name, value) for _, attributes in parsed.elements for name, value in attributes.items()]
    assert [name for name, _ in values if name.startswith("on")] == []
    assert all(value.startswith("data:image/png;base64,") for name, value in values if name == "src")
    assert all(value.startswith("#") for name, value in values if name.endswith("href"))
    assert set(re.findall(r"url\((.)", source)) <= {"#"}
    policies = [item["content"] for item in parsed.of("meta") if "http-equiv" in item]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def assert_readable_by_all(parsed: Page) -> None:
    assert parsed.of("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in parsed.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(item["alt"] for item in parsed.of("img"))
    assert all(item["aria-label"] for item in parsed.of("svg"))
    assert all("scope" in item for item in parsed.of("th"))
    names = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(set(names)) == len(names)


@pytest.fixture
def full(tmp_path: pathlib.Path) -> pathlib.Path:
    """A run with everything that a report can show."""
    return write_run(tmp_path / "full", scores=SCORES, pictures=("filters.png", "wrong_test.png"))


def test_a_page_has_everything_and_needs_nothing(full: pathlib.Path) -> None:
    source, parsed = page(full)
    assert_complete_in_itself(source, parsed)
    assert_readable_by_all(parsed)
    assert len(parsed.of("svg")) == 5
    assert len(parsed.of("img")) == 2
    for words in (
        "full", "finished", "0.6250", "0.7500", "300", "1 min 15 s", "12,346", "Loss", "Accuracy", "Learning rate",
        "Gradient norm", "Gradient norm of each layer", confusion.TITLE, "Precision and recall", "cat",
        "0.6667", "First-layer filters", "--learning_rate", "2 × Abacus; TensorFlow 2.21.0",
        "tfcore train --model=mlp --dataset=mnist --learning_rate=0.01 --steps=300",
    ):  # fmt: skip
        assert words in parsed.words, words
    assert "--seed=0\n" in source  # among all flags


def test_the_same_files_give_the_same_bytes(full: pathlib.Path, tmp_path: pathlib.Path) -> None:
    again = write_run(tmp_path / "other" / "full", scores=SCORES, pictures=("wrong_test.png", "filters.png"))
    assert page(full)[0] == page(again)[0]


def test_a_run_that_has_only_begun_has_a_page(tmp_path: pathlib.Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.flags").touch()
    source, parsed = page(tmp_path / "run")
    assert_complete_in_itself(source, parsed)
    assert_readable_by_all(parsed)
    assert "not ended" in parsed.words
    assert parsed.of("svg", "img") == []
    assert {"Curves", "Classes", "Pictures", "Machine"}.isdisjoint(parsed.words)


def test_numbers_gone_bad_are_told(tmp_path: pathlib.Path) -> None:
    found = {"step": 1234, "where": "in the gradient of <b>", "examples": list(range(25)), "checkpoint": 5}
    _, parsed = page(write_run(tmp_path / "run", result={"status": "failed", "steps": 1300, "first_bad": found}))
    assert "failed" in parsed.words
    (told,) = [words for words in parsed.words if "not finite" in words]
    assert "step 1,234, in the gradient of <b>, on the training examples 0, 1, 2" in told
    assert told.endswith("18, 19 and 5 more.")
    assert parsed.of("b") == []


@pytest.mark.parametrize(("classes", "matrices"), [(20, 1), (21, 0), (1003, 0)])
def test_many_classes_have_the_table_alone(tmp_path: pathlib.Path, classes: int, matrices: int) -> None:
    share = {"precision": 0.5, "recall": float("nan")}
    matrix = [[int(row == column) for column in range(classes)] for row in range(classes)]
    scores = {"classes": {f"class {number}": share for number in range(classes)}, "confusion_matrix": matrix}
    _, parsed = page(write_run(tmp_path / "run", entries=[], scores=scores))
    assert parsed.words.count(confusion.TITLE) == matrices
    assert parsed.words.count("–") >= min(classes, 1000)
    assert ("3 more classes are in the run's test.json." in parsed.words) == (classes > 1000)


def test_the_confusion_matrix_has_every_count_and_the_classes_on_both_sides(tmp_path: pathlib.Path) -> None:
    share = {"precision": 0.5, "recall": 0.5}
    counts = [[30, 2, 0], [1, 25, 4], [0, 0, 0]]
    scores = {"classes": dict.fromkeys(["cat", "dog", "a & b"], share), "confusion_matrix": counts}
    source, parsed = page(write_run(tmp_path / "run", entries=[], scores=scores))
    matrix = source[source.index('<figure class="matrix">') : source.index("</figure>")]
    assert re.findall(r'<th scope="(\w+)"><span>([^<]*)</span>', matrix) == [
        (scope, name) for scope in ("col", "row") for name in ("cat", "dog", "a &amp; b")
    ]
    cells = re.findall(r'<td( class="right")? style="--share: ([\d.]+)">(\d+)</td>', matrix)
    assert [int(count) for _, _, count in cells] == [count for row in counts for count in row]
    assert [bool(right) for right, _, _ in cells] == [row == column for row in range(3) for column in range(3)]
    assert [float(number) for _, number, _ in cells] == [0.9375, 0.0625, 0, 0.0333, 0.8333, 0.1333, 0, 0, 0]
    assert_complete_in_itself(source, parsed)
    assert_readable_by_all(parsed)


HOSTILE = "</style></svg><script>alert(1)</script><img src=x onerror=alert(1)>\"'&"


def test_a_strangers_text_is_text(tmp_path: pathlib.Path) -> None:
    entries = [{**ENTRIES[0], f"gradient_norm/{HOSTILE}": 1.0, "gradient_norm/other": 2.0}]
    share = {"precision": 0.5, "recall": 0.5}
    run = write_run(
        tmp_path / "<script>alert(1)", entries=entries, pictures=("<script>.png", '"onload=.png'),
        scores={"classes": {HOSTILE: share, "dog": share}, "confusion_matrix": [[1, 0], [0, 1]]},
        result={**RESULT, "status": HOSTILE, "machine": HOSTILE, "first_bad": {"step": 1, "where": HOSTILE}},
        dataset=HOSTILE, data_dir=HOSTILE, penalty_variables="$(reboot)'",
    )  # fmt: skip
    source, parsed = page(run)
    assert_complete_in_itself(source, parsed)
    assert_readable_by_all(parsed)
    assert len(parsed.of("svg")) == 5
    assert len(parsed.of("img")) == 2
    assert HOSTILE in parsed.words
    (command,) = [words for words in parsed.words if words.startswith("tfcore train")]
    assert "'--penalty_variables=$(reboot)'\"'\"''" in command  # quoted as one word for a shell
    source, parsed = page(run, write_run(tmp_path / "two"))
    assert_complete_in_itself(source, parsed)


def test_a_result_of_another_type_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(RunError, match=r"result\.json cannot be used: `test\.accuracy` must be a number"):
        page(write_run(tmp_path / "run", result={"test": {"accuracy": "best"}}))


def cells(source: str) -> list[list[str]]:
    """Returns the rows of the first table."""
    table = source[source.index("<table>") : source.index("</table>")]
    return [re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", row) for row in table.split("<tr>")[1:]]


def test_runs_are_compared_by_what_they_differ_in(full: pathlib.Path, tmp_path: pathlib.Path) -> None:
    other = write_run(tmp_path / "other", model="softmax", seed=7, result={"status": "failed", "steps": 90})
    source, parsed = page(full, other)
    assert_complete_in_itself(source, parsed)
    assert_readable_by_all(parsed)
    assert cells(source) == [
        ["Run", "Model", "Status", "Test accuracy", "Best validation accuracy", "Steps", "Training time", "--seed"],
        ["full", "mlp", "finished", "0.6250", "0.7500", "300", "1 min 15 s", "0"],
        ["other", "softmax", "failed", "", "", "90", "", "7"],
    ]
    assert [item["aria-label"] for item in parsed.of("svg")] == [
        f"{title} over the steps: full, other"
        for title in ("Validation loss", "Validation accuracy", "Learning rate", "Gradient norm")
    ]
    assert parsed.words.count("To repeat it") == 2


def test_runs_of_one_name_are_told_apart(full: pathlib.Path, tmp_path: pathlib.Path) -> None:
    other = write_run(tmp_path / "b" / "full")
    assert [row[0] for row in cells(page(full, other)[0])[1:]] == [str(full), str(other)]


@pytest.mark.parametrize(
    ("secs", "shown"), [(0.55, "0.6 s"), (59.4, "59.4 s"), (61, "1 min 01 s"), (7260, "2 h 01 min"), (1e12, "")]
)
def test_durations_in_words(tmp_path: pathlib.Path, secs: float, shown: str) -> None:
    _, parsed = page(write_run(tmp_path / "run", entries=[], result={"train_secs": secs}))
    assert ("Training time" in parsed.words) == bool(shown)
    assert not shown or shown in parsed.words
