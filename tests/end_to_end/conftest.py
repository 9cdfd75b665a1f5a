"""Runs the commands, in separate processes or in the test's own."""

import contextlib
import io
import pathlib
import subprocess
from collections.abc import Callable

import pytest
from support import forked
from support.pages import QUICK

from tfcore.cli.main import main

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def command(tmp_path: pathlib.Path) -> Run:
    """Provides `command("train", "--steps=5", …)`: runs it in an empty folder and returns its output."""

    def run(name: str, *flags: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        arguments = [name, *(QUICK if name == "train" else ()), *flags]
        return _checked(forked.run(arguments, cwd=tmp_path, timeout=300), status)

    return run


@pytest.fixture
def call(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Provides what `command` does, without the seconds that a process takes to start."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, *flags: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        arguments, out, err = [name, *(QUICK if name == "train" else ()), *flags], io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            found = main(arguments)
        return _checked(subprocess.CompletedProcess(arguments, found, out.getvalue(), err.getvalue()), status)

    return run


def _checked(done: subprocess.CompletedProcess[str], status: int) -> subprocess.CompletedProcess[str]:
    """Returns what was done, if it ended with the status and without a traceback."""
    assert done.returncode == status, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done
