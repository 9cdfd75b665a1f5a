"""The progress bar: steps, loss, accuracy and time left on a terminal, nothing elsewhere."""

import io
import re

import numpy as np
import pytest
from rich.console import Console

from tfcore.commands import display
from tfcore.metrics import Scores

MEANS = {"loss": 0.5, "total_loss": 0.75, "accuracy": 0.25}


def drawn(*, terminal: bool) -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=120, legacy_windows=False)
    with display.progress(console, 40, 200, lambda: MEANS) as show:
        show(50)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())


def test_on_a_terminal_it_shows_steps_scores_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")  # on a dumb one, where lines cannot be drawn over, there is no bar
    text = drawn(terminal=True)
    assert "50/200 steps" in text
    assert "25%" in text
    assert "loss 0.5000 accuracy 0.2500" in text
    assert re.search(r"\d+:\d\d:\d\d|-:--:--", text)


def test_names_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    console = display.console(to_stderr=False)
    names = ("[/red]", ":cat:", "[b]")
    console.print(f"runs/{names[0]}")
    scores = Scores(loss=0.0, accuracy=1.0, top_k=1.0, k=2, examples=3, confusion=np.eye(3, dtype=np.int64))
    console.print(display.class_table(names, scores))
    printed = capsys.readouterr().out
    assert all(printed.count(name) == count for name, count in zip(names, (2, 1, 1), strict=True))


def test_elsewhere_it_draws_nothing_and_asks_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MEANS, "loss", "never formatted")
    assert drawn(terminal=False) == ""
