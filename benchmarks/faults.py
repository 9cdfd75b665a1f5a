"""Kills training processes at random moments, continues them by the same command, and counts what was lost.

    python benchmarks/faults.py --kills=200     ten minutes and more on two cores; writes benchmarks/faults.json

A run survives when it ends with the bytes of one that was left alone: every kept checkpoint, both logs, its result
(times and rates apart), and no other file in its folder. Otherwise all its kills count as lost, its folder is kept, and
the exit status is 1.
"""

import argparse
import json
import os
import pathlib
import platform
import shutil
import sys
import tempfile
import time
from collections import Counter
from importlib import metadata
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # of a script only its own folder is on the path

from tfcore.build import importing  # noqa: E402

importing.import_tensorflow()

from benchmarks.faulting.campaign import FLAGS, Campaign, Trial  # noqa: E402
from benchmarks.faulting.child import Phase  # noqa: E402
from benchmarks.faulting.plan import SHARES  # noqa: E402
from tfcore.machine import processor  # noqa: E402

FIGURES = ROOT / "benchmarks" / "faults.json"


def report(trials: list[Trial]) -> dict[str, Any]:
    """The kills by phase and in all, and what was wrong with the runs that were lost."""
    tried = Counter(phase for trial in trials for phase, _ in trial.kills)
    lost = Counter(phase for trial in trials if trial.problem for phase, _ in trial.kills)
    phases = {
        said(phase): {"tried": tried[phase], "survived": tried[phase] - lost[phase], "lost": lost[phase]}
        for phase in Phase
    }
    return {
        "runs": len(trials),
        "kills": phases,
        "all": {name: sum(row[name] for row in phases.values()) for name in ("tried", "survived", "lost")},
        "at_a_file_operation": sum(by_itself for trial in trials for _, by_itself in trial.kills),
        "problems": {f"run-{trial.number:04d}": trial.problem for trial in trials if trial.problem},
    }


def said(phase: Phase) -> str:
    """Its name in words."""
    return phase.name.lower().replace("_", " ")


def table(figures: dict[str, Any]) -> Table:
    """The report for the terminal."""
    shown = Table("killed in", "tried", "survived", "lost")
    for column in shown.columns[1:]:
        column.justify = "right"
    for name, row in [*figures["kills"].items(), ("all", figures["all"])]:
        shown.add_row(name, *(str(row[kind]) for kind in ("tried", "survived", "lost")))
    return shown


def measure(arguments: argparse.Namespace, console: Console, folder: pathlib.Path) -> dict[str, Any]:
    """The whole campaign, under a progress line."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("rehearsing", total=arguments.kills)
        campaign = Campaign(
            folder,
            seed=arguments.seed,
            jobs=arguments.jobs,
            on_kill=lambda phase: progress.update(task, advance=phase in SHARES, description=f"killed: {said(phase)}"),
        )
        try:
            campaign.rehearse()
            progress.reset(task)
            start = time.monotonic()
            figures = report(campaign.run(arguments.kills))
        finally:
            campaign.close()
    command = f"python benchmarks/faults.py --kills={arguments.kills} --seed={arguments.seed} --jobs={arguments.jobs}"
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores, {processor()}",
        "versions": f"TensorFlow {metadata.version('tensorflow')}, Python {platform.python_version()}",
        "command": command,
        "flags": list(FLAGS),
        "secs": round(time.monotonic() - start),
        **figures,
    }


def main() -> int:
    """Runs the campaign; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="After the first step; some more before it. [200]")
    parser.add_argument("--seed", type=int, default=0, help="Of the moments to kill at. [0]")
    parser.add_argument("--jobs", type=int, default=2, help="Processes at a time. [2]")
    parser.add_argument("--out", type=pathlib.Path, default=FIGURES, help="Where to write the figures. [%(default)s]")
    arguments = parser.parse_args()
    console, folder = Console(), pathlib.Path(tempfile.mkdtemp(prefix="tfcore-faults-"))
    figures = measure(arguments, console, folder)
    arguments.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    console.print(table(figures))
    console.print(
        f"{figures['runs']} runs in {figures['secs']} s, {figures['at_a_file_operation']} kills at a file operation."
    )
    console.print(f"The same again: {figures['command']}", soft_wrap=True)
    if figures["problems"]:
        for name, problem in figures["problems"].items():
            console.print(f"lost: {name}: {problem}")
        console.print(f"The runs that were lost, and the one that was left alone: {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
