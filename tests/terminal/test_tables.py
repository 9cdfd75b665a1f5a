"""Terminal tables: names unchanged, and no colour with NO_COLOR."""

import io
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from tfcore.metrics import Scores
from tfcore.terminal import tables


def test_names_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    console = tables.console(to_stderr=False)
    names = ("[/red]", ":cat:", "[b]")
    console.print(f"runs/{names[0]}")
    scores = Scores(loss=0.0, accuracy=1.0, top_k=1.0, k=2, examples=3, confusion=np.eye(3, dtype=np.int64))
    console.print(tables.class_table(names, scores))
    printed = capsys.readouterr().out
    assert all(printed.count(name) == count for name, count in zip(names, (2, 1, 1), strict=True))


def test_a_command_can_be_typed_as_it_is_printed() -> None:
    assert shlex.split(tables.tensorboard_command(Path("my runs/<a> & b")))[1:] == ["--logdir", "my runs/<a> & b"]


@pytest.mark.parametrize(("no_color", "colours"), [("", True), ("1", False)])
def test_no_color_is_respected(no_color: str, colours: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bold and similar styles may remain: https://no-color.org concerns colour only."""
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr("sys.stdout", terminal := Terminal())
    console = tables.console(to_stderr=False)
    console.print("red", style="red on blue")
    console.print(tables.ranking_table(["rank", "status"], [["1", "finished"]]))
    codes = {code for found in re.findall(r"\x1b\[([0-9;]*)m", terminal.getvalue()) for code in found.split(";")}
    assert bool(codes - {"", "0", "1", "2", "3"}) is colours


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True
