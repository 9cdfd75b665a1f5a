"""Commands in processes of their own, forked from one that has imported TensorFlow: seconds less for each command."""

import multiprocessing
import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from unittest import mock

ROOT = pathlib.Path(__file__).parents[2]


def run(
    arguments: Sequence[str], *, cwd: pathlib.Path, timeout: float, environment: Mapping[str, str] = os.environ
) -> subprocess.CompletedProcess[str]:
    """Does what `python -m tfcore` with the arguments does, in a process with this one's environment or another.

    The process begins with one thread, and with TensorFlow imported but not used. What it prints goes to two hidden
    files in `cwd` until it ends.

    Raises:
        subprocess.TimeoutExpired: it took longer than `timeout` seconds, and was killed.
    """
    start_server()
    files = [cwd / f".{name}" for name in ("out", "err")]
    process = multiprocessing.get_context("forkserver").Process(
        target=_command, args=(arguments, cwd, files, dict(environment))
    )
    process.start()
    process.join(timeout)
    if process.exitcode is None:
        process.kill()
        raise subprocess.TimeoutExpired(["tfcore", *arguments], timeout)
    out, err = (file.read_text(encoding="utf-8") for file in files)
    for file in files:
        file.unlink()
    return subprocess.CompletedProcess(["tfcore", *arguments], process.exitcode, out, err)


def start_server() -> None:
    """Starts the process that the others are forked from, if there is none. It has one thread, as a fork keeps one."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(["support.preloaded"])
    path = f"{ROOT}:{ROOT / 'tests'}"
    with mock.patch.dict(os.environ, {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}):
        forkserver.ensure_running()


def _command(
    arguments: Sequence[str], cwd: pathlib.Path, files: Sequence[pathlib.Path], environment: dict[str, str]
) -> None:
    """Is the whole of the new process."""
    for descriptor, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), descriptor)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["tfcore", *arguments]
    from tfcore.cli.main import console

    console()
