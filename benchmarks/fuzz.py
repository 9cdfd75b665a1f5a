"""Mutates good files knowing their structure, and looks at what the readers make of them: an answer, or an error.

    python benchmarks/fuzz.py --cases=1000000               all readers; writes fuzz.json
    python benchmarks/fuzz.py --cases=1000 --reader=npz     one reader, printed only
    python benchmarks/fuzz.py --reader=npz --case=1234 --keep=FOLDER    one case again, whose files stay in FOLDER

A case is a function of the seed, the reader's name and its number. Every fiftieth is not mutated and must be accepted.
Where the file is refused, it must be by an error for the user: one line that names the file. Everything else is a
crash: another exception, a result that breaks the reader's promises, a warning of Python's, more memory than the reader
may take, or the death of the process. Exit status 1 when there was a crash or a hang, or when less than half of the
cases got past the header of their file.
"""

import argparse
import json
import os
import pathlib
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # of a script only its own folder is on the path

from rich.console import Console  # noqa: E402
from rich.progress import Progress  # noqa: E402

from benchmarks.fuzzing import children  # noqa: E402
from benchmarks.fuzzing.children import Shift, Tally  # noqa: E402
from benchmarks.fuzzing.readers import READERS, divided  # noqa: E402
from tfcore.machine import processor  # noqa: E402

FIGURES = ROOT / "benchmarks" / "fuzz.json"
SHIFT_CASES = 25_000  # for one child: what a reader leaks must not look like a case that takes too much
LIMIT_SECS = 10.0  # for one case
LEAST_SHARE = 0.5  # past the header
LIBRARIES = ("numpy", "pillow", "h5py", "safetensors", "tensorflow")


def campaign(
    counts: Mapping[str, int], *, seed: int, jobs: int, told: Callable[[], None] = lambda: None
) -> dict[str, Tally]:
    """Runs the cases.

    Args:
        counts: how many of each reader.
        seed: of all cases.
        jobs: children at a time.
        told: is called whenever a case has ended.
    """
    shifts = [
        Shift(name, READERS[name].where, seed, first, min(first + SHIFT_CASES, count))
        for name, count in counts.items()
        for first in range(0, count, SHIFT_CASES)
    ]
    tallies, stop = {name: Tally() for name in counts}, threading.Event()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            done = pool.map(lambda shift: children.run(shift, limit_secs=LIMIT_SECS, told=told, stop=stop), shifts)
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
    """What keeps the campaign from being passed."""
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
    """The figures with what they were measured on."""
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
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--jobs", type=int, default=2, help="children at a time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", action="append", choices=READERS, metavar="READER", help=", ".join(READERS))
    parser.add_argument("--case", type=int, help="only this one, of one reader")
    parser.add_argument("--keep", type=pathlib.Path, metavar="FOLDER", help="where the files of that case stay")
    arguments = parser.parse_args()
    if arguments.case is not None:
        if len(arguments.reader or ()) != 1:
            parser.error("--case needs one --reader")
        sys.exit(again(arguments.reader[0], arguments.seed, arguments.case, arguments.keep))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no child and no file stays
    names = arguments.reader or list(READERS)
    counts = divided(arguments.cases, names)
    start = time.monotonic()
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("cases", total=sum(counts.values()))
        tallies = campaign(counts, seed=arguments.seed, jobs=arguments.jobs, told=lambda: progress.advance(task))
    secs = time.monotonic() - start
    print(table(tallies))
    complaints = verdict(tallies)
    for complaint in complaints:
        print(complaint)
    if not arguments.reader:
        command = f"python benchmarks/fuzz.py --cases={arguments.cases} --seed={arguments.seed} --jobs={arguments.jobs}"
        FIGURES.write_text(json.dumps(report(tallies, command, secs), indent=2) + "\n", encoding="utf-8")
    sys.exit(1 if complaints else 0)


def again(reader: str, seed: int, case: int, keep: pathlib.Path | None) -> int:
    """Runs one case once more and says what came of it; gives back an exit status."""
    shift = Shift(reader, READERS[reader].where, seed, case, case + 1)
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
    tally = children.run(shift, limit_secs=LIMIT_SECS, keep=keep)
    for failure in tally.failures:
        print("{kind}: {what}".format(**failure))
    print(f"{tally.accepted} accepted, {tally.refused} refused, {tally.past_header} past the header")
    return 1 if tally.failures else 0


if __name__ == "__main__":
    main()
