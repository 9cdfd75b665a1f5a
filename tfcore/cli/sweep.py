"""`sweep`: trains one run for each combination of settings, and ranks them in a table."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfcore import checks
from tfcore.cli import flags
from tfcore.sweep import trials
from tfcore.sweep.plan import Plan, make_plan, write_plan
from tfcore.sweep.relay import Relay
from tfcore.sweep.trials import Outcome
from tfcore.terminal import tables

_SIGNAL_STATUS = 128


def run(parsed: flags.Parsed) -> int:
    """Runs the trials that have not ended, ranks all trials, and returns the exit status."""
    options = parsed.options
    plan = make_plan(parsed.given, options["grid"], options["random"])
    jobs = options["jobs"]
    checks.positive("jobs", jobs)
    folder = Path(options["out"]) if options["out"] else plan.default_folder()
    with trials.planned(folder):
        write_plan(plan, folder)
    if options["print"]:
        print(*trials.commands(plan, folder), sep="\n")
        return 0
    console = tables.console(to_stderr=options["json"])
    with Relay() as relay:
        how = "one after the other" if jobs == 1 else f"{jobs} at a time"
        console.print(f"sweep: {len(plan.trials)} trials, {how}, in {folder}")
        ranked = trials.ranked(trials.Runner(plan, folder, relay, console.print).run(jobs), plan.monitor)
        console.print(tables.ranking_table(*_table(plan, ranked)))
        for outcome in ranked:
            if outcome.status == "failed":
                console.print(
                    f"{outcome.trial.title}: {outcome.error} Its output: {trials.log_path(folder, outcome.trial)}"
                )
        if relay.received:
            console.print("Stopped. The same command resumes the sweep.")
        console.print(f"Look at it: {tables.tensorboard_command(folder)}")
        if options["json"]:
            print(json.dumps(_as_json(plan, folder, ranked)))
    if relay.received:
        return _SIGNAL_STATUS + relay.received
    return 0 if all(outcome.has_ended for outcome in ranked) else 1


def _table(plan: Plan, ranked: Sequence[Outcome]) -> tuple[list[str], list[list[str]]]:
    """Returns headings and rows of the table, with the settings that vary between trials."""
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
    """Returns the table as JSON values; a trial that has not ended has no rank and no scores."""
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
