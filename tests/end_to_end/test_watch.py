"""`eval --watch` in a separate process, beside a run that saves, deletes and ends."""

import json
import os
import pathlib
import subprocess
import sys
from dataclasses import replace

import pytest
from rich.console import Console

from tfcore.build.configuration import resolve
from tfcore.config import RunConfig
from tfcore.run.session import Session
from tfcore.training.events import Event, Moment, Schedule
from tfcore.training.run_folder import RunFolder

pytestmark = pytest.mark.thorough

ROOT = pathlib.Path(__file__).parents[2]
EVERY = 2  # steps from one evaluation, and one checkpoint, to the next
STEPS = 30
CONFIG = RunConfig(
    steps=STEPS, batch_size=50, train_examples=200, validation=100, test_examples=100,
    evaluate_every_epochs=1, checkpoint_every_epochs=1, learning_rate=0.01,
)  # fmt: skip


class Watcher:
    """Starts `eval --watch` before the first checkpoint and holds the run until it has scored one."""

    def __init__(self, run: pathlib.Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        arguments = [sys.executable, "-m", "tfcore", "eval", "--watch", "--split=validation", "--json"]
        self._start = lambda: subprocess.Popen(
            [*arguments, f"--run_dir={run}"], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.lines: list[str] = []

    def at_step(self, moment: Moment) -> None:
        if moment.step == 1:
            self.process = self._start()
            assert self.process.stderr is not None
            assert self.process.stderr.readline() == "Waiting for the first checkpoint.\n"
        if moment.step == EVERY + 1:
            assert self.process.stdout is not None
            self.lines.append(self.process.stdout.readline())

    def end(self) -> list[dict[str, float]]:
        """Waits for its end; returns its output."""
        with self.process:
            output, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, errors
        return [json.loads(line) for line in [*self.lines, *output.splitlines()]]


@pytest.mark.parametrize("keep", [0, 1])
def test_each_checkpoint_is_scored_once_as_the_run_scored_it(tmp_path: pathlib.Path, keep: int) -> None:
    path = tmp_path / "run"
    watcher = Watcher(path)
    config = resolve(replace(CONFIG, keep_checkpoints=keep))
    with RunFolder(path) as folder:
        events = [Event("watcher", Schedule(EVERY, offset=1), watcher.at_step)]
        Session(config, folder, Console(quiet=True), events=lambda _: events).run()
    scores = watcher.end()
    logged = [json.loads(line) for line in (path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    expected = {line["step"]: (line["loss"], line["accuracy"]) for line in logged if line["split"] == "validation"}
    steps = [score["step"] for score in scores]
    assert list(expected) == list(range(EVERY, STEPS + 1, EVERY))
    assert steps == list(expected) if keep == 0 else steps == sorted({*steps, EVERY, STEPS})
    assert {score["step"]: (score["loss"], score["accuracy"]) for score in scores} == {s: expected[s] for s in steps}
