"""Runs with damaged checkpoints, or resumed on another kind of machine."""

import io
import json
import os
import pathlib
import shutil
from typing import Any

import pytest
from rich.console import Console

from tfcore.build.configuration import resolve
from tfcore.config import RunConfig
from tfcore.errors import RunError
from tfcore.run import provenance
from tfcore.run.session import Session
from tfcore.training.checkpoints import Checkpoints, steps_in
from tfcore.training.run_folder import RunFolder

CONFIG = RunConfig(
    batch_size=100, steps=180, checkpoint_every_epochs=0.4, log_every_steps=30, validation=1000, summaries="none"
)  # fmt: skip


def train(path: pathlib.Path, config: RunConfig = CONFIG, *, pause_step: int | None = None) -> str:
    """Runs one process's part of a run; returns its terminal output."""
    console = Console(file=io.StringIO(), width=500)
    with RunFolder(path) as folder:
        Session(resolve(config), folder, console).run(pause_step=pause_step)
    return console.file.getvalue()  # type: ignore[attr-defined]


def newest(path: pathlib.Path) -> pathlib.Path:
    return path / "checkpoints" / f"step-{steps_in(path / 'checkpoints')[-1]:010d}"


def cut(checkpoint: pathlib.Path) -> None:
    data = checkpoint / "state.data-00000-of-00001"
    os.truncate(data, data.stat().st_size // 2)


@pytest.mark.thorough
def test_a_damaged_newest_checkpoint_costs_the_steps_since_the_one_before(tmp_path: pathlib.Path) -> None:
    path, whole = tmp_path / "run", tmp_path / "whole"
    train(whole)
    train(path, pause_step=120)
    damaged = newest(path)
    cut(damaged)
    said = train(path)
    assert f"warning: The checkpoint {damaged} is damaged: " in said
    assert f"It is now {damaged.with_name('damaged-' + damaged.name)}." in said
    assert f"Resuming {path} at step 108 of 180." in said
    results = [json.loads((run / "result.json").read_text()) for run in (whole, path)]
    assert results[0]["test"] == results[1]["test"]
    assert results[0]["best"] == results[1]["best"]


@pytest.mark.thorough
def test_without_a_readable_checkpoint_nothing_starts_afresh(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "run"
    train(path, pause_step=120)
    files = (path / "metrics.jsonl").read_bytes()
    for step in steps_in(path / "checkpoints"):
        cut(path / "checkpoints" / f"step-{step:010d}")
    with pytest.raises(RunError, match=r"cannot go on, as no checkpoint in .* can be read"):
        train(path)
    assert (path / "metrics.jsonl").read_bytes() == files
    shutil.rmtree(path / "checkpoints")
    with pytest.raises(RunError, match=r"has saved checkpoints, but .* holds none"):
        train(path)
    assert (path / "metrics.jsonl").read_bytes() == files


@pytest.mark.thorough
def test_what_a_killed_process_left_behind_is_swept_at_the_start(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "run"
    train(path, pause_step=60)
    expected = {item.relative_to(path) for item in path.rglob("*")}
    for name in (".unfinished-result.json", "train/.unfinished-events.out.tfevents.1"):
        (path / name).write_text("half")
    for name in (".unfinished-step-0000000090", ".unfinished-deleted-step-0000000030"):
        (path / "checkpoints" / name).mkdir()
        (path / "checkpoints" / name / "state.index").write_text("half")
    train(path, pause_step=60)
    left = {item.relative_to(path) for item in path.rglob("*")}
    assert not [item for item in left if "unfinished" in str(item)]
    assert {item for item in left if "tfevents" not in item.name} == {
        item for item in expected if "tfevents" not in item.name
    }


@pytest.mark.thorough
def test_the_best_are_kept_with_their_scores(tmp_path: pathlib.Path) -> None:
    config = RunConfig(batch_size=100, steps=180, evaluate_every_epochs=0.2, keep_checkpoints=1, keep_best=3,
                       checkpoint_every_epochs=9.0, monitor="accuracy", learning_rate=0.02)  # fmt: skip
    train(tmp_path / "run", config)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    validated = [(line["accuracy"], line["step"]) for line in lines if line["split"] == "validation"]
    assert len(validated) == 10
    best = sorted(validated, key=lambda pair: (-pair[0], pair[1]))[:3]
    folder = tmp_path / "run" / "checkpoints"
    assert steps_in(folder) == sorted({180, *(step for _, step in best)})
    for score, step in best:
        assert Checkpoints(folder, {}).about(step)["score"] == score


@pytest.mark.thorough
def test_another_kind_of_process_is_warned_of_what_that_means(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    train(path, pause_step=60)
    monkeypatch.setattr(provenance, "processor", lambda: "Another 9000")
    said = train(path, pause_step=70)
    assert "continues, but not bit for bit" in said
    assert "processor Another 9000 (there: " in said
    assert "the last bits will differ" in said
    assert "not bit for bit" not in train(path, pause_step=80)


@pytest.mark.thorough
def test_time_that_is_up_saves_as_a_signal_does(command: Any, tmp_path: pathlib.Path) -> None:
    done = command("train", "--model=softmax", "--steps=100000000", "--run_dir=run", "--max_time=0.1m")
    step = steps_in(tmp_path / "run" / "checkpoints")[-1]
    assert f"Stopped and saved at step {step} of 100000000" in done.stdout
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == "interrupted"


@pytest.mark.thorough
def test_what_is_no_duration_is_refused(command: Any) -> None:
    done = command("train", "--max_time=soon", "--run_dir=run", status=2)
    assert done.stderr == (
        "error: `max_time` must be a duration such as 90 (seconds), 90m or 1h30m. Received 'soon'.\n"
    )
