"""Writes the results of the campaigns into the table of docs/reliability.md, from their records.

    python tools/reliability/write_page.py

A campaign with `--record` does this itself.
"""

import json
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # Python puts only the folder of a script on the path

from tools import records  # noqa: E402

PAGE = ROOT / "docs" / "reliability.md"
RECORDS = ROOT / "tools" / "reliability" / "records"
BEGIN, END = "<!-- campaigns: begin -->\n", "<!-- campaigns: end -->\n"
HEAD = "| promise | trials | tried | survived | lost | date | command |\n|---|---|--:|--:|--:|---|---|\n"
Record = dict[str, Any]


def _row(record: Record, promise: str, trials: str, tried: int, lost: int, *, is_first: bool = True) -> list[str]:
    where = [record["date"], f"`{record['command']}`"] if is_first else ["", ""]
    return [promise, trials, f"{tried:,}", f"{tried - lost:,}", f"{lost:,}", *where]


def _kills(record: Record) -> Iterator[list[str]]:
    total = record["all"]
    yield _row(record, "Kill at any moment", "kills", total["tried"], total["lost"])
    for phase, row in record["kills"].items():
        yield _row(record, "", f"of these, in: {phase}", row["tried"], row["lost"], is_first=False)


def _hostile_files(record: Record) -> Iterator[list[str]]:
    lost = sum(reader["crashes"] + reader["hangs"] for reader in record["readers"].values())
    yield _row(record, "Hostile files", f"files, {record['past_header']:.0%} past the header", record["cases"], lost)
    for name, reader in record["readers"].items():
        trials = f"{name}: {reader['accepted']:,} accepted, {reader['refused']:,} refused"
        yield _row(record, "", trials, reader["cases"], reader["crashes"] + reader["hangs"], is_first=False)


def _disks(record: Record) -> Iterator[list[str]]:
    yield _row(record, "Disks", "disks too small for the run", record["tried"], record["lost"])


def _long_lives(record: Record) -> Iterator[list[str]]:
    for number, case in enumerate(record["results"]):
        gained = case["slopes"]["memory_bytes"] / 1e3
        is_long = case["trainings"] == 1
        what = f"training of {case['steps']:,} steps" if is_long else "trainings in one process"
        trials = f"{case['case']}: {what}, memory {gained:+,.0f} kB per {'fiftieth of it' if is_long else 'training'}"
        lost = case["trainings"] if case["growing"] else 0
        promise = "" if number else "Long-running processes"
        yield _row(record, promise, trials, case["trainings"], lost, is_first=not number)


def _orders(record: Record) -> Iterator[list[str]]:
    memory = f"{record['peak_growth_bytes'] / 1e6:,.0f} MB"
    trials = f"examples of an epoch, {record['processor_ns_per_index']:.0f} ns each, peak memory +{memory}"
    lost = 0 if record["each_once"] else record["examples"]
    yield _row(record, "Each example once an epoch", trials, record["examples"], lost)


CAMPAIGNS: dict[str, Callable[[Record], Iterator[list[str]]]] = {  # by the name of the record
    "kills": _kills,
    "disks": _disks,
    "hostile_files": _hostile_files,
    "long_lives": _long_lives,
    "orders": _orders,
}


def files_of(campaign: str) -> str:
    """The files that a campaign writes with `--record`, in words."""
    return f"tools/reliability/records/{campaign}.json and the table of docs/reliability.md"


def record(campaign: str, content: Record) -> None:
    """Writes the record of a campaign, and the page's table."""
    records.write_json(RECORDS / f"{campaign}.json", content)
    main()


def table() -> str:
    """A row for each campaign, followed by rows for its parts."""
    found = {name: json.loads((RECORDS / f"{name}.json").read_text(encoding="utf-8")) for name in CAMPAIGNS}
    rows = [row for name, content in found.items() for row in CAMPAIGNS[name](content)]
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main() -> None:
    """Rewrites the table of the page."""
    records.put(PAGE, BEGIN, END, table())


if __name__ == "__main__":
    main()
