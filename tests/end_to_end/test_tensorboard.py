"""`train --tensorboard`: the server lives as long as the run, through Ctrl-C until that has saved."""

import os
import pathlib
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from typing import IO

import pytest
from rich.console import Console

from tfcore.build.configuration import resolve
from tfcore.config import RunConfig
from tfcore.errors import ConfigError
from tfcore.run.session import Session
from tfcore.training.run_folder import RunFolder

pytestmark = pytest.mark.thorough

ROOT = pathlib.Path(__file__).parents[2]
FLAGS = ("--model=mlp", "--hidden=16", "--steps=10000000", "--tensorboard", "--tensorboard_port=0", "--run_dir=run")


def line_with(text: IO[str], words: str) -> str:
    return next(line for line in text if words in line)


def test_ctrl_c_saves_the_run_and_takes_it_along(tmp_path: pathlib.Path) -> None:
    """Ctrl-C goes to the whole process group, as from a terminal; the server is outside and is not ended early."""
    arguments = [sys.executable, "-m", "tfcore", "train", *FLAGS]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        arguments, cwd=tmp_path, env=environment, start_new_session=True, text=True, bufsize=1,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        address = line_with(process.stdout, "TensorBoard:").split()[1]
        line_with(process.stdout, "epoch 1:")
        with urllib.request.urlopen(address, timeout=10) as page:
            assert b"<title>TensorBoard" in page.read()
        os.killpg(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Stopped and saved at step" in output
    assert "warning" not in output
    assert errors.startswith("Saving. Press Ctrl-C again to quit without saving.")
    assert errors.count("\n") == 1
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(address, timeout=10)


def test_a_tensorboard_that_cannot_start_leaves_no_run_behind(tmp_path: pathlib.Path) -> None:
    def cannot_start() -> None:
        raise ConfigError("in use")

    with pytest.raises(ConfigError, match="in use"), RunFolder(tmp_path / "run") as folder:
        Session(resolve(RunConfig(steps=3)), folder, Console(quiet=True)).run(on_start=cannot_start)
    assert list(tmp_path.iterdir()) == []
