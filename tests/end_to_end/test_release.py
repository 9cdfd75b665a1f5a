"""Run folders that the last release wrote are scored, loaded, exported and resumed by this one.

`release_0_1_0/` holds two folders that tfcore 0.1.0 wrote: `finished`, and `stopped` after 11 of 20 steps.
`expected.json` holds the test scores that 0.1.0 gave for the first, and for the second after resuming it.
"""

import json
import pathlib
import shutil
from typing import Any

import numpy as np
import pytest

import tfcore
from tfcore.cli.main import main
from tfcore.training.checkpoints import steps_in

RELEASE = pathlib.Path(__file__).with_name("release_0_1_0")
EXPECTED = json.loads((RELEASE / "expected.json").read_text(encoding="utf-8"))
RUNS = ("finished", "stopped")


@pytest.fixture
def run(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy of the folder that the test's parameter names."""
    return pathlib.Path(shutil.copytree(RELEASE / request.param, tmp_path / "run"))


def scores(run: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["eval", f"--run_dir={run}", "--json"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def assert_as_expected(found: dict[str, Any], name: str, tolerance: float) -> None:
    assert found["step"] == EXPECTED[name]["step"]
    assert found["accuracy"] == EXPECTED[name]["accuracy"]
    assert found["loss"] == pytest.approx(EXPECTED[name]["loss"], rel=tolerance)


@pytest.mark.parametrize("run", ["finished"], indirect=True)
def test_a_finished_run_has_the_scores_that_it_had(run: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert_as_expected(scores(run, capsys), "finished", 1e-6)
    assert main(["train", f"--run_dir={run}"]) == 0
    assert capsys.readouterr().out.startswith(f"The run in {run} has finished after 20 steps")


@pytest.mark.parametrize("run", ["stopped"], indirect=True)
def test_a_stopped_run_is_resumed_to_the_same_end(run: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", f"--run_dir={run}", "--quiet"]) == 0
    capsys.readouterr()
    assert_as_expected(scores(run, capsys), "stopped", 1e-4)  # nine steps, perhaps on another processor
    assert steps_in(run / "checkpoints")[-1] == 20


@pytest.mark.parametrize("run", RUNS, indirect=True)
def test_its_model_loads_and_its_exports_agree(
    run: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    probabilities = tfcore.load(run).probabilities(images)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert np.ptp(probabilities, axis=0).max() > 0
    out = tmp_path / "model.npz"
    assert main(["export", f"--run_dir={run}", "--format=npz", f"--out={out}"]) == 0
    capsys.readouterr()
    np.testing.assert_allclose(tfcore.load(out).probabilities(images), probabilities, rtol=1e-5)
