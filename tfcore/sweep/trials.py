"""The trials of a sweep: run one after the other, and ranked.

Each trial is a process of its own, so that a crash, numbers that go bad or too little memory end that trial alone. Its
run folder is named after its settings: the same command skips what has ended and goes on with what has not.

Trials are ranked by validation. Whoever picks the best of many by its test score has fitted the choice to the test
examples: that score would promise more than new examples keep. The test score is shown to be read once the choice is
made.
"""

import signal
import sys
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tfcore import checks
from tfcore.errors import RunError
from tfcore.files import writing
from tfcore.sweep.plan import PLAN, Plan, Trial, write_plan
from tfcore.sweep.relay import Relay
from tfcore.training.run_folder import RunFolder

_ENDED = ("finished", "stopped_early")
_LOCK = ".lock"
_TAIL_BYTES = 1 << 16  # of a trial's output, in which its error is looked for
_SUMMARY = 120  # characters of what is said of a trial while others follow
Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """How far a trial has come.

    Args:
        trial: which.
        status: finished, stopped_early, unfinished or failed.
        result: what its result.json says.
        secs: that it has taken so far, in all processes.
        error: one line, where it failed.
    """

    trial: Trial
    status: str
    result: Mapping[str, Any]
    secs: float = 0.0
    error: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether nothing is left to do."""
        return self.status in _ENDED

    def validation(self, monitor: str) -> float:
        """The best validation score of a trial that has ended."""
        return float(self.result["best"]["validation"][monitor])

    def summary(self, monitor: str) -> str:
        """What its line says at its end."""
        if self.has_ended:
            return f"validation {monitor} {self.validation(monitor):.4f}, {self.secs:.1f} s"
        return textwrap.shorten(f"failed: {self.error}", _SUMMARY, placeholder=" …") if self.error else self.status


def held(folder: Path) -> FileLock:
    """The folder's lock, taken: two sweeps in one folder would count each other's trials as failed."""
    inside = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    if inside - {_LOCK} and PLAN not in inside:
        raise RunError(f"{folder} holds files but no sweep ({PLAN} is missing). Name another --out.")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock = FileLock(folder / _LOCK)
            lock.acquire(timeout=0)
        except Timeout:
            raise RunError(f"{folder} is in use by another sweep. Wait for it, or name another --out.") from None
    return lock


def run_trials(plan: Plan, folder: Path, secs: dict[str, float], relay: Relay, say: Say) -> list[Outcome]:
    """How far each trial has come, once all were run, or a signal came; `secs` is kept up to date, on disk too."""
    outcomes = []
    for number, trial in enumerate(plan.trials, start=1):
        head, before = f"{number}/{len(plan.trials)} {trial.title}", secs.get(trial.name, 0.0)
        outcome = _found(folder, trial, before)
        if outcome.status != "unfinished":
            say(f"{head}: {outcome.summary(plan.monitor)}, as it was")
        elif not relay.received:
            say(f"{head}: started")
            outcome = _run_one(folder, trial, before, relay)
            secs[trial.name] = outcome.secs
            write_plan(plan, folder, secs)
            say(f"{head}: {outcome.summary(plan.monitor)}")
        outcomes.append(outcome)
    return outcomes


def _run_one(folder: Path, trial: Trial, before_secs: float, relay: Relay) -> Outcome:
    """Has the trial run to its end in a process of its own, and looks at what it has left."""
    log = log_path(folder, trial)
    start, position = time.monotonic(), _size(log)
    command = [sys.executable, "-m", "tfcore", "train", f"--run_dir={folder / trial.name}", *trial.flags]
    with writing(log):
        status = relay.run(command, log)
    outcome = _found(folder, trial, before_secs + time.monotonic() - start)
    if outcome.status == "unfinished" and not relay.received:
        return replace(outcome, status="failed", error=_error(log, position, status))
    return outcome


def _found(folder: Path, trial: Trial, secs: float) -> Outcome:
    """What the trial's folder says of it. What failed counts as unfinished: it is tried again."""
    try:
        result = RunFolder(folder / trial.name).read_result()
    except RunError:
        result = {}  # the trial itself will say what is wrong with it
    if result.get("status") not in _ENDED:
        return Outcome(trial, "unfinished", result, secs)
    try:
        float(result["best"]["validation"]["loss"]), float(result["test"]["accuracy"])
    except (KeyError, TypeError, ValueError):
        return Outcome(trial, "failed", result, secs, "it has no validation score to be ranked by.")
    return Outcome(trial, result["status"], result, secs)


def log_path(folder: Path, trial: Trial) -> Path:
    """Where the trial's output goes: beside its folder, as a new run's must be empty."""
    return folder / f"{trial.name}.log"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _error(log: Path, position: int, status: int) -> str:
    """The one line that says why a process failed, from what it has printed since `position`."""
    with log.open("rb") as file:
        file.seek(max(position, _size(log) - _TAIL_BYTES))
        lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    if told:
        return checks.one_line(told[-1])
    if status < 0:
        hint = " Was there too little memory?" if -status == signal.SIGKILL else ""
        return f"ended by {signal.Signals(-status).name}.{hint}"
    return checks.one_line(lines[-1] if lines else f"ended with status {status} and said nothing.")


def ranked(outcomes: Sequence[Outcome], monitor: str) -> list[Outcome]:
    """Best validation first, then what has not ended, and what failed last."""
    sign = 1 if monitor == "loss" else -1

    def key(outcome: Outcome) -> tuple[int, float]:
        if outcome.has_ended:
            return 0, sign * outcome.validation(monitor)
        return (2 if outcome.status == "failed" else 1), 0.0

    return sorted(outcomes, key=key)
