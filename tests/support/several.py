"""Several workers of one run, each a process of its own on this machine."""

import json
import os
import pathlib
import subprocess
from concurrent.futures import ThreadPoolExecutor

from support import forked

from tfcore.distribution.launch import addresses

Done = list[subprocess.CompletedProcess[str]]


def train(
    folder: pathlib.Path, count: int, *flags: str, of_worker: dict[int, tuple[str, ...]] | None = None, present: int = 0
) -> Done:
    """Trains the run in `folder / "run"`, and returns what each worker printed.

    Args:
        folder: for the run, and for a folder of each worker.
        count: number of workers.
        flags: of all.
        of_worker: more flags of some.
        present: how many of the workers are started; 0 for all.
    """
    hosts = addresses(count)

    def work(number: int) -> subprocess.CompletedProcess[str]:
        own = folder / f"worker-{number}"
        own.mkdir(parents=True, exist_ok=True)
        config = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": number}}
        environment = {**os.environ, "TF_CONFIG": json.dumps(config)} if count > 1 else dict(os.environ)
        more = (of_worker or {}).get(number, ())
        arguments = ["train", f"--run_dir={folder / 'run'}", "--intra_op_threads=1", *flags, *more]
        return forked.run(arguments, cwd=own, timeout=200, environment=environment)

    forked.start_server()
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, range(present or count)))


def assert_trained(done: Done) -> None:
    """Asserts that all succeeded, and that only the chief printed."""
    for number, process in enumerate(done):
        told = f"worker {number}: exit {process.returncode}\n{process.stdout}\n{process.stderr}"
        assert process.returncode == 0, told
        assert bool(process.stdout) == (number == 0)
        assert not process.stderr
