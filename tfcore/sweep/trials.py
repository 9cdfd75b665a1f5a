"""Runs the trials of a sweep, some at a time and in several processes or on several machines, and ranks them.

Each trial is a separate process, so a crash, NaN or infinity, or too little memory ends that trial alone. Its run
folder is named after its settings: the same command skips finished trials and resumes unfinished ones. A trial has a
lock, so the same command elsewhere takes other ones.

Trials are ranked by validation score. Choosing the best of many trials by test score would fit the choice to the test
examples and overestimate the accuracy on new ones; the test score is shown for information only.
"""

import os
import queue
import shlex
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tfcore import checks
from tfcore.errors import RunError
from tfcore.files import unfinished, writing
from tfcore.sweep.plan import PLAN, Plan, Trial, read_secs, write_secs
from tfcore.sweep.relay import Relay
from tfcore.training.run_folder import RunFolder

_ENDED = ("finished", "stopped_early")
_LOCK = ".lock"
_PLAN_SECS = 30.0  # that another process may take to compare or write the plan
_POLL_SECS = 1.0  # between looks at trials that run elsewhere
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


@contextmanager
def planned(folder: Path) -> Iterator[None]:
    """Holds the folder's lock while the plan is compared or written, which takes a moment.

    Raises:
        RunError: the folder holds something else, cannot be written, or stays locked.
    """
    inside = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    if inside - {_LOCK, unfinished(folder / PLAN).name} and not (folder / PLAN).exists():
        raise RunError(f"{folder} holds files but no sweep ({PLAN} is missing). Name another --out.")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock = FileLock(folder / _LOCK).acquire(timeout=_PLAN_SECS)
        except Timeout:
            raise RunError(f"{folder} is locked by another process. Name another --out.") from None
        with lock:
            yield


class Runner:
    """Runs the trials of a plan that no other process runs.

    Args:
        plan: of the sweep.
        folder: of the sweep, which has the plan.
        relay: passes signals on.
        say: prints a line.
    """

    def __init__(self, plan: Plan, folder: Path, relay: Relay, say: Say) -> None:
        self._plan, self._folder, self._relay, self._say = plan, folder, relay, say
        self._elsewhere: set[str] = set()  # trials that another process was seen to run

    def run(self, jobs: int) -> list[Outcome]:
        """Runs trials until all have ended, here or elsewhere, or a signal came; returns the outcomes of all.

        Args:
            jobs: how many run at a time, each on its share of the processors.
        """
        slots = queue.SimpleQueue[int]()
        for slot in range(jobs):
            slots.put(slot)
        found: list[Outcome | None] = [None] * len(self._plan.trials)
        with ThreadPoolExecutor(jobs, initializer=lambda: _take_share(slots.get(), jobs)) as pool:
            try:
                while None in found:
                    left = [number for number, outcome in enumerate(found) if outcome is None]
                    for number, outcome in zip(left, pool.map(self._attempt, left), strict=True):
                        found[number] = outcome
                    if None in found:
                        time.sleep(_POLL_SECS)
            except BaseException:
                self._relay.stop()
                raise
        return [outcome for outcome in found if outcome is not None]

    def _attempt(self, number: int) -> Outcome | None:
        """Runs a trial, unless it has ended or a signal came; None while another process runs it."""
        trial = self._plan.trials[number]
        if self._relay.received:
            return _found(self._folder, trial, read_secs(self._folder, trial.name))
        with writing(self._folder):
            try:
                lock = FileLock(self._folder / f"{trial.name}{_LOCK}").acquire(timeout=0)
            except Timeout:
                if trial.name not in self._elsewhere:
                    self._say(f"{self._head(number)}: runs elsewhere")
                self._elsewhere.add(trial.name)
                return None
        with lock:
            return self._run_unless_ended(number)

    def _run_unless_ended(self, number: int) -> Outcome:
        """Runs a trial that no other process runs, unless it has ended, or has failed elsewhere since this began."""
        trial, head = self._plan.trials[number], self._head(number)
        before, is_from_elsewhere = read_secs(self._folder, trial.name), trial.name in self._elsewhere
        outcome, how = _found(self._folder, trial, before), ", not run again"
        if is_from_elsewhere:
            how = ", ended elsewhere"
            if outcome.result.get("status") == "failed":  # it would fail here too
                outcome = replace(outcome, status="failed", error=_error(log_path(self._folder, trial), 0, 1))
        if outcome.status == "unfinished":
            self._say(f"{head}: started")
            outcome, how = _run_one(self._folder, trial, before, self._relay), ""
            with planned(self._folder):
                write_secs(self._folder, trial.name, outcome.secs)
        self._say(f"{head}: {outcome.summary(self._plan.monitor)}{how}")
        return outcome

    def _head(self, number: int) -> str:
        """The beginning of a trial's lines in the log."""
        return f"{number + 1}/{len(self._plan.trials)} {self._plan.trials[number].title}"


def _take_share(slot: int, jobs: int) -> None:
    """Restricts this thread, and the processes that it starts, to its share of the processors."""
    if jobs > 1 and hasattr(os, "sched_setaffinity"):
        given = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, given[slot % len(given) :: jobs])


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


def commands(plan: Plan, folder: Path) -> list[str]:
    """The shell command of each trial that has not ended."""
    left = [trial for trial in plan.trials if _found(folder, trial, 0.0).status == "unfinished"]
    return [shlex.join(["tfcore", "train", f"--run_dir={folder / trial.name}", *trial.flags]) for trial in left]


def ranked(outcomes: Sequence[Outcome], monitor: str) -> list[Outcome]:
    """Sorts outcomes: best validation score first, then unfinished trials, then failed ones."""
    sign = 1 if monitor == "loss" else -1

    def key(outcome: Outcome) -> tuple[int, float]:
        if outcome.has_ended:
            return 0, sign * outcome.validation(monitor)
        return (2 if outcome.status == "failed" else 1), 0.0

    return sorted(outcomes, key=key)
