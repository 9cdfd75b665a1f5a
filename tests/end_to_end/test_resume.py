"""Restored and continued equals uninterrupted, to the bit: every variable and every logged number but rates."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from rich.console import Console

from tfcore.build.configuration import resolve
from tfcore.config import RunConfig
from tfcore.run.session import Session
from tfcore.training.checkpoints import steps_in
from tfcore.training.run_folder import RunFolder
from tools.reliability.run_differences import curves, differences, metrics, variables

# 9,000 training examples; neither the batch size nor an interval divides them or a stopping step.
CONFIG = RunConfig(
    model="mlp", hidden=(16,), batch_size=70, steps=300, log_every_steps=17, evaluate_every_epochs=0.3,
    checkpoint_every_epochs=0.4, patience=2, monitor="accuracy",
    learning_rate=0.05, warmup_steps=40, l2=1e-4, clip_norm=2.0, summaries="norms", observe_every_steps=60,
)  # fmt: skip
# Dropout masks, moving statistics, averages and a product of momenta are part of the resumed state.
CNN = RunConfig(
    model="cifar_cnn", filters=(4, 6), hidden=(8,), dropout=(0.2, 0.4), train_examples=2000, test_examples=200,
    optimizer="nadam", average_decay=0.9, microbatches=2, batch_size=70, steps=100, log_every_steps=17,
    evaluate_every_epochs=0.3, checkpoint_every_epochs=0.4, patience=20, monitor="accuracy", pixels="standardized",
    learning_rate=0.01, summaries="norms", observe_every_steps=60,
)  # fmt: skip
CONFIGS = {"mlp": CONFIG, "cnn": CNN}


def assert_same_run(one: pathlib.Path, other: pathlib.Path) -> None:
    assert differences(one, other) == []


def train(
    path: pathlib.Path, config: RunConfig, pause_step: int | None = None, max_call_steps: int | None = None
) -> None:
    """Runs one process's part of a run; sessions share only the run folder."""
    with RunFolder(path) as folder:
        session = Session(resolve(config), folder, Console(quiet=True), max_call_steps=max_call_steps)
        session.run(pause_step=pause_step)


@dataclass(frozen=True)
class Whole:
    """Configuration and its uninterrupted run."""

    config: RunConfig
    path: pathlib.Path


@pytest.fixture(scope="module", params=["mlp", pytest.param("cnn", marks=pytest.mark.thorough)])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    path = tmp_path_factory.mktemp("whole") / "run"
    train(path, CONFIGS[request.param])
    return Whole(CONFIGS[request.param], path)


def test_the_runs_that_are_compared_are_long_enough_and_one_stops_early(whole: Whole) -> None:
    result = json.loads((whole.path / "result.json").read_text(encoding="utf-8"))
    assert result["steps"] > 90  # the last stop below
    if whole.config == CONFIG:
        assert result["status"] == "stopped_early"
        assert 0 < result["best"]["step"] < result["steps"] < CONFIG.steps
    else:  # the best step depends on the compute type, which depends on the processor
        assert result["status"] == "finished"
        assert result["best"]["step"] > 0


def cases(name: str, quick: Any, *others: tuple[str, Any]) -> Any:
    """Parametrizes a test by a whole run and an argument: `quick` of the MLP in `make test`, `others` in the rest."""
    thorough = [pytest.param(*other, marks=pytest.mark.thorough) for other in others]
    return pytest.mark.parametrize(("whole", name), [("mlp", quick), *thorough], indirect=["whole"])


@cases("max_call_steps", 1, ("mlp", 7), ("cnn", 7))
def test_how_the_steps_are_cut_into_calls_changes_nothing(
    whole: Whole, tmp_path: pathlib.Path, max_call_steps: int
) -> None:
    train(tmp_path / "run", whole.config, max_call_steps=max_call_steps)
    assert_same_run(whole.path, tmp_path / "run")


@cases("stops", (53,), ("mlp", (1, 17, 38, 39, 90)), ("cnn", (1, 38, 39, 90)))
def test_stopped_and_resumed_equals_uninterrupted(whole: Whole, tmp_path: pathlib.Path, stops: tuple[int, ...]) -> None:
    for stop in stops:
        train(tmp_path / "run", whole.config, pause_step=stop)
        assert steps_in(tmp_path / "run" / "checkpoints")[-1] == stop
    train(tmp_path / "run", whole.config)
    assert_same_run(whole.path, tmp_path / "run")


ONLY_MLP = pytest.mark.parametrize("whole", ["mlp"], indirect=True)


@pytest.mark.thorough
@ONLY_MLP
def test_what_was_logged_past_the_checkpoint_is_taken_back(whole: Whole, tmp_path: pathlib.Path) -> None:
    """After a crash the logs may be ahead of the newest checkpoint."""
    path = tmp_path / "run"
    train(path, whole.config, pause_step=69)
    ahead = path / "checkpoints" / "step-0000000069"
    for file in ahead.iterdir():
        file.unlink()
    ahead.rmdir()
    assert steps_in(path / "checkpoints")[-1] < metrics(path)[-1]["step"] < 69
    train(path, whole.config)
    assert_same_run(whole.path, path)


@pytest.mark.thorough
@ONLY_MLP
def test_the_test_can_fail_another_seed_is_another_run(whole: Whole, tmp_path: pathlib.Path) -> None:
    train(tmp_path / "run", replace(whole.config, seed=1))
    with pytest.raises(AssertionError):
        assert_same_run(whole.path, tmp_path / "run")


@pytest.mark.thorough
@pytest.mark.sampled(2)
@pytest.mark.parametrize("write", ["write_config", "write_architecture"])
def test_a_start_that_died_while_it_wrote_what_the_run_is_is_no_obstacle(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    path, config = tmp_path / "run", replace(CONFIG, steps=1)

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, write, die)
        with pytest.raises(KeyboardInterrupt):
            train(path, config)
    train(path, config)
    assert steps_in(path / "checkpoints") == [1]


@pytest.mark.thorough
def test_what_a_kill_in_the_last_rotation_left_is_cleared_away(tmp_path: pathlib.Path) -> None:
    path, config = tmp_path / "run", replace(CONFIG, steps=60, keep_checkpoints=1)
    train(path, config)
    checkpoints = path / "checkpoints"
    kept = sorted(checkpoints.iterdir())
    shutil.copytree(kept[-1], checkpoints / "step-0000000001")
    shutil.copytree(kept[-1], checkpoints / ".unfinished-deleted-step-0000000002")
    (path / "result.json").unlink()
    train(path, config)
    assert sorted(checkpoints.iterdir()) == kept


@pytest.mark.thorough
def test_when_the_result_is_written_the_logs_are_complete(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill after the result is not repaired: the command says that the run has finished."""
    path, write, seen = tmp_path / "run", RunFolder.write_result, []

    def look_and_write(folder: RunFolder, result: dict[str, Any]) -> None:
        seen.append((metrics(path), curves(path)))
        write(folder, result)

    monkeypatch.setattr(RunFolder, "write_result", look_and_write)
    train(path, replace(CONFIG, steps=20))
    assert seen == [(metrics(path), curves(path))]
    assert seen[0][0][-1]["split"] == "test"


FLAGS = ("--model=mlp", "--hidden=16", "--batch_size=70", "--log_every_steps=17", "--validation=1000", "--run_dir=run")


def start_in(tmp_path: pathlib.Path, *flags: str) -> subprocess.Popen[str]:
    root = pathlib.Path(__file__).parents[2]
    arguments = [sys.executable, "-m", "tfcore", "train", *flags]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.Popen(arguments, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "waited for a minute"
        time.sleep(0.1)


@pytest.mark.thorough
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_within_the_running_call(tmp_path: pathlib.Path, number: int, status: int) -> None:
    """Uses a run of many minutes, so that only the signal can have ended it."""
    process = start_in(tmp_path, *FLAGS, "--steps=10000000")
    log = tmp_path / "run" / "metrics.jsonl"
    wait_until(lambda: log.exists() and log.stat().st_size > 0)
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == status
    step = steps_in(tmp_path / "run" / "checkpoints")[-1]
    assert re.search(rf"Stopped and saved at step {step} of 10000000", output)
    assert json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))["status"] == "interrupted"


@pytest.mark.thorough
def test_the_command_resumes_exactly_in_a_new_process(command: Any, tmp_path: pathlib.Path) -> None:
    command("train", *FLAGS, "--steps=120", "--run_dir=whole")
    command("train", *FLAGS, "--steps=120", "--stop_after_steps=61")
    done = command("train", "--run_dir=run")
    assert "Resuming run at step 61 of 120" in done.stdout
    assert_same_run(tmp_path / "whole", tmp_path / "run")


@pytest.mark.thorough
def test_a_finished_run_says_so_and_a_longer_one_goes_on(command: Any, tmp_path: pathlib.Path) -> None:
    flags = ("--model=softmax", "--schedule=constant", "--run_dir=run")
    command("train", *flags, "--steps=40")
    before = variables(tmp_path / "run")
    assert "has finished after 40 steps" in command("train", *flags).stdout
    command("train", *flags, "--steps=70")
    command("train", *flags, "--steps=70", "--run_dir=straight")
    after, straight = variables(tmp_path / "run"), variables(tmp_path / "straight")
    weights = next(name for name in before if "weights" in name)
    assert before[weights].tobytes() != after[weights].tobytes() == straight[weights].tobytes()


@pytest.mark.thorough
def test_an_extension_that_was_killed_does_not_pass_for_finished(command: Any, tmp_path: pathlib.Path) -> None:
    flags = ("--model=softmax", "--schedule=constant", "--run_dir=run")
    command("train", *flags, "--steps=20")
    process = start_in(tmp_path, *flags, "--steps=10000000")
    wait_until(lambda: steps_in(tmp_path / "run" / "checkpoints")[-1] > 20)
    process.kill()
    process.communicate(timeout=30)
    done = command("train", "--run_dir=run", "--stop_after_steps=1")
    assert "Stopped and saved at step" in done.stdout


@pytest.mark.thorough
def test_another_configuration_is_refused_and_changes_nothing(command: Any, tmp_path: pathlib.Path) -> None:
    command("train", *FLAGS, "--steps=60", "--stop_after_steps=20")
    files = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    for flag in ("--seed=1", "--learning_rate=0.5", "--hidden=8", "--steps=90"):
        done = command("train", "--run_dir=run", flag, status=2)
        assert done.stderr.count("\n") == 1
        assert flag.split("=")[0] in done.stderr
    assert files == {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    command("train", "--run_dir=run", "--log_every_steps=5")  # does not change what is trained
