"""`report`, and the report that a run writes at its end."""

import io
import os
import pathlib
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from support.reported import write_run

import tfcore
from tfcore.build.configuration import resolve
from tfcore.cli.main import main
from tfcore.config import RunConfig
from tfcore.data.dataset import Dataset, Split
from tfcore.report import file as report
from tfcore.run.session import Session
from tfcore.training.divergence import DivergedError
from tfcore.training.run_folder import RunFolder

ROOT = pathlib.Path(__file__).parents[2]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A run in the working directory."""
    monkeypatch.chdir(tmp_path)
    return write_run(pathlib.Path("run"))


def test_the_report_of_a_run_is_in_its_folder_and_is_written_anew(run: pathlib.Path, capsys: Capture) -> None:
    (run / "report.html").write_text("an older one")
    assert main(["report", "run"]) == 0
    assert capsys.readouterr() == ("Report: run/report.html\n", "")
    assert (run / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>\n")
    assert main(["report", "run", "--out=run/report.html"]) == 0


def test_several_runs_are_compared_where_one_is(run: pathlib.Path, capsys: Capture) -> None:
    write_run(run.with_name("other"))
    before = sorted(run.iterdir())
    assert main(["report", "run", "other"]) == 0
    assert capsys.readouterr().out == "Report: report.html\n"
    assert "2 runs compared" in pathlib.Path("report.html").read_text(encoding="utf-8")
    assert sorted(run.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "message", "status"),
    [
        ([], "Name the run to report on, or the runs to compare: tfcore report runs/NAME.", 2),
        (["nowhere"], "nowhere is not a run folder", 1),
        (["run", "nowhere"], "nowhere is not a run folder", 1),
        (["run", "--out=mine.html"], "mine.html is there already", 1),
        (["run", "--out=other/report.html"], "other/report.html is there already", 1),
        (["run", "run", "--out=run/result.json"], "run/result.json is there already", 1),
        (["run", "--out=run/config.flags/x.html"], "cannot be written", 1),
        (["broken"], "broken/result.json cannot be read", 1),
    ],
)
def test_refusals_are_one_line_and_change_nothing(
    run: pathlib.Path, capsys: Capture, arguments: list[str], message: str, status: int
) -> None:
    pathlib.Path("mine.html").write_text("mine")
    write_run(run.with_name("other")).joinpath("report.html").write_text("theirs")
    write_run(run.with_name("broken")).joinpath("result.json").write_text("{")
    before = {path: path.is_file() and path.read_bytes() for path in pathlib.Path().rglob("*")}
    assert main(["report", *arguments]) == status
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert {path: path.is_file() and path.read_bytes() for path in pathlib.Path().rglob("*")} == before


ALONE = """
import sys
from tfcore.cli.main import main
assert main(["report", "run"]) == 0
assert not {"tensorflow", "keras", "matplotlib.pyplot"} & set(sys.modules)
"""


def test_a_report_is_made_without_tensorflow(run: pathlib.Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-W", "error", "-c", ALONE], check=True, env=environment, cwd=run.parent)


LABELS = (np.arange(200) % 2).astype(np.int32)
IMAGES = np.random.default_rng(0).integers(0, 256, (200, 4, 4, 1), np.uint8)
DATA = Dataset("noise", Split(IMAGES, LABELS), Split(IMAGES[:50], LABELS[:50]), ("one", "other"))
CONFIG = RunConfig(steps=20, batch_size=20, schedule="constant", log_every_steps=5)


def trained(path: pathlib.Path, config: RunConfig = CONFIG, pause_step: int | None = None) -> str:
    """Returns the output of a run that writes its report at its end."""
    console = Console(file=io.StringIO(), width=1000)
    with RunFolder(path) as folder:
        session = Session(resolve(config), folder, console, data=DATA)
        try:
            with report.at_end(folder, wanted=config.report, say=console.print):
                session.run(pause_step=pause_step)
        except DivergedError:
            console.print("diverged")
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_run_from_python_leaves_its_report_and_a_longer_one_another(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "run" / "report.html"
    texts = []
    for steps in (20, 30):
        tfcore.train(replace(CONFIG, steps=steps), run_dir=path.parent, data=DATA, quietly=True)
        texts.append(path.read_text(encoding="utf-8"))
    assert ["--steps=20" in text for text in texts] == [True, False]
    assert main(["report", str(path.parent)]) == 0
    assert path.read_text(encoding="utf-8") == texts[1]


@pytest.mark.thorough
def test_a_run_that_is_to_go_on_has_none_until_it_has_ended(tmp_path: pathlib.Path) -> None:
    assert "Report" not in trained(tmp_path / "run", pause_step=10)
    assert not (tmp_path / "run" / "report.html").exists()
    assert trained(tmp_path / "run").splitlines()[-1] == f"Report: {tmp_path / 'run' / 'report.html'}"


def test_a_run_that_wants_none_has_none(tmp_path: pathlib.Path) -> None:
    assert "Report" not in trained(tmp_path / "run", replace(CONFIG, report=False))
    assert not (tmp_path / "run" / "report.html").exists()


@pytest.mark.thorough
def test_a_run_whose_numbers_went_bad_has_one_that_says_so(tmp_path: pathlib.Path) -> None:
    said = trained(tmp_path / "run", replace(CONFIG, optimizer="gradient_descent", learning_rate=1e38))
    assert said.splitlines()[-2:] == [f"Report: {tmp_path / 'run' / 'report.html'}", "diverged"]
    text = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "The first number that is not finite came up in step" in text


@pytest.mark.thorough
def test_a_report_that_cannot_be_made_is_a_warning(tmp_path: pathlib.Path) -> None:
    (tmp_path / "run").mkdir()
    trained(tmp_path / "run", pause_step=10)
    (tmp_path / "run" / "report.html").mkdir()
    said = trained(tmp_path / "run").splitlines()
    assert said[-1].startswith(f"warning: this run has no report: {tmp_path}/run/report.html cannot be written")
    assert any(line.startswith("finished after 20 steps") for line in said)
