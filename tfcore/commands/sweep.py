"""`sweep`: a run for each combination of settings, one after the other, and a table that ranks them.

Each trial is a process of its own, so that a crash, numbers that go bad or too little memory end that trial alone. Its
run folder is named after its settings: the same command skips what has ended and goes on with what has not.

Trials are ranked by validation. Whoever picks the best of many by its test score has fitted the choice to the test
examples: that score would promise more than new examples keep. The test score is shown to be read once the choice is
made.
"""

import json
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
from tfcore.commands import display, flags, sweep_plan
from tfcore.commands.relay import Relay
from tfcore.commands.sweep_plan import Plan, Trial
from tfcore.errors import RunError
from tfcore.files import writing
from tfcore.training.run_folder import RunFolder

_ENDED = ("finished", "stopped_early")
_SIGNAL_STATUS = 128
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


def run(parsed: flags.Parsed) -> int:
    """Runs the trials that have not ended, ranks all, and gives back the exit status."""
    options = parsed.options
    plan = sweep_plan.make(parsed.given, options["grid"], options["random"])
    folder = Path(options["out"]) if options["out"] else plan.default_folder()
    console = display.console(to_stderr=options["json"])
    with _held(folder), Relay() as relay:
        secs = sweep_plan.take_up(plan, folder)
        sweep_plan.keep(plan, folder, secs)
        console.print(f"sweep: {len(plan.trials)} trials, one after the other, in {folder}")
        ranked = _ranked(_run_trials(plan, folder, secs, relay, console.print), plan.monitor)
        console.print(display.ranking_table(*_table(plan, ranked)))
        for outcome in ranked:
            if outcome.status == "failed":
                console.print(f"{outcome.trial.title}: {outcome.error} All it said: {_log(folder, outcome.trial)}")
        if relay.received:
            console.print("Stopped. The same command goes on.")
        console.print(f"Look at it: {display.tensorboard_command(folder)}")
        if options["json"]:
            print(json.dumps(_as_json(plan, folder, ranked)))
    if relay.received:
        return _SIGNAL_STATUS + relay.received
    return 0 if all(outcome.has_ended for outcome in ranked) else 1


def _held(folder: Path) -> FileLock:
    """The folder's lock, taken: two sweeps in one folder would count each other's trials as failed."""
    inside = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    if inside - {_LOCK} and sweep_plan.PLAN not in inside:
        raise RunError(f"{folder} holds files but no sweep ({sweep_plan.PLAN} is missing). Name another --out.")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock = FileLock(folder / _LOCK)
            lock.acquire(timeout=0)
        except Timeout:
            raise RunError(f"{folder} is in use by another sweep. Wait for it, or name another --out.") from None
    return lock


def _run_trials(plan: Plan, folder: Path, secs: dict[str, float], relay: Relay, say: Say) -> list[Outcome]:
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
            sweep_plan.keep(plan, folder, secs)
            say(f"{head}: {outcome.summary(plan.monitor)}")
        outcomes.append(outcome)
    return outcomes


def _run_one(folder: Path, trial: Trial, before_secs: float, relay: Relay) -> Outcome:
    """Has the trial run to its end in a process of its own, and looks at what it has left."""
    log = _log(folder, trial)
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


def _log(folder: Path, trial: Trial) -> Path:
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


def _ranked(outcomes: Sequence[Outcome], monitor: str) -> list[Outcome]:
    """Best validation first, then what has not ended, and what failed last."""
    sign = 1 if monitor == "loss" else -1

    def key(outcome: Outcome) -> tuple[int, float]:
        if outcome.has_ended:
            return 0, sign * outcome.validation(monitor)
        return (2 if outcome.status == "failed" else 1), 0.0

    return sorted(outcomes, key=key)


def _table(plan: Plan, ranked: Sequence[Outcome]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows; of the settings, those that vary."""
    varying = [name for name in plan.names if len({trial.spelled[name] for trial in plan.trials}) > 1]
    headings = ["rank", *varying, f"validation {plan.monitor}", "test accuracy", "steps", "time", "status"]
    rows = []
    for entry in _as_json(plan, Path(), ranked)["trials"]:
        scores = [f"{entry[name]:.4f}" if entry[name] is not None else "" for name in ("validation", "test_accuracy")]
        steps = f"{entry['steps']:,}" if entry["steps"] is not None else ""
        rank, status = str(entry["rank"] or ""), entry["status"].replace("_", " ")
        rows.append(
            [rank, *(entry["settings"][name] for name in varying), *scores, steps, f"{entry['secs']:.1f} s", status]
        )
    return headings, rows


def _as_json(plan: Plan, folder: Path, ranked: Sequence[Outcome]) -> dict[str, Any]:
    """The table as plain values; a trial that has not ended has no rank and no scores."""
    trials = [
        {
            "rank": rank if outcome.has_ended else None,
            "run_dir": str(folder / outcome.trial.name),
            "settings": outcome.trial.spelled,
            "validation": outcome.validation(plan.monitor) if outcome.has_ended else None,
            "test_accuracy": outcome.result["test"]["accuracy"] if outcome.has_ended else None,
            "steps": outcome.result.get("steps"),
            "secs": outcome.secs,
            "status": outcome.status,
            **({"error": outcome.error} if outcome.error else {}),
        }
        for rank, outcome in enumerate(ranked, start=1)
    ]
    return {"sweep_dir": str(folder), "monitor": plan.monitor, "trials": trials}
