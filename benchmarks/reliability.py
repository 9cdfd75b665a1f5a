"""Writes what the campaigns found into docs/reliability.md, from their result files.

python benchmarks/reliability.py
"""

import json
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # of a script only its own folder is on the path

from benchmarks import tables  # noqa: E402

PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- campaigns: begin -->\n", "<!-- campaigns: end -->\n"
HEAD = "| promise | trials | tried | survived | lost | command |\n|---|---|--:|--:|--:|---|\n"
Figures = dict[str, Any]


def figures(name: str) -> Figures:
    """The result file of a campaign."""
    loaded: Figures = json.loads((ROOT / "benchmarks" / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def text(faults: Figures, fuzz: Figures, disks: Figures, lives: Figures) -> str:
    """The campaigns in a table, and below it one of the fuzzed readers."""
    rows = [*_killed(faults), _fuzzed(fuzz), _too_small(disks), _flat(lives)]
    lines = "".join(f"| {' | '.join(cells)} |\n" for cells in rows)
    about = f"Measured on {faults['date']}: {faults['machine']}; {faults['versions']}.\n\n"
    return about + HEAD + lines + "\n" + _readers(fuzz)


def _row(promise: str, trials: str, tried: int, lost: int, command: str) -> list[str]:
    return [promise, trials, f"{tried:,}", f"{tried - lost:,}", f"{lost:,}", f"`{command}`" if command else ""]


def _killed(found: Figures) -> Iterator[list[str]]:
    total = found["all"]
    yield _row("Kill it anywhere", "kills", total["tried"], total["lost"], found["command"])
    for phase, row in found["kills"].items():
        yield _row("", f"in: {phase}", row["tried"], row["lost"], "")


def _fuzzed(found: Figures) -> list[str]:
    lost = sum(reader["crashes"] + reader["hangs"] for reader in found["readers"].values())
    return _row(
        "Hostile files", f"files, {found['past_header']:.0%} past the header", found["cases"], lost, found["command"]
    )


def _too_small(found: Figures) -> list[str]:
    return _row("Disks", "disks that are too small", found["tried"], found["lost"], "python benchmarks/disks.py")


def _flat(found: Figures) -> list[str]:
    growing = sum(not row["flat"] for row in found["quantities"])
    return _row("Long lives", "quantities that stay flat", len(found["quantities"]), growing, found["command"])


def _readers(found: Figures) -> str:
    lines = ["| reader | files | accepted | refused | crashes | hangs |", "|---|--:|--:|--:|--:|--:|"]
    for name, reader in found["readers"].items():
        counts = (reader[kind] for kind in ("cases", "accepted", "refused", "crashes", "hangs"))
        lines.append(f"| {name} | {' | '.join(f'{count:,}' for count in counts)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Rewrites the table."""
    tables.put(PAGE, BEGIN, END, text(*(figures(name) for name in ("faults", "fuzz", "disks", "lives"))))


if __name__ == "__main__":
    main()
