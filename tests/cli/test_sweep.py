"""The sweep command: trials in real processes, and folders of trials that have already ended."""

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tfcore.cli import flags
from tfcore.cli.main import main
from tfcore.sweep import trials
from tfcore.sweep.plan import write_secs

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
    flags = [
        "--train_examples=300",
        "--test_examples=50",
        "--steps=3",
        "--model=mlp",
        "--out=sweep",
        "--json",
        "--jobs=2",
    ]
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
    assert [line.rpartition(" ")[2] for line in printed.err.splitlines()[1:3]] == ["started", "started"]


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
        ("locked", "sweep is locked by another process."),
    ],
)
def test_a_folder_that_is_not_this_sweeps_is_refused(
    change: str, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "_PLAN_SECS", 0.1)

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


def test_the_commands_of_the_trials_are_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of those that have not ended; a shell and the parser read them as the trials' flags."""
    ended(0.2, loss=0.5, accuracy=0.7, test=0.9)
    kept()
    assert main([*GRID, "--hidden=5,5", "--model=mlp", "--print", "--out=a b"]) == 0
    assert main([*GRID, "--print"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 3 + 2
    (_, command, *first), *_ = map(shlex.split, printed)
    parsed = flags.parse(command, first)
    assert parsed.given == {"hidden": (5, 5), "learning_rate": 0.1, "model": "mlp", "seed": 0}
    assert parsed.options["run_dir"] == "a b/learning_rate=0.1,seed=0"
    assert [path.name for path in (folder / "a b").iterdir() if path.name != ".lock"] == ["sweep.json"]


def test_jobs_share_the_processors() -> None:
    processors = os.sched_getaffinity(0)
    for jobs in (1, 2, 3, len(processors), 2 * len(processors)):
        with ThreadPoolExecutor(1) as pool:

            def share(slot: int, jobs: int = jobs) -> set[int]:
                os.sched_setaffinity(0, processors)
                trials._take_share(slot, jobs)
                return os.sched_getaffinity(0)

            shares = list(pool.map(share, range(jobs)))
        assert set.union(*shares) == processors
        assert sum(map(len, shares)) == max(jobs, len(processors))
        assert len({len(one) for one in shares}) <= 2
    assert os.sched_getaffinity(0) == processors


def test_no_jobs_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*GRID, "--jobs=0"]) == 2
    assert capsys.readouterr().err == "error: `jobs` must be above 0. Received 0.\n"


@pytest.mark.thorough
def test_two_sweeps_in_one_folder_share_the_trials(folder: Path) -> None:
    """As on two machines: each trial runs once, and both rank all of them."""
    given = ["--train_examples=200", "--test_examples=50", "--steps=3", "--model=mlp", "--out=sweep", "--json"]
    command = [sys.executable, "-m", "tfcore", "sweep", *given, "--grid=seed=0,1,2"]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder) for _ in "ab"
    ]
    printed = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], printed
    one, other = (json.loads(out) for out, _ in printed)
    assert [trial["status"] for trial in one["trials"]] == ["finished"] * 3
    assert {trial["run_dir"]: trial["validation"] for trial in one["trials"]} == {
        trial["run_dir"]: trial["validation"] for trial in other["trials"]
    }
    told = "".join(err for _, err in printed)
    assert told.count(": started") == 3
    assert ": runs elsewhere" in told
    assert ", ended elsewhere" in told
    secs = json.loads((folder / "sweep" / "sweep.json").read_text())["secs"]
    assert sorted(secs) == ["seed=0", "seed=1", "seed=2"]
    assert all(trial["secs"] > 0 for trial in [*one["trials"], *other["trials"]])


def test_a_trial_that_failed_elsewhere_is_not_run_again(capsys: pytest.CaptureFixture[str]) -> None:
    """And one that ended elsewhere has the time that it took there."""
    for rate in (0.1, 0.2):
        ended(rate, loss=rate, accuracy=0.7, test=0.9)
    kept()
    trial = "learning_rate=0.3,seed=0"
    lock = FileLock(f"sweep/{trial}.lock", thread_local=False)
    lock.acquire()

    def fail() -> None:
        path = Path("sweep") / trial
        path.mkdir()
        (path / "result.json").write_text('{"status": "failed", "steps": 3}')
        Path(f"sweep/{trial}.log").write_text("error: The loss is not finite at step 3.\n")
        write_secs(Path("sweep"), trial, 77.0)
        lock.release()

    timer = threading.Timer(1.0, fail)
    timer.start()
    assert main([*GRID, "--json"]) == 1
    timer.join()
    printed = capsys.readouterr()
    assert "3/3 learning_rate=0.3 seed=0: runs elsewhere" in printed.err
    assert "3/3 learning_rate=0.3 seed=0: failed: The loss is not finite at step 3., ended elsewhere" in printed.err
    assert json.loads(printed.out)["trials"][-1]["secs"] == 77.0


@pytest.mark.thorough
def test_ctrl_c_saves_the_trials_and_the_same_command_goes_on(folder: Path) -> None:
    flags = ["--epochs=1e6", "--batch_size=10", "--train_examples=100", "--test_examples=50"]
    command = [sys.executable, "-m", "tfcore", "sweep", *flags, "--grid=seed=0,1,2", "--out=sweep", "--jobs=2"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as process:
        logs, deadline = [folder / "sweep" / f"seed={seed}.log" for seed in (0, 1)], time.monotonic() + 60
        while time.monotonic() < deadline and not all(log.exists() and "epoch 1:" in log.read_text() for log in logs):
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as the terminal does
        printed = process.communicate(timeout=60)[0]
    assert process.returncode == 130
    assert "Stopped. The same command resumes the sweep." in printed
    assert "3/3" not in printed
    for seed in (0, 1):
        assert json.loads((folder / "sweep" / f"seed={seed}" / "result.json").read_text())["status"] == "interrupted"


IMPORTS = """
import sys
import threading
import time
from tfcore.cli import flags
from tfcore.cli.main import main
from tfcore.sweep import trials
from tfcore.sweep.plan import write_secs
status = main(sys.argv[1:])
print("status", status, sorted({"tensorflow", "numpy"} & set(sys.modules)))
"""


def test_the_parent_loads_no_tensorflow() -> None:
    for rate in (0.1, 0.2, 0.3):
        ended(rate, loss=rate, accuracy=0.7, test=0.9)
    kept()
    done: Any = subprocess.run([sys.executable, "-c", IMPORTS, *GRID], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "status 0 []"
