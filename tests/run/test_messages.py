"""The messages of a run, with and without `quiet`."""

from pathlib import Path

import pytest

from tfcore.build.configuration import resolve
from tfcore.config import RunConfig
from tfcore.run.session import Session
from tfcore.terminal import tables
from tfcore.training.run_folder import RunFolder

CONFIG = RunConfig(train_examples=200, test_examples=50, steps=4, batch_size=50, batch_accuracy_every_steps=1)
FIRST = ["tfcore:", "device:", "runtime:", "data:", "plan:", "run"]
LAST = ["best", "finished", "test", "Look"]


def said(path: Path, capsys: pytest.CaptureFixture[str], *, quiet: bool, pause_step: int | None = None) -> list[str]:
    """Returns the lines that one process prints for its part of a run."""
    with RunFolder(path) as folder:
        session = Session(resolve(CONFIG), folder, tables.console(to_stderr=False), quiet=quiet)
        session.run(pause_step=pause_step)
    return capsys.readouterr().out.splitlines()


def test_a_run_says_on_what_it_computes_and_how_it_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(tmp_path / "run", capsys, quiet=False)
    words = [line.split()[0] for line in lines]
    assert words[: len(FIRST)] == FIRST
    assert words[-len(LAST) :] == LAST
    assert lines[1].startswith("device: CPU, ")
    assert sum(line.startswith("Step ") for line in lines) == 4


@pytest.mark.thorough
def test_a_quiet_run_says_how_it_ended_and_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run"
    (line,) = said(path, capsys, quiet=True, pause_step=2)
    assert line == f"Stopped and saved at step 2 of 4. Resume with --run_dir={path}"
    (path / "checkpoints" / "step-0000000001").mkdir()
    (path / "checkpoints" / "step-0000000003").mkdir()  # the newest, and empty
    warning, *lines = said(path, capsys, quiet=True)
    assert warning.startswith("warning: The checkpoint ")
    assert [line.split()[0] for line in lines] == LAST
