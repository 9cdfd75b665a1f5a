"""House rules that hold for every file, read from the text without importing anything."""

import ast
import pathlib
import re
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = sorted(ROOT.glob("tfcore/**/*.py"))
TESTS = sorted(ROOT.glob("tests/**/*.py"))
LONGEST = 300

# A letter in brackets keeps each pattern from finding itself here.
LOOSE_ENDS = re.compile(r"TO[D]O|FIXM[E]|xfai[l]|skipi[f]|importorski[p]|(pytest|mark|unittest|import)[. ]ski[p]")


def loose_ends(text: str) -> list[str]:
    """The lines that put something off: work for later, or a test that does not count."""
    return [line for line in text.splitlines() if LOOSE_ENDS.search(line)]


def undocumented(text: str) -> Iterator[str]:
    """The module, and its public classes and functions, where they have no docstring."""
    module = ast.parse(text)
    definitions = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    public = [node for node in module.body if isinstance(node, definitions) and not node.name.startswith("_")]
    if not ast.get_docstring(module):
        yield "the module"
    yield from (node.name for node in public if not ast.get_docstring(node))


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_is_documented_and_not_too_long(path: pathlib.Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert list(undocumented(text)) == []
    assert text.count("\n") <= LONGEST, "split it along its seams"


@pytest.mark.parametrize("path", [*PACKAGE, *TESTS], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_puts_nothing_off(path: pathlib.Path) -> None:
    assert loose_ends(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line", ["# TO" + "DO: later", "# FIX" + "ME", "@pytest.mark.xf" + "ail", "pytest.sk" + "ip('no')"]
)
def test_a_loose_end_is_found(line: str) -> None:
    assert loose_ends(f"x = 1\n{line}\n") == [line]


def test_a_residual_connection_is_no_loose_end() -> None:
    assert loose_ends("y = x + skip  # the skip connection\nbatches = batches.skip(3)\n") == []


def test_what_has_no_docstring_is_found() -> None:
    text = "class A: pass\ndef f(): pass\ndef _g(): pass\ndef h():\n    'Says what it does.'\n"
    assert list(undocumented(text)) == ["the module", "A", "f"]
