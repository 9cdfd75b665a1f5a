"""The examples, run as scripts."""

import json
import os
import pathlib
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.thorough

ROOT = pathlib.Path(__file__).parents[2]


def example(name: str, *arguments: str, folder: pathlib.Path) -> subprocess.CompletedProcess[str]:
    """Runs `python examples/NAME …` in a folder; returns its output."""
    command = [sys.executable, ROOT / "examples" / name, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=folder, env=environment, timeout=300
    )


@pytest.mark.usefixtures("real_data")
def test_the_pseudo_digit_is_recognised(command: Any, tmp_path: pathlib.Path) -> None:
    size = ("--train_examples=12000", "--test_examples=1000", "--validation=0", "--epochs=3")
    command("train", "--model=mlp", "--dataset=mnist", *size, "--run_dir=run")
    done = example("pseudo_digit.py", "run", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    *rows, first, second, third = done.stdout.splitlines()

    with Image.open(tmp_path / "digit.png") as image:
        digit = np.asarray(image)
    assert (digit.shape, digit.dtype) == ((28, 28), np.uint8)
    assert [bytes.fromhex(row) for row in rows] == [row.tobytes() for row in digit]
    assert digit[:3].max() == digit[-3:].max() == digit[:, :5].max() == digit[:, -5:].max() == 0  # as MNIST's margins

    (name, share), *others = (line.split(": ") for line in (first, second, third))
    assert name == "3"
    assert float(share) > 0.9
    assert float(share) + sum(float(other) for _, other in others) <= 1.0001


def test_the_pseudo_digit_needs_a_run(tmp_path: pathlib.Path) -> None:
    done = example("pseudo_digit.py", "nowhere", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("nowhere is not a run folder: it has no readable config.flags.")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_notebook_trains_a_class_of_its_own_cell(tmp_path: pathlib.Path) -> None:
    command = [sys.executable, "-W", "error", ROOT / "tests" / "support" / "notebook.py"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [*command, ROOT / "examples" / "own_network.ipynb"], check=False, capture_output=True, text=True,
        cwd=tmp_path, env=environment, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    assert (run / "report.html").is_file()
    lines = done.stdout.splitlines()
    (curve,) = [line for line in lines if line.startswith("validation accuracy: ")]
    accuracy = [float(value) for value in curve.partition(": ")[2].split(", ")]
    assert len(accuracy) == 10
    assert accuracy[-1] > 0.7
    predicted = [re.fullmatch(r"(\w+): predicted (\w+), (\d+)%", line) for line in lines[-5:]]
    assert all(predicted)
    assert (
        sum(found[1] == found[2] for found in predicted if found) >= 2
    )  # of five; guessing is that good once in twelve times


def test_the_notebook_is_stored_without_results() -> None:
    notebook = json.loads((ROOT / "examples" / "own_network.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) == 4
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
