"""Trains on every file system that is too small for the run, and counts the runs that survive.

    python tools/reliability/disks.py --size 8192 --nr_inodes 2 9 30    these only; prints the result
    python tools/reliability/disks.py --record                          all of them, half an hour

Each limits the bytes or the number of files, so the run ends at a different place in each. It survives when it ends
with one error line and status 1, leaves nothing half written, and the same command, with enough space, then ends with
the bytes of a run that always had it (except times and rates). Otherwise it is lost, and the exit status is 1.
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

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # Python puts only the folder of a script on the path

from tools import records  # noqa: E402
from tools.reliability import small_disk, write_page  # noqa: E402

PAGE_BYTES = 4096  # the allocation unit of a file system in memory
ROOM = {"size": 1 << 25, "nr_inodes": 1000}
FLAGS = (
    "--model=mlp", "--hidden=2", "--dataset=shapes", "--train_examples=300", "--test_examples=50", "--validation=100",
    "--batch_size=20", "--steps=24", "--log_every_steps=3", "--checkpoint_every_epochs=0.5", "--keep_checkpoints=0",
    "--evaluate_every_epochs=0.6", "--patience=20", "--run_dir=run",
    "--summaries=norms,text",  # small summaries, since a disk of every size is tried
)  # fmt: skip
# If a report does not fit, a run only warns, so no disk is too small for a report.
COMMAND = ("train", *FLAGS, "--noreport")
# The file that an error line names, in the order in which a run writes them.
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
        folder: an empty one, on a disk with enough space.
        flags: of the runs, beside COMMAND.
    """

    def __init__(self, folder: pathlib.Path, *flags: str) -> None:
        self._command = (*COMMAND, *flags)
        self.disk, self.whole = folder / "disk", folder / "whole"
        for made in (self.disk, self.whole):
            made.mkdir()
        done = small_disk.run(*self._command, cwd=self.whole)
        if done.status:
            raise RuntimeError(f"The run fails even with enough space: {done.err}")

    def trial(self, limit: str, value: int) -> tuple[str, str]:
        """Runs on one disk; returns the place where the run ended and the problem, each "" for none.

        Args:
            limit: the limit of the disk, a key of ROOM.
            value: its amount.
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
        """The problem with the end of the run, or with its resumption with more space; "" for none."""
        if not done.is_one_error or "No space left on device" not in done.err:
            return f"status {done.status}: {done.err}"
        steps = sorted(path.name for path in (self.disk / "run" / "checkpoints").glob("step-*"))
        reported = re.search(r"the checkpoint of step (\d+)", done.err)
        if steps and (reported is None or int(reported[1]) != int(steps[-1].removeprefix("step-"))):
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
        """The difference between the run in a folder and the run that always had space; "" for none."""
        # It imports NumPy, which starts threads when imported before `small_disk.enter`.
        from tools.reliability import run_differences

        found = small_disk.in_child(lambda: len(run_differences.differences(self.whole / "run", folder / "run")))
        return "differs from the run that always had room" if found else ""


def trials(campaign: Campaign, limit: str, values: Iterable[int]) -> Iterator[dict[str, Any]]:
    """Runs the trials in order, up to the first disk that is large enough."""
    for value in values:
        place, problem = campaign.trial(limit, value)
        print(f"{limit}={value}: {place or 'enough'}{': ' + problem if problem else ''}", file=sys.stderr)
        if place or problem:
            yield {"limit": f"{limit}={value}", "ended_at": place or "the end", "problem": problem}
        if not place:
            return


def report(tried: list[dict[str, Any]]) -> dict[str, Any]:
    """The number of disks that were too small, the places where their runs ended, and the problems."""
    problems = {trial["limit"]: trial["problem"] for trial in tried if trial["problem"]}
    return {
        "tried": len(tried), "survived": len(tried) - len(problems), "lost": len(problems),
        "ended_at": dict(Counter(trial["ended_at"] for trial in tried)), "problems": problems,
    }  # fmt: skip


def main() -> int:
    """Tries the limits of the command line, or all; returns 1 if a run was lost, else 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for limit in ROOM:
        parser.add_argument(f"--{limit}", type=int, nargs="+", default=[], metavar="N")
    files = write_page.files_of("disks")
    records.add_flag(parser, files)
    chosen = vars(parser.parse_args())
    is_recorded = chosen.pop("record")
    if is_recorded and any(chosen.values()):
        parser.error("--record takes all disks: leave out --size and --nr_inodes")
    everything = {"size": itertools.count(PAGE_BYTES, PAGE_BYTES), "nr_inodes": itertools.count(1)}
    limits = chosen if any(chosen.values()) else everything
    small_disk.enter()
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(pathlib.Path(folder))
        measured = report([trial for limit, values in limits.items() for trial in trials(campaign, limit, values)])
    print(json.dumps(measured))
    command = "python tools/reliability/disks.py --record"
    dated = {"date": time.strftime("%Y-%m-%d"), "command": command, "flags": FLAGS, **measured}
    records.finish(files, lambda: write_page.record("disks", dated), is_wanted=is_recorded)
    return 1 if measured["lost"] else 0


if __name__ == "__main__":
    sys.exit(main())
