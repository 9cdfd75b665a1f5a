"""Executes the pages in docs/ and checks their names: see `support.pages`.

`TFCORE_DOCS_WORD_FOR_WORD=1` runs the commands without the flags that shorten them here.
"""

import ast
import contextlib
import os
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from support import pages

from tfcore.build import registry
from tfcore.build.tables import OPTIMIZERS
from tfcore.cli import flags

DOCS = pages.ROOT / "docs"
PAGES = sorted(page.stem for page in DOCS.glob("*.md"))
USED = ("recipes", "examples")  # folders of the project that the pages' commands name
WORD_FOR_WORD = bool(os.environ.get("TFCORE_DOCS_WORD_FOR_WORD"))


def marked(name: str) -> Any:
    """Returns the page's name as a parameter, marked if it needs real data."""
    text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    return pytest.param(name, marks=[pytest.mark.real_data] if pages.needs_real_data(text) else [])


@pytest.mark.thorough
@pytest.mark.parametrize("name", [marked(name) for name in PAGES])
def test_a_page_does_what_it_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if request.node.get_closest_marker("real_data"):
        request.getfixturevalue("real_data")
    for folder in USED:
        (tmp_path / folder).symlink_to(pages.ROOT / folder)
    monkeypatch.chdir(tmp_path)
    pages.Reader(DOCS / f"{name}.md", word_for_word=WORD_FOR_WORD).read()


def test_the_page_of_all_flags_is_what_the_code_says() -> None:
    made = runpy.run_path(str(DOCS / "make_flags.py"))["page"]()
    assert (DOCS / "flags.md").read_text(encoding="utf-8") == made, "renew it: python docs/make_flags.py"


def test_the_table_of_optimizers_is_what_the_code_says() -> None:
    rows = re.findall(r"^\| (`.*`) \| (\S+) \|(.*)\|$", (DOCS / "optimizers.md").read_text("utf-8"), re.MULTILINE)
    found = {
        name: (float(rate), set(re.findall(r"`(\w+)`", settings)))
        for names, rate, settings in rows
        for name in re.findall(r"`(\w+)`", names)
    }
    taken = registry.settings(OPTIMIZERS)
    assert found == {
        name: (
            registry.learning_rate(name, OPTIMIZERS),
            {setting for setting, users in taken.items() if name in users} - {"learning_rate"},
        )
        for name in OPTIMIZERS
    }


@pytest.mark.parametrize(
    "page",
    [
        "```python\nx = 1\n```\n\nThen:\n\n```python\nassert x == 1\n```\n",
        "```python\n# own.py\nimport sys\nprint(sys.argv[1:])\n```\n\n    $ python own.py 3  # no more\n    ['3']\n",
        "    $ tfcore train --stesp=3\n    error: Unknown flag --stesp. Did …?\n",
        "    tfcore --version\n\n    tfcore --help\n",
        "<!-- not run: takes all night -->\n    make everything\n",
        "```text\nnothing to run\n```\n",
        "```console\n$ tfcore --help\nUsage:\n…\n`tfcore COMMAND --help` shows its flags.\n```\n",
    ],
)
def test_a_page_that_is_right(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.md").write_text(page, encoding="utf-8")
    pages.Reader(tmp_path / "page.md").read()


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        ("```python\nassert 1 == 2, 'so it is not'\n```\n", "so it is not"),
        ("Text\n\n    $ tfcore --version\n    tfcore 99\n", r"page\.md:3: tfcore --version\nanswers:\ntfcore \d"),
        ("    tfcore train --stesp=3\n", "ends with status 2:\nerror: Unknown flag"),
        ("    $ tfcore --version\n    error: …\n", "ends with status 0"),
        ("    $ tfcore train --stesp=3\n", "ends with status 2"),
        ("    make everything\n", "is no command that is run here"),
        ("```rust\nx\n```\n", "what is to be done with this block"),
    ],
)
def test_a_page_that_is_wrong(page: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.md").write_text(page, encoding="utf-8")
    with pytest.raises(AssertionError, match=complaint):
        pages.Reader(tmp_path / "page.md").read()


SCORED = "```python\n# own.py\nprint('{}')\n```\n\n    python own.py\n\n```text\n{}\n```\n"


@pytest.mark.parametrize(
    ("printed", "shown", "is_right"),
    [
        ("test loss 1.7000, test accuracy 0.4000", "test loss 1.7200, test accuracy 0.4010", True),
        ("test loss 1.7000, test accuracy 0.4000", "test loss 1.7000, test accuracy 0.4500", False),
        ("epoch 3:  train loss 1.0  13.5 s", "epoch 3:  train loss 1.0  9.1 s", True),
        ("epoch 3:  train loss 1.0  13.5 s", "epoch 5:  train loss 1.0  13.5 s", False),
        ("nothing", "as others say it", True),
    ],
)
def test_word_for_word_the_scores_of_a_page_are_those_of_its_commands(
    printed: str, shown: str, is_right: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.md").write_text(SCORED.format(printed, shown), encoding="utf-8")
    with contextlib.nullcontext() if is_right else pytest.raises(AssertionError, match=f"'{shown}' is not in\n"):
        pages.Reader(tmp_path / "page.md", word_for_word=True).read()


def test_marks_are_read_off_the_comment_above_a_block() -> None:
    page = "<!-- real data; in tests: --steps=3 -->\n    a\n\n<!-- a remark: this -->\n\n    b\n\n- no\n    block\n"
    first, second = pages.blocks(page)
    assert (first.text, first.marks) == ("a\n", {"real data": "", "in tests": "--steps=3"})
    assert (second.line, second.text, second.marks) == (6, "b\n", {})
    assert pages.needs_real_data(page)
    assert not pages.needs_real_data("<!-- in tests: --steps=3 -->\n    a\n")
    with pytest.raises(AssertionError, match="it takes hours"):
        pages.blocks("<!-- not run: wait; it takes hours -->\n    a\n")


NAMED = re.compile(r"`((?:tfcore|tests|benchmarks|tools|docs|examples|recipes|requirements|\.ci)/[\w./-]*)(?::(\w+))?`")


@pytest.mark.parametrize("page", sorted([*DOCS.glob("*.md"), pages.ROOT / "BUILD.md"]), ids=lambda page: page.name)
def test_what_a_page_names_is_there(page: Path) -> None:
    named = NAMED.findall(page.read_text(encoding="utf-8"))
    assert [path for path, _ in named if not (pages.ROOT / path).exists()] == []
    assert [(path, name) for path, name in named if name and not defines(pages.ROOT / path, name)] == []
    assert len([name for _, name in named if name]) > 50 or page.stem != "where"


NOT_OF_A_RUN = {"help", "logdir", "learning_rte"}  # of every command; of TensorBoard; mistyped on purpose


@pytest.mark.parametrize(
    "name", sorted({*PAGES} - {"flags", "benchmarks", "reliability"})
)  # the last two name flags of scripts
def test_the_flags_that_a_page_names_are_some(name: str) -> None:
    named = set(re.findall(r"(?<![\w-])--([a-z]\w+)", (DOCS / f"{name}.md").read_text(encoding="utf-8")))
    known = {flag for command in flags.OPTIONS for flag, _, _ in flags.rows(command)}
    assert named - known - {f"no{flag}" for flag in known} <= NOT_OF_A_RUN


def test_messages_that_a_page_cannot_provoke_are_still_in_the_source() -> None:
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    shown = "".join(pages.unbroken(block.text) for block in pages.blocks(page) if block.language == "text")
    makefile = (pages.ROOT / "Makefile").read_text(encoding="utf-8")
    source = [makefile, *(text for path in pages.ROOT.glob("tfcore/**/*.py") for text in literals(path))]
    assert [part for part in fixed_parts(shown) if not any(part in text for text in source)] == []
    assert len(fixed_parts(shown)) > 20
    assert fixed_parts("error: Cannot …: no net (…). Go.\n") == ["Cannot", "no net", "Go"]


def fixed_parts(messages: str) -> list[str]:
    """Returns the fixed parts of messages, one per line: the sentences between their `…`."""
    parts = (part.strip(" .:;()") for part in re.split(r"…|\. |^error: |^warning: |\n", messages, flags=re.MULTILINE))
    return [part for part in parts if part]


def literals(path: Path) -> list[str]:
    """Returns the string literals of a Python file, including the fixed parts of f-strings."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def defines(path: Path, name: str) -> bool:
    """Tells whether a Python file defines a function, class, method or variable of that name."""
    text = path.read_text(encoding="utf-8")
    return bool(re.search(rf"^ *(?:def|class) {name}\b|^{name}\b.*=", text, re.MULTILINE))
