"""Mutates good files with knowledge of their structure, and checks that every reader accepts or refuses them.

    python tools/reliability/hostile_files.py --cases=300                  a short run; prints the result
    python tools/reliability/hostile_files.py --cases=1000 --reader=npz    one reader
    python tools/reliability/hostile_files.py --reader=npz --case=12 --keep=FOLDER    one case; FOLDER keeps its files
    python tools/reliability/hostile_files.py --cases=1000000 --record     an hour

A case is a function of the seed, the reader's name and its number. Every fiftieth is not mutated and must be accepted.
A file is refused by an error for the user: one line that names the file. Everything else is a crash: another
exception, a result that breaks the reader's contract, a Python warning, more memory than the reader may take, or the
death of the process. Exit status 1 after a crash or a hang, or when less than half of the cases got past the header of
their file.
"""

import argparse
import os
import pathlib
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import metadata
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # Python puts only the folder of a script on the path

from rich.console import Console  # noqa: E402
from rich.progress import Progress  # noqa: E402

from tfcore.machine import processor  # noqa: E402
from tools import records  # noqa: E402
from tools.reliability import write_page  # noqa: E402
from tools.reliability.mutated_files import supervisor  # noqa: E402
from tools.reliability.mutated_files.reader_table import READERS, divided  # noqa: E402
from tools.reliability.mutated_files.supervisor import Shift, Tally  # noqa: E402

SHIFT_CASES = 25_000  # for one child process, so that no slow leak counts as a case that takes too much
LIMIT_SECS = 10.0  # for one case
LEAST_SHARE = 0.5  # past the header
# Libraries whose versions are recorded.
LIBRARIES = ("numpy", "pillow", "h5py", "safetensors", "tensorflow")


def campaign(
    counts: Mapping[str, int], *, seed: int, jobs: int, on_case: Callable[[], None] = lambda: None
) -> dict[str, Tally]:
    """Runs the cases.

    Args:
        counts: the number of cases of each reader.
        seed: of all cases.
        jobs: child processes at a time.
        on_case: called at the end of every case.
    """
    shifts = [
        Shift(name, READERS[name].where, seed, first, min(first + SHIFT_CASES, count))
        for name, count in counts.items()
        for first in range(0, count, SHIFT_CASES)
    ]
    tallies, stop = {name: Tally() for name in counts}, threading.Event()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            run = partial(supervisor.run, limit_secs=LIMIT_SECS, on_case=on_case, stop=stop)
            done = pool.map(run, shifts)
            for shift, tally in zip(shifts, done, strict=True):
                tallies[shift.name].add(tally)
        except BaseException:  # such as Ctrl-C
            stop.set()
            raise
    return tallies


def past_header(tallies: Mapping[str, Tally]) -> float:
    """The share of all cases that got past the header of their file."""
    return sum(tally.past_header for tally in tallies.values()) / sum(tally.cases for tally in tallies.values())


def verdict(tallies: Mapping[str, Tally]) -> list[str]:
    """The complaints for which the campaign fails."""
    failures = [failure for tally in tallies.values() for failure in tally.failures]
    complaints = ["{reader} case {case}, {kind}: {what}".format(**failure) for failure in failures]
    if past_header(tallies) < LEAST_SHARE:
        complaints.append(f"Only {past_header(tallies):.1%} of the cases got past the header.")
    return complaints


def table(tallies: Mapping[str, Tally]) -> str:
    """The figures as Markdown."""
    total = Tally()
    for tally in tallies.values():
        total.add(tally)
    lines = [
        "| reader | cases | accepted | refused | crashes | hangs | past the header | peak memory | above the start |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, tally in [*tallies.items(), ("all", total)]:
        counts = (tally.cases, tally.accepted, tally.refused, tally.crashes, tally.hangs)
        above = max(0, tally.peak_memory_bytes - tally.base_memory_bytes)
        memory = ("", "") if name == "all" else (f"{tally.peak_memory_bytes >> 20} MiB", f"{above >> 20} MiB")
        cells = [name, *(f"{count:,}" for count in counts), f"{tally.past_header / tally.cases:.1%}", *memory]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def report(tallies: Mapping[str, Tally], command: str, secs: float) -> dict[str, Any]:
    """The record: the figures with date, machine, versions and command."""
    versions = [f"{name} {metadata.version(name)}" for name in LIBRARIES]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores, {processor()}",
        "versions": ", ".join([*versions, f"Python {platform.python_version()}"]),
        "command": command,
        "cases": sum(tally.cases for tally in tallies.values()),
        "secs": round(secs, 1),
        "past_header": past_header(tallies),
        "readers": {name: vars(tally) for name, tally in tallies.items()},
    }


def main() -> None:
    """Runs the campaign, or one case, and exits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--jobs", type=int, default=2, help="child processes at a time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", action="append", choices=READERS, metavar="READER", help=", ".join(READERS))
    parser.add_argument("--case", type=int, help="only this case, of one reader")
    parser.add_argument("--keep", type=pathlib.Path, metavar="FOLDER", help="keeps the files of that case")
    files = write_page.files_of("hostile_files")
    records.add_flag(parser, files)
    arguments = parser.parse_args()
    if arguments.record and (arguments.reader or arguments.case is not None):
        parser.error("--record takes all readers: leave out --reader and --case")
    if arguments.case is not None:
        if len(arguments.reader or ()) != 1:
            parser.error("--case needs one --reader")
        sys.exit(again(arguments.reader[0], arguments.seed, arguments.case, arguments.keep))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no child process and no file stays
    names = arguments.reader or list(READERS)
    counts = divided(arguments.cases, names)
    start = time.monotonic()
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("cases", total=sum(counts.values()))
        tallies = campaign(counts, seed=arguments.seed, jobs=arguments.jobs, on_case=lambda: progress.advance(task))
    secs = time.monotonic() - start
    print(table(tallies))
    complaints = verdict(tallies)
    for complaint in complaints:
        print(complaint)
    options = f"--cases={arguments.cases} --seed={arguments.seed} --jobs={arguments.jobs}"
    found = report(tallies, f"python tools/reliability/hostile_files.py {options} --record", secs)
    records.finish(files, lambda: write_page.record("hostile_files", found), is_wanted=arguments.record)
    sys.exit(1 if complaints else 0)


def again(reader: str, seed: int, case: int, keep: pathlib.Path | None) -> int:
    """Runs one case again and prints its outcome; returns the exit status."""
    shift = Shift(reader, READERS[reader].where, seed, case, case + 1)
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
    tally = supervisor.run(shift, limit_secs=LIMIT_SECS, keep=keep)
    for failure in tally.failures:
        print("{kind}: {what}".format(**failure))
    print(f"{tally.accepted} accepted, {tally.refused} refused, {tally.past_header} past the header")
    return 1 if tally.failures else 0


if __name__ == "__main__":
    main()
