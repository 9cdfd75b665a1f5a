"""Trains on every file system that is too small for the run, and counts the runs that come through it.

    python benchmarks/disks.py                                  all of them; writes benchmarks/disks.json
    python benchmarks/disks.py --size 8192 --nr_inodes 2 9 30   these only; writes nothing

One holds so many bytes, or so many files: the run ends at another place in each. It survives when it ends with one
error line and status 1, leaves nothing half written, and the same command, given room, then ends with the bytes of a
run that always had it (times and rates apart). Otherwise it is lost, and the exit status is 1.
"""

import argparse
import itertools
import json
import pathlib
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # of a script only its own folder is on the path

from benchmarks import small_disk  # noqa: E402

FIGURES = ROOT / "benchmarks" / "disks.json"
PAGE_BYTES = 4096  # what a file system in memory gives at a time
ROOM = {"size": 1 << 25, "nr_inodes": 1000}
FLAGS = (
    "--model=mlp", "--hidden=2", "--dataset=shapes", "--train_examples=300", "--test_examples=50", "--validation=100",
    "--batch_size=20", "--steps=24", "--log_every_steps=3", "--checkpoint_every_epochs=0.5", "--keep_checkpoints=0",
    "--evaluate_every_epochs=0.6", "--patience=20", "--run_dir=run",
    "--summaries=norms,text",  # small ones: a disk of every size is tried
)  # fmt: skip
# Of a report that does not fit a run only warns, so no disk is too small for one.
COMMAND = ("train", *FLAGS, "--noreport")
# What an error line names, in the order in which a run writes it.
PLACES = {
    "config.flags": r"config\.flags",
    "architecture.json": r"architecture\.json",
    "checkpoint": r"The checkpoint of step",
    "event files": r"run/\w+/events|run/(train|validation|test) cannot",
    "metrics.jsonl": r"metrics\.jsonl",
    "parts.jsonl": r"parts\.jsonl",
    "pictures": r"pictures",  # in a run with all summaries
    "result.json": r"result\.json",
    "folder": r"The run folder",
}


class Campaign:
    """Runs on small disks.

    Args:
        folder: an empty one, on a disk with room.
        flags: of the runs, beside COMMAND.
    """

    def __init__(self, folder: pathlib.Path, *flags: str) -> None:
        self._command = (*COMMAND, *flags)
        self.disk, self.whole = folder / "disk", folder / "whole"
        for made in (self.disk, self.whole):
            made.mkdir()
        done = small_disk.run(*self._command, cwd=self.whole)
        if done.status:
            raise RuntimeError(f"The run does not even end with room enough: {done.err}")

    def trial(self, limit: str, value: int) -> tuple[str, str]:
        """Where the run ended, and what was wrong with that: "" each where the disk was large enough, or all was well.

        Args:
            limit: of the disk, a key of ROOM.
            value: how much.
        """
        small_disk.mount(self.disk, **(ROOM | {limit: value}))
        try:
            done = small_disk.run(*self._command, cwd=self.disk)
            if done.status == 0:
                return "", self.difference(self.disk)
            place = next((name for name, line in PLACES.items() if re.search(line, done.err)), done.err.strip())
            return place, self._problem(done)
        finally:
            small_disk.unmount(self.disk)

    def _problem(self, done: small_disk.Done) -> str:
        """What is wrong with how it ended, and went on with more room."""
        if not done.is_one_error or "No space left on device" not in done.err:
            return f"status {done.status}: {done.err}"
        steps = sorted(path.name for path in (self.disk / "run" / "checkpoints").glob("step-*"))
        told = re.search(r"goes on from the checkpoint of step (\d+)", done.err)
        if steps and (told is None or int(told[1]) != int(steps[-1].removeprefix("step-"))):
            return f"{steps} are there, and it said: {done.err}"
        for path in (self.disk / "run").glob("*.json"):
            json.loads(path.read_text(encoding="utf-8"))
        left = [path.name for path in self.disk.rglob(".unfinished-*")]
        if left:
            return f"left behind: {left}"
        small_disk.mount(self.disk, **ROOM)
        again = small_disk.run(*self._command, cwd=self.disk)
        return f"then status {again.status}: {again.err}" if again.status else self.difference(self.disk)

    def difference(self, folder: pathlib.Path) -> str:
        """What differs between the run in a folder and the one that always had room."""
        # It loads NumPy, which would start threads if it came before `small_disk.enter`.
        from benchmarks.faulting import same_run

        found = small_disk.in_child(lambda: len(same_run.differences(self.whole / "run", folder / "run")))
        return "another run than the one that always had room" if found else ""


def trials(campaign: Campaign, limit: str, values: Iterable[int]) -> Iterator[dict[str, Any]]:
    """One after the other, up to the first disk that is large enough."""
    for value in values:
        place, problem = campaign.trial(limit, value)
        print(f"{limit}={value}: {place or 'enough'}{': ' + problem if problem else ''}", file=sys.stderr)
        if place or problem:
            yield {"limit": f"{limit}={value}", "ended_at": place or "the end", "problem": problem}
        if not place:
            return


def report(tried: list[dict[str, Any]]) -> dict[str, Any]:
    """How many disks were too small, where their runs ended, and what was wrong."""
    problems = {trial["limit"]: trial["problem"] for trial in tried if trial["problem"]}
    return {
        "tried": len(tried), "survived": len(tried) - len(problems), "lost": len(problems),
        "ended_at": dict(Counter(trial["ended_at"] for trial in tried)), "problems": problems,
    }  # fmt: skip


def main() -> int:
    """Tries what is named on the command line, or everything; the exit status is 1 if a run was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for limit in ROOM:
        parser.add_argument(f"--{limit}", type=int, nargs="+", default=[], metavar="N")
    chosen = vars(parser.parse_args())
    everything = {"size": itertools.count(PAGE_BYTES, PAGE_BYTES), "nr_inodes": itertools.count(1)}
    limits = chosen if any(chosen.values()) else everything
    small_disk.enter()
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(pathlib.Path(folder))
        measured = report([trial for limit, values in limits.items() for trial in trials(campaign, limit, values)])
    print(json.dumps(measured))
    if limits is everything:
        dated = {"date": time.strftime("%Y-%m-%d"), "command": "python benchmarks/disks.py", "flags": FLAGS, **measured}
        FIGURES.write_text(json.dumps(dated, indent=2) + "\n", encoding="utf-8")
    return 1 if measured["lost"] else 0


if __name__ == "__main__":
    sys.exit(main())
