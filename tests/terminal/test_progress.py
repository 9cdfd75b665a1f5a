"""The progress line: redrawn on a terminal, printed at intervals elsewhere, absent on a quiet console."""

import fcntl
import io
import os
import re
import struct
import subprocess
import sys
import termios
from fractions import Fraction
from typing import Any

import pytest
from rich.console import Console

from tfcore.terminal.progress import ProgressLine, following

MEANS = {"loss": 0.5, "total_loss": 0.75, "accuracy": 0.25}
BEST = {"loss": 1.0, "accuracy": 0.75}


class Clock:
    """A clock whose time the test sets."""

    secs = 100.0

    def __call__(self) -> float:
        return self.secs


@pytest.fixture
def clock() -> Clock:
    return Clock()


def line(clock: Clock, **changes: Any) -> ProgressLine:
    settings = {
        "first_step": 40, "total_steps": 2000, "batch_size": 50, "per_epoch": Fraction(225, 2), "best": lambda: BEST,
    }  # fmt: skip
    return ProgressLine(**{**settings, **changes}, means=lambda: MEANS, clock=clock)


def test_it_says_how_far_it_is_how_good_and_how_fast(clock: Clock) -> None:
    found = line(clock)
    clock.secs += 4
    found.see(240)
    assert str(found) == (
        "step 240/2,000 (12%, 0:00:35 left)  epoch 2.13  loss 0.5000 accuracy 0.2500  best validation 0.7500  "
        "2,500 examples/s"
    )
    assert "validation" not in str(line(clock, best=lambda: None))


def test_the_speed_is_that_of_the_last_seconds(clock: Clock) -> None:
    found = line(clock)
    for secs, step in ((10, 50), (15, 100), (5, 200), (5, 300)):
        clock.secs += secs
        found.see(step)
    assert "  1,000 examples/s" in str(found)  # 200 steps of 50 in the last 10 s; earlier ones are outside the window
    clock.secs += 60
    found.see(360)
    assert "  50 examples/s" in str(found)


def test_before_the_first_step_the_time_left_is_unknown(clock: Clock) -> None:
    assert str(line(clock)).startswith("step 40/2,000 (2%, ? left)")


def test_a_run_without_an_end_in_sight_says_so(clock: Clock) -> None:
    found = line(clock, total_steps=10**18)
    clock.secs += 1
    found.see(50)
    assert str(found).startswith(f"step 50/{10**18:,} (0%, ? left)")


def drawn(clock: Clock, steps: list[tuple[float, int]], *, width: int = 200, **settings: Any) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width, legacy_windows=False, soft_wrap=True, **settings)
    with following(console, line(clock), clock) as show:
        for secs, step in steps:
            clock.secs += secs
            show(step)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())


def test_on_a_terminal_each_call_draws_it(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    text = drawn(clock, [(1, 41), (1, 42)], force_terminal=True)
    assert "step 42/2,000" in text
    assert "examples/s" in text


def test_a_narrow_terminal_cuts_its_end_off(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    text = drawn(clock, [(1, 42)], force_terminal=True, width=40)
    assert "step 42/2,000 (2%, 0:16:19 left)" in text
    assert max(len(part) for part in re.split(r"[\r\n]", text)) <= 40


@pytest.mark.parametrize("terminal", [False, True])
def test_elsewhere_a_line_comes_every_half_minute_of_a_long_epoch(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    monkeypatch.setenv("TERM", "dumb")  # a terminal that cannot redraw a line
    text = drawn(clock, [(20, 50), (20, 60), (20, 70), (20, 80), (1, 90)], force_terminal=terminal)
    assert [part.split()[1] for part in text.splitlines()] == ["70/2,000"]


def test_short_epochs_have_a_line_of_their_own(clock: Clock) -> None:
    assert drawn(clock, [(20, number * 113) for number in range(1, 9)]) == ""


def test_where_it_is_quiet_nothing_is_asked_for(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MEANS, "loss", "never formatted")
    assert drawn(clock, [(40, 50), (40, 60)], quiet=True, force_terminal=True) == ""
    assert drawn(clock, [(1, 50), (1, 60)]) == ""


FOLLOWED = """
from fractions import Fraction
import sys
from tfcore.terminal import tables
from tfcore.terminal import progress
line = progress.ProgressLine(
    first_step=0, total_steps=2000, batch_size=50, per_epoch=Fraction(100),
    means=lambda: {"loss": 0.5, "accuracy": 0.25}, best=lambda: {"accuracy": 0.75},
)
with progress.following(tables.console(to_stderr=False), line) as show:
    for step in sys.stdin:
        show(int(step))
"""


def test_a_terminal_that_changes_its_size_has_lines_as_wide_as_it_is() -> None:
    ours, theirs = os.openpty()
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-c", FOLLOWED], stdin=subprocess.PIPE, stdout=theirs, env=environment | {"TERM": "xterm"}
    )
    assert process.stdin is not None

    def frame(step: int, width: int) -> str:
        """Returns the line drawn after `step` on a terminal of this width."""
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 40, width, 0, 0))
        process.stdin.write(f"{step}\n".encode())
        process.stdin.flush()
        text = ""
        while not (found := re.search(rf"step {step}/[^\r\n]*(?=[\r\n])", text)):
            text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text + os.read(ours, 4096).decode())
        return found[0]

    whole = frame(10, 200)
    assert whole.endswith("examples/s")
    assert len(whole) > 80
    assert len(frame(20, 50)) == 50
    assert frame(30, 200).endswith("examples/s")
    process.communicate()
    assert process.returncode == 0
    os.close(ours)
    os.close(theirs)
