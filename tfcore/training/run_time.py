"""The time that a run takes over all its parts, each of them a process: `parts.jsonl` in its folder.

Checkpoints hold no wall-clock value, so the file stands beside them: a line for each checkpoint, written before it, and
one at the end of each part. A killed part loses its time since the newest checkpoint, as it loses its steps.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tfcore.files import replacing, sync, writing
from tfcore.training import log_files

PARTS = "parts.jsonl"
_LARGEST = 2**53  # steps or seconds; a larger number is damage


class Elapsed(NamedTuple):
    """Time spent on a run up to a step, summed over its parts."""

    step: int  # completed steps
    timed_steps: int  # those of known time; less than `step` only where a folder has lost its times, or never had any
    parts: int  # processes that completed some of them
    train_secs: float  # in compiled calls
    total_secs: float  # from the start of each process

    def result(self, batch_size: int) -> dict[str, Any]:
        """The entries of `result.json`; the rate is over all parts."""
        untimed = {} if self.timed_steps == self.step else {"timed_steps": self.timed_steps}
        rate = self.timed_steps * batch_size / max(self.train_secs, 1e-9)
        return {"train_secs": self.train_secs, "parts": self.parts, "examples_per_sec": rate, **untimed}


class RunTime:
    """The clock of this process's part, on top of the parts before.

    Args:
        folder: the run's folder.
        clock: seconds, from now on those of this part.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock, self._start = folder / PARTS, clock, clock()
        self._before = Elapsed(0, 0, 0, 0.0, 0.0)

    def resume(self, step: int) -> int:
        """Takes over the time of the parts before up to `step`, and removes lines of later steps.

        Returns:
            The steps before `step` of which no time is known.

        Raises:
            DiskError: the file cannot be rewritten.
            RunError: it cannot be read, is no file, or holds a line of more than 16 MB.
        """
        newest = Elapsed(0, 0, 0, 0.0, 0.0)
        if os.path.lexists(self._path):
            with replacing(self._path) as scratch, scratch.open("w", encoding="utf-8") as file:
                for line in log_files.lines(self._path):
                    elapsed = _parsed(line)
                    if elapsed is not None and 0 < elapsed.step <= step:
                        newest = elapsed
                        file.write(f"{line}\n")
        self._before = newest._replace(step=step)
        return step - newest.timed_steps

    def elapsed(self, step: int, train_secs: float) -> Elapsed:
        """The sums up to now.

        Args:
            step: completed steps.
            train_secs: in compiled calls of this process.
        """
        before, steps = self._before, step - self._before.step
        return Elapsed(
            step, before.timed_steps + steps, before.parts + (steps > 0), before.train_secs + train_secs,
            before.total_secs + self._clock() - self._start,
        )  # fmt: skip

    def commit(self, step: int, train_secs: float) -> None:
        """Appends the sums up to now and puts them on the disk; arguments as for `elapsed`.

        Raises:
            DiskError: the file cannot be written.
        """
        with writing(self._path):
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(self.elapsed(step, train_secs)._asdict()) + "\n")
            sync(self._path)


def _parsed(line: str) -> Elapsed | None:
    """The entry of a line; None where a kill cut it short, or it is none that a run writes."""
    try:
        entry = json.loads(line)
        counts = [int(entry[name]) for name in ("step", "timed_steps", "parts")]
        secs = [float(entry[name]) for name in ("train_secs", "total_secs")]
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    is_sound = all(0 <= number < _LARGEST for number in (*counts, *secs))
    return Elapsed(*counts, *secs) if is_sound and counts[1] <= counts[0] else None
