"""Writes what the campaigns found into docs/reliability.md, from their result files.

python benchmarks/reliability.py
"""

import json
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # of a script only its own folder is on the path

from benchmarks import tables  # noqa: E402

PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- campaigns: begin -->\n", "<!-- campaigns: end -->\n"
HEAD = "| promise | trials | tried | survived | lost | date | command |\n|---|---|--:|--:|--:|---|---|\n"
Figures = dict[str, Any]


def _row(found: Figures, promise: str, trials: str, tried: int, lost: int, *, is_first: bool = True) -> list[str]:
    where = [found["date"], f"`{found['command']}`"] if is_first else ["", ""]
    return [promise, trials, f"{tried:,}", f"{tried - lost:,}", f"{lost:,}", *where]


def _killed(found: Figures) -> Iterator[list[str]]:
    total = found["all"]
    yield _row(found, "Kill it anywhere", "kills", total["tried"], total["lost"])
    for phase, row in found["kills"].items():
        yield _row(found, "", f"of them in: {phase}", row["tried"], row["lost"], is_first=False)


def _fuzzed(found: Figures) -> Iterator[list[str]]:
    lost = sum(reader["crashes"] + reader["hangs"] for reader in found["readers"].values())
    yield _row(found, "Hostile files", f"files, {found['past_header']:.0%} past the header", found["cases"], lost)
    for name, reader in found["readers"].items():
        trials = f"{name}: {reader['accepted']:,} accepted, {reader['refused']:,} refused"
        yield _row(found, "", trials, reader["cases"], reader["crashes"] + reader["hangs"], is_first=False)


def _too_small(found: Figures) -> Iterator[list[str]]:
    yield _row(found, "Disks", "disks that are too small", found["tried"], found["lost"])


def _lived(found: Figures) -> Iterator[list[str]]:
    for number, case in enumerate(found["results"]):
        gained = case["slopes"]["memory_bytes"] / 1e3
        is_long = case["trainings"] == 1
        what = f"training of {case['steps']:,} steps" if is_long else "trainings in one process"
        trials = f"{case['case']}: {what}, memory {gained:+,.0f} kB in a {'fiftieth of it' if is_long else 'training'}"
        lost = case["trainings"] if case["growing"] else 0
        yield _row(found, "" if number else "Long lives", trials, case["trainings"], lost, is_first=not number)


CAMPAIGNS: dict[str, Callable[[Figures], Iterator[list[str]]]] = {  # by the name of the result file
    "faults": _killed,
    "disks": _too_small,
    "fuzz": _fuzzed,
    "lives": _lived,
}


def table() -> str:
    """A row for each campaign, and below it what that consists of."""
    files = {name: ROOT / "benchmarks" / f"{name}.json" for name in CAMPAIGNS}
    found = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in files.items()}
    rows = [row for name, figures in found.items() for row in CAMPAIGNS[name](figures)]
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main() -> None:
    """Rewrites the table."""
    tables.put(PAGE, BEGIN, END, table())


if __name__ == "__main__":
    main()
