"""The training time of a run that was stopped, killed and resumed: the sum over its parts."""

import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from rich.console import Console
from support.pages import QUICK

from tfcore.build.configuration import resolve
from tfcore.config import RunConfig
from tfcore.report import facts, page
from tfcore.run.session import Session
from tfcore.training.checkpoints import steps_in
from tfcore.training.loop import Loop
from tfcore.training.run_folder import RunFolder
from tfcore.training.run_time import PARTS

CONFIG = RunConfig(
    model="softmax", batch_size=100, steps=60, train_examples=2000, test_examples=100, checkpoint_every_epochs=0.5,
    summaries="none",
)  # fmt: skip
SECS_PER_STEP = 0.25


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step takes a quarter of a second by the loop's clock, whatever the machine does."""
    timed = Loop._timed

    def slow(loop: Loop, points: list[int]) -> Any:
        before = loop.train_secs
        seen, _ = timed(loop, points)
        secs = points[-1] * SECS_PER_STEP
        loop.train_secs = before + secs
        return seen, secs

    monkeypatch.setattr(Loop, "_timed", slow)


def train(path: pathlib.Path, pause_step: int | None = None) -> tuple[dict[str, Any], str]:
    """Runs one part of a run in this process; returns its result and its output."""
    console = Console(file=io.StringIO(), width=500)
    with RunFolder(path) as folder:
        _, result = Session(resolve(CONFIG), folder, console).run(pause_step=pause_step)
    return result, console.file.getvalue()  # type: ignore[attr-defined]


def shown(path: pathlib.Path) -> str:
    """The training time in the report."""
    return dict(page._facts(facts.read(path)))["Training time"]


@pytest.mark.thorough
@pytest.mark.usefixtures("steady")
def test_a_run_in_one_part_says_nothing_of_parts(tmp_path: pathlib.Path) -> None:
    result, said = train(tmp_path / "run")
    assert (result["train_secs"], result["parts"]) == (15.0, 1)
    assert "timed_steps" not in result
    assert "(15.0 s of training)\n" in said
    assert shown(tmp_path / "run") == "15.0 s"


@pytest.mark.usefixtures("steady")
def test_a_run_that_is_stopped_twice_has_the_time_of_three_parts(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "run"
    assert [train(path, stop)[0]["train_secs"] for stop in (13, 45)] == [13 * 0.25, 45 * 0.25]
    result, said = train(path)
    assert result == json.loads((path / "result.json").read_text())
    assert (result["train_secs"], result["parts"], result["examples_per_sec"]) == (15.0, 3, 400.0)
    assert "(15.0 s of training) over 3 parts\n" in said
    assert "not timed" not in said
    assert shown(path) == "15.0 s over 3 parts"


@pytest.mark.thorough
@pytest.mark.usefixtures("steady")
def test_an_older_checkpoint_brings_its_own_time_back(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "run"
    train(path, 45)
    (path / "checkpoints" / "step-0000000045" / "state.index").unlink()
    result, _ = train(path)
    assert (result["train_secs"], result["parts"]) == (15.0, 2)


@pytest.mark.thorough
@pytest.mark.usefixtures("steady")
def test_a_run_whose_folder_has_no_times_counts_from_there(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "run"
    train(path, 20)
    (path / PARTS).unlink()
    result, said = train(path)
    assert "The run folder has no times for 20 of these steps." in said
    assert (result["train_secs"], result["parts"], result["timed_steps"]) == (10.0, 1, 40)
    assert result["examples_per_sec"] == 400.0
    assert "(10.0 s of training), not counting 20 steps of unknown time\n" in said
    assert shown(path) == "10.0 s, for 40 of the steps"


@pytest.mark.thorough
def test_a_killed_part_counts_up_to_its_newest_checkpoint(command: Any, tmp_path: pathlib.Path) -> None:
    flags = ("--model=softmax", "--schedule=constant", "--steps=10000000", "--run_dir=run", "--summaries=none")
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[2])}
    process = subprocess.Popen([sys.executable, "-m", "tfcore", "train", *QUICK, *flags], cwd=tmp_path,
                               env=environment, stdout=subprocess.DEVNULL)  # fmt: skip
    run, deadline = tmp_path / "run", time.monotonic() + 120
    while len(steps_in(run / "checkpoints")) < 2:
        assert time.monotonic() < deadline, "no second checkpoint"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    saved = steps_in(run / "checkpoints")[-1]
    entries = {entry["step"]: entry for entry in map(json.loads, (run / PARTS).read_text().splitlines())}
    assert entries[saved]["train_secs"] > 0
    command("train", "--run_dir=run", f"--stop_after_steps={saved + 50}")
    result = json.loads((run / "result.json").read_text())
    assert (result["parts"], result["steps"]) == (2, saved + 50)
    newest = json.loads((run / PARTS).read_text().splitlines()[-1])
    assert result["train_secs"] == newest["train_secs"] > entries[saved]["train_secs"]
