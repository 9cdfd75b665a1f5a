"""The sweep command: trials in real processes, and folders of trials that have already ended."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tfcore.cli.main import main

ROOT = Path(__file__).parents[2]
GRID = ["sweep", "--grid", "learning_rate=0.1,0.2,0.3", "--grid", "seed=0", "--out=sweep"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, from which trials import this tfcore."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def ended(rate: float, *, loss: float, accuracy: float, test: float, status: str = "finished") -> None:
    """Creates the folder of a trial of GRID that has already ended."""
    path = Path("sweep") / f"learning_rate={rate},seed=0"
    path.mkdir(parents=True)
    scores = {"best": {"step": 5, "validation": {"loss": loss, "accuracy": accuracy}}, "test": {"accuracy": test}}
    (path / "result.json").write_text(json.dumps({"status": status, "steps": 1234, **scores}))


def kept(*, monitor: str = "loss") -> None:
    """Writes the plan of GRID; a folder with files but no plan would be refused."""
    shared = {} if monitor == "loss" else {"monitor": monitor}
    trials = {f"learning_rate={rate},seed=0": {"learning_rate": str(rate), "seed": "0"} for rate in (0.1, 0.2, 0.3)}
    secs = {"learning_rate=0.1,seed=0": 61.25}
    plan = {"format": "tfcore sweep 1", "flags": shared, "trials": trials, "secs": secs}
    (Path("sweep") / "sweep.json").write_text(json.dumps(plan))


def test_nothing_starts_where_a_trial_cannot_be_meant(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "--grid", "optimizer=adam,adma", "--grid", "seed=0,1", "--out=sweep"]) == 2
    assert "error: Trial optimizer=adma seed=0: " in capsys.readouterr().err
    assert not list(folder.iterdir())


@pytest.mark.thorough
def test_a_trial_that_fails_ends_alone(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--train_examples=300", "--test_examples=50", "--steps=3", "--model=mlp", "--out=sweep", "--json"]
    assert main(["sweep", *flags, "--grid", "activation=rleu,relu", "--grid", "seed=1"]) == 1
    printed = capsys.readouterr()
    good, bad = json.loads(printed.out)["trials"]
    assert (good["rank"], good["status"], good["settings"]) == (1, "finished", {"activation": "relu", "seed": "1"})
    result = json.loads((Path(good["run_dir"]) / "result.json").read_text())
    assert good["validation"] == result["best"]["validation"]["loss"]
    assert good["test_accuracy"] == result["test"]["accuracy"]
    assert good["secs"] > 0
    assert "test accuracy" in Path("sweep/activation=relu,seed=1.log").read_text()
    assert (bad["rank"], bad["status"]) == (None, "failed")
    assert bad["error"].startswith("`activation` must be one of relu, ")
    assert bad["error"].endswith("Received 'rleu'. Did you mean 'relu'?")
    assert "1/2 activation=rleu seed=1: failed: `activation` must be one of relu, " in printed.err


def test_trials_are_ranked_by_validation_not_by_test(capsys: pytest.CaptureFixture[str]) -> None:
    ended(0.1, loss=0.5, accuracy=0.7, test=0.9)
    ended(0.2, loss=0.3, accuracy=0.6, test=0.1, status="stopped_early")
    ended(0.3, loss=0.4, accuracy=0.8, test=0.5)
    kept()
    assert main(GRID) == 0
    printed = capsys.readouterr().out
    assert "1/3 learning_rate=0.1 seed=0: validation loss 0.5000, 61.2 s, not run again" in printed
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if "│" in line]
    assert rows == [
        ["1", "0.2", "0.3000", "0.1000", "1,234", "0.0 s", "stopped early"],
        ["2", "0.3", "0.4000", "0.5000", "1,234", "0.0 s", "finished"],
        ["3", "0.1", "0.5000", "0.9000", "1,234", "61.2 s", "finished"],
    ]
    kept(monitor="accuracy")
    assert main([*GRID, "--monitor=accuracy", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [trial["validation"] for trial in found["trials"]] == [0.8, 0.7, 0.6]
    assert (found["sweep_dir"], found["monitor"]) == ("sweep", "accuracy")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("another plan", "sweep belongs to another sweep: --seed"),
        ("no plan", "sweep holds files but no sweep (sweep.json is missing). Name another --out."),
        ("a file", "sweep cannot be written"),
        ("locked", "sweep is in use by another sweep."),
    ],
)
def test_a_folder_that_is_not_this_sweeps_is_refused(
    change: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from filelock import FileLock

    if change == "a file":
        Path("sweep").write_text("mine")
    else:
        ended(0.1, loss=0.5, accuracy=0.7, test=0.9)
    if change in ("another plan", "locked"):
        kept()
    lock = FileLock("sweep/.lock")
    if change == "locked":
        lock.acquire()
    grid = [part.replace("seed=0", "pixels=raw") for part in GRID] if change == "another plan" else GRID
    assert main(grid) == (2 if change == "another plan" else 1)
    lock.release()
    printed = capsys.readouterr()
    assert (message if change != "another plan" else "its grid has learning_rate, seed.") in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_a_trial_without_a_validation_score_is_not_ranked(capsys: pytest.CaptureFixture[str]) -> None:
    for rate in (0.1, 0.2, 0.3):
        ended(rate, loss=rate, accuracy=0.7, test=0.9)
    path = Path("sweep/learning_rate=0.1,seed=0/result.json")
    path.write_text('{"status": "finished", "steps": 3, "test": {"accuracy": 0.5}}')
    kept()
    assert main(GRID) == 1
    assert "learning_rate=0.1 seed=0: it has no validation score for the ranking." in capsys.readouterr().out


@pytest.mark.thorough
def test_ctrl_c_saves_the_trial_and_the_same_command_goes_on(folder: Path) -> None:
    flags = ["--epochs=1e6", "--batch_size=10", "--train_examples=100", "--test_examples=50"]
    command = [sys.executable, "-m", "tfcore", "sweep", *flags, "--grid=seed=0,1", "--out=sweep"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as process:
        log, deadline = folder / "sweep" / "seed=0.log", time.monotonic() + 60
        while time.monotonic() < deadline and not (log.exists() and "epoch 1:" in log.read_text()):
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as the terminal does
        printed = process.communicate(timeout=60)[0]
    assert process.returncode == 130
    assert "Stopped. The same command resumes the sweep." in printed
    assert "2/2" not in printed
    assert json.loads((folder / "sweep" / "seed=0" / "result.json").read_text())["status"] == "interrupted"


IMPORTS = """
import sys
import time
from tfcore.cli.main import main
status = main(sys.argv[1:])
print("status", status, sorted({"tensorflow", "numpy"} & set(sys.modules)))
"""


def test_the_parent_loads_no_tensorflow() -> None:
    for rate in (0.1, 0.2, 0.3):
        ended(rate, loss=rate, accuracy=0.7, test=0.9)
    kept()
    done: Any = subprocess.run([sys.executable, "-c", IMPORTS, *GRID], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "status 0 []"
