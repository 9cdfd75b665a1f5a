"""Kills training processes at random moments, resumes them by the same command, and counts the runs that differ.

    python tools/reliability/kills.py --kills=5               a minute or two; prints the result
    python tools/reliability/kills.py --kills=5 --reader=records    the same on a data set in files
    python tools/reliability/kills.py --kills=200 --record    ten minutes or more on two cores

A run survives when it ends with the bytes of an uninterrupted one: every kept checkpoint, both logs, its result (times
and rates apart), and no other file in its folder. Otherwise all its kills count as lost, its folder is kept, and the
exit status is 1. It is 1 as well when a phase to kill in was never observed: see killed_runs/killed_process.py.
"""

import argparse
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

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # Python puts only the folder of a script on the path

from tfcore.build import importing  # noqa: E402

importing.import_tensorflow()

from tfcore.machine import processor  # noqa: E402
from tools import records  # noqa: E402
from tools.reliability import write_page  # noqa: E402
from tools.reliability.killed_runs import data_sets  # noqa: E402
from tools.reliability.killed_runs.campaign import FLAGS, Campaign, RehearsalError, Trial  # noqa: E402
from tools.reliability.killed_runs.kill_plan import SHARES  # noqa: E402
from tools.reliability.killed_runs.killed_process import Phase  # noqa: E402


def report(trials: list[Trial]) -> dict[str, Any]:
    """The kills by phase and in all, and the differences of the lost runs."""
    tried = Counter(phase for trial in trials for phase, _ in trial.kills)
    lost = Counter(phase for trial in trials if trial.problem for phase, _ in trial.kills)
    phases = {
        in_words(phase): {"tried": tried[phase], "survived": tried[phase] - lost[phase], "lost": lost[phase]}
        for phase in Phase
    }
    return {
        "runs": len(trials),
        "kills": phases,
        "all": {name: sum(row[name] for row in phases.values()) for name in ("tried", "survived", "lost")},
        "at_a_file_operation": sum(by_itself for trial in trials for _, by_itself in trial.kills),
        "problems": {f"run-{trial.number:04d}": trial.problem for trial in trials if trial.problem},
    }


def in_words(phase: Phase) -> str:
    """The name of a phase, in lower case and with spaces."""
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
    """Runs the whole campaign, under a progress bar."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("rehearsing", total=arguments.kills)
        campaign = Campaign(
            folder,
            seed=arguments.seed,
            jobs=arguments.jobs,
            flags=data_sets.flags(arguments.reader, folder) if arguments.reader else (),
            on_kill=lambda phase: progress.update(
                task, advance=phase in SHARES, description=f"killed: {in_words(phase)}"
            ),
        )
        try:
            campaign.rehearse()
            progress.reset(task)
            start = time.monotonic()
            figures = report(campaign.run(arguments.kills))
        finally:
            campaign.close()
    options = f"--kills={arguments.kills} --seed={arguments.seed} --jobs={arguments.jobs}"
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores, {processor()}",
        "versions": f"TensorFlow {metadata.version('tensorflow')}, Python {platform.python_version()}",
        "command": f"python tools/reliability/kills.py {options} --record",
        "flags": list(FLAGS),
        "secs": round(time.monotonic() - start),
        **figures,
    }


def main() -> int:
    """Runs the campaign; returns the exit status."""
    files = write_page.files_of("kills")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="after the first step; some more before it [200]")
    parser.add_argument("--seed", type=int, default=0, help="of the moments to kill at [0]")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time [2]")
    parser.add_argument(
        "--reader", choices=data_sets.READERS, help="pictures in files, read batch by batch [pictures in memory]"
    )
    records.add_flag(parser, files)
    arguments = parser.parse_args()
    if arguments.record and arguments.reader:
        parser.error("--record takes all phases of a run on pictures in memory: leave out --reader")
    console, folder = Console(), pathlib.Path(tempfile.mkdtemp(prefix="tfcore-kills-"))
    try:
        figures = measure(arguments, console, folder)
    except RehearsalError as error:
        shutil.rmtree(folder)
        console.print(f"error: {error}", soft_wrap=True, markup=False)
        return 1
    console.print(table(figures))
    console.print(
        f"{figures['runs']} runs in {figures['secs']} s, {figures['at_a_file_operation']} kills at a file operation."
    )
    records.finish(files, lambda: write_page.record("kills", figures), is_wanted=arguments.record)
    if figures["problems"]:
        for name, problem in figures["problems"].items():
            console.print(f"lost: {name}: {problem}")
        console.print(f"The lost runs and the uninterrupted one: {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
