"""Tables of names: what a rule does to names and axes, and which lines and tables are refused."""

import pathlib
import re
from typing import Any

import numpy as np
import pytest

from tfcore.errors import ConfigError
from tfcore.use import renaming

TABLE = r"""
# first match counts
skipped\..+ ->
odd\.weight -> even.weights  # a comment
layer(\d+)\.(\d+)\.(\w+) -> block_{1}_{2+1}.{3}.weights axes 2,3,1,0
(a|(b))(c)? -> {0}.{2}{3}
fc -> logits.weights axes 1,0
-> pixels\..+
-> other
"""


@pytest.fixture
def read(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Provides `read(text)`, which reads a table of that text."""
    monkeypatch.chdir(tmp_path)

    def run(text: str, names: str = "own.txt") -> renaming.Table:
        pathlib.Path("own.txt").write_text(text, encoding="utf-8")
        return renaming.read(names)

    return run


def test_names_follow_the_first_rule_that_matches_all_of_them(read: Any) -> None:
    names = ("skipped.a", "skipped", "odd.weight", "an.odd.weight", "layer1.9.conv", "bc", "a")
    arrays = {name: np.zeros([1] * 4 if name.startswith("layer") else [1]) for name in names}
    assert renaming.renamed(arrays, read(TABLE)).names == {
        "skipped": "skipped",
        "even.weights": "odd.weight",
        "an.odd.weight": "an.odd.weight",
        "block_1_10.conv.weights": "layer1.9.conv",
        "bc.bc": "bc",
        "a.": "a",
    }


def test_axes_are_put_in_order() -> None:
    table = renaming.read("pytorch_resnet")
    conv, fc = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5), np.arange(6).reshape(2, 3)
    found = renaming.renamed({"conv1.weight": conv, "fc.weight": fc}, table).arrays
    assert found["conv.weights"].shape == (4, 5, 3, 2)
    assert found["conv.weights"][1, 2, 0, 1] == conv[1, 0, 1, 2]
    np.testing.assert_array_equal(found["logits.weights"], fc.T)


def test_what_a_rule_does_not_fit_is_a_problem(read: Any) -> None:
    table = read("a\\.(.*) -> b_{1+1}\nc|d -> e\nf -> g axes 1,0\n")
    arrays = {name: np.zeros(2) for name in ("a.x", "a.1", "c", "d", "f")}
    found = renaming.renamed(arrays, table)
    assert found.arrays.keys() == {"b_2", "e"}
    assert found.problems == [
        "a.x: the table adds to a part of it that is no number",
        "d: becomes e, as c does",
        "f: [2] there, 2 axes in the table",
    ]


def test_variables_that_a_file_may_lack(read: Any) -> None:
    table = read(TABLE)
    assert [table.may_lack(path) for path in ("pixels.mean", "other", "another", "logits.weights")] == [
        True, True, False, False,
    ]  # fmt: skip


def test_tables_are_read_in_their_order(read: Any) -> None:
    table = read("fc\\.bias -> elsewhere\n", "own.txt,pytorch_resnet")
    found = renaming.renamed({"fc.bias": np.zeros(1), "bn1.bias": np.zeros(1)}, table)
    assert found.arrays.keys() == {"elsewhere", "norm.offset"}
    assert renaming.read("") == renaming.Table()


@pytest.mark.parametrize("name", renaming.SHIPPED)
def test_a_shipped_table_holds_rules(name: str) -> None:
    table = renaming.read(name)
    assert table.rules
    assert table.kept


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("conv1.weight conv.weights", "a rule is PATTERN -> PATH, PATTERN -> PATH axes 2,3,1,0, PATTERN -> or"),
        ("->", "a rule is PATTERN"),
        ("a -> b c", "a rule is PATTERN"),
        ("a -> b axes", "a rule is PATTERN"),
        ("a -> axes 1,0", "a rule is PATTERN"),
        ("-> b axes 1,0", "a rule is PATTERN"),
        ("a( -> b", "must be a regular expression. Received 'a('"),
        ("-> *", "must be a regular expression. Received '*'"),
        ("a -> b axes 1,2", "axes must be 0 to 1 in some order. Received 1,2."),
        ("a -> b axes 0,0", "axes must be 0 to 1 in some order. Received 0,0."),
        ("(a) -> b{2}", "1 groups in the pattern. Received {2} in '(a) -> b{2}'."),
    ],
)
def test_a_line_that_is_no_rule_is_named(read: Any, line: str, message: str) -> None:
    with pytest.raises(ConfigError, match=r"own\.txt, line 2.*" + re.escape(message)) as caught:
        read(f"# comment\n{line}\n")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["none.txt", "keras_", "."])
def test_a_table_that_cannot_be_read_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"no readable file {re.escape(name)}\."):
        renaming.read(name)
