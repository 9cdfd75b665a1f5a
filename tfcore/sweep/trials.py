"""Runs the trials of a sweep one after the other, and ranks them.

Each trial is a separate process, so a crash, NaN or infinity, or too little memory ends that trial alone. Its run
folder is named after its settings: the same command skips finished trials and resumes unfinished ones.

Trials are ranked by validation score. Choosing the best of many trials by test score would fit the choice to the test
examples and overestimate the accuracy on new ones; the test score is shown for information only.
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
_TAIL_BYTES = 1 << 16  # of a trial's output that are searched for its error
_SUMMARY = 120  # characters of a trial's summary in the log
Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """The progress and result of a trial.

    Args:
        trial: the trial.
        status: finished, stopped_early, unfinished or failed.
        result: the content of its result.json.
        secs: time taken so far, in all processes.
        error: one line, if it failed.
    """

    trial: Trial
    status: str
    result: Mapping[str, Any]
    secs: float = 0.0
    error: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether the trial is complete."""
        return self.status in _ENDED

    def validation(self, monitor: str) -> float:
        """Returns the best validation score of a trial that has ended."""
        return float(self.result["best"]["validation"][monitor])

    def summary(self, monitor: str) -> str:
        """Returns the text of the trial's line in the log."""
        if self.has_ended:
            return f"validation {monitor} {self.validation(monitor):.4f}, {self.secs:.1f} s"
        return textwrap.shorten(f"failed: {self.error}", _SUMMARY, placeholder=" …") if self.error else self.status


def held(folder: Path) -> FileLock:
    """Acquires the folder's lock: two sweeps in one folder would count each other's trials as failed."""
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
    """Runs all trials, or those before a signal, and returns their outcomes; updates `secs`, also on disk."""
    outcomes = []
    for number, trial in enumerate(plan.trials, start=1):
        head, before = f"{number}/{len(plan.trials)} {trial.title}", secs.get(trial.name, 0.0)
        outcome = _found(folder, trial, before)
        if outcome.status != "unfinished":
            say(f"{head}: {outcome.summary(plan.monitor)}, not run again")
        elif not relay.received:
            say(f"{head}: started")
            outcome = _run_one(folder, trial, before, relay)
            secs[trial.name] = outcome.secs
            write_plan(plan, folder, secs)
            say(f"{head}: {outcome.summary(plan.monitor)}")
        outcomes.append(outcome)
    return outcomes


def _run_one(folder: Path, trial: Trial, before_secs: float, relay: Relay) -> Outcome:
    """Runs the trial in a child process and reads its outcome."""
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
    """Reads the outcome from the trial's folder. A failed trial counts as unfinished: it is run again."""
    try:
        result = RunFolder(folder / trial.name).read_result()
    except RunError:
        result = {}  # the trial itself reports the error
    if result.get("status") not in _ENDED:
        return Outcome(trial, "unfinished", result, secs)
    try:
        float(result["best"]["validation"]["loss"]), float(result["test"]["accuracy"])
    except (KeyError, TypeError, ValueError):
        return Outcome(trial, "failed", result, secs, "it has no validation score for the ranking.")
    return Outcome(trial, result["status"], result, secs)


def log_path(folder: Path, trial: Trial) -> Path:
    """Returns the path of the trial's output: beside its folder, because the folder of a new run must be empty."""
    return folder / f"{trial.name}.log"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _error(log: Path, position: int, status: int) -> str:
    """Returns the line that says why a process failed, from its output since `position`."""
    with log.open("rb") as file:
        file.seek(max(position, _size(log) - _TAIL_BYTES))
        lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    if told:
        return checks.one_line(told[-1])
    if status < 0:
        hint = " Was there too little memory?" if -status == signal.SIGKILL else ""
        return f"ended by {signal.Signals(-status).name}.{hint}"
    return checks.one_line(lines[-1] if lines else f"ended with status {status} without output.")


def ranked(outcomes: Sequence[Outcome], monitor: str) -> list[Outcome]:
    """Sorts outcomes: best validation score first, then unfinished trials, then failed ones."""
    sign = 1 if monitor == "loss" else -1

    def key(outcome: Outcome) -> tuple[int, float]:
        if outcome.has_ended:
            return 0, sign * outcome.validation(monitor)
        return (2 if outcome.status == "failed" else 1), 0.0

    return sorted(outcomes, key=key)
