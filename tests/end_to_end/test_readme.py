"""The README's code and commands run as they stand."""

import os
import pathlib
import re
import subprocess
import sys
from typing import Any

import pytest

ROOT = pathlib.Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def code(name: str) -> str:
    """Returns the README's Python block that begins with the file's name."""
    (text,) = re.findall(rf"```python\n# {re.escape(name)}\n(.*?)```", README, re.DOTALL)
    return str(text)


@pytest.mark.thorough
def test_the_model_trains_by_the_command_below_it(command: Any, tmp_path: pathlib.Path) -> None:
    (flags,) = re.findall(r"python train\.py (--model=my_model\.py.*)", README)
    (tmp_path / "my_model.py").write_text(code("my_model.py"), encoding="utf-8")
    done = command("train", *flags.split(), "--epochs=0.3", "--run_dir=run")
    assert "features.conv_2" in done.stdout
    assert "test accuracy" in done.stdout
    command("eval", "--run_dir=run")


@pytest.mark.thorough
def test_training_from_python_runs_as_it_stands(tmp_path: pathlib.Path) -> None:
    (tmp_path / "my_training.py").write_text(code("my_training.py"), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "my_training.py"], check=False, capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^step 100: 5\.6 epochs, batch loss 0\.\d{3}, largest weight", done.stdout, re.MULTILINE)
    best = re.search(r"best validation accuracy (\d\.\d+) after \d+ steps", done.stdout)
    assert best is not None
    assert float(best[1]) > 0.9
    assert done.stdout.splitlines()[-1].startswith("[[(")


def test_both_are_about_thirty_lines() -> None:
    for name in ("my_model.py", "my_training.py"):
        assert len([line for line in code(name).splitlines() if line.strip()]) <= 32
