"""Flags, pictures, clock and output that all peers share.

No framework is imported here, and the readers of pictures only when they are needed, so that each peer can measure the
memory after the bare import of its framework.
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterable
from typing import Any

from tfcore.machine import peak_bytes

EVAL_BATCH_SIZE = 500
_LAPS = 3  # the least number


class Stopwatch:
    """Times whole laps after the first one, which compiles and warms up.

    Args:
        secs: the least total time of the laps, of which there are at least three; 0 for a single lap.

    Attributes:
        lap_secs: the time of each lap.
    """

    def __init__(self, secs: float) -> None:
        self.lap_secs: list[float] = []
        self._limit_secs = secs
        self._lap_start: float | None = None

    def is_over(self) -> bool:
        """Ends a lap; returns whether it was the last. Call it when all work of the lap is done."""
        now = time.monotonic()
        if self._lap_start is not None:
            self.lap_secs.append(now - self._lap_start)
        self._lap_start = now
        wanted = _LAPS if self._limit_secs else 1
        return len(self.lap_secs) >= wanted and sum(self.lap_secs) >= self._limit_secs


def parser(description: str | None, cases: Iterable[str]) -> argparse.ArgumentParser:
    """A parser with the flags that all peers share."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("case", choices=tuple(cases))
    made.add_argument("--examples", type=int, default=None, help="of an epoch [all]")
    made.add_argument("--secs", type=float, default=4.0, help="the least time to measure")
    return made


def pictures(dataset: str, examples: int | None = None, *, split: str = "train") -> tuple[Any, Any]:
    """Reads pictures uint8 [N, H, W, C] and labels int32 [N] of `cifar10` or `mnist`."""
    from tfcore.data import download
    from tfcore.data.sources import cifar, idx

    read = {"cifar10": cifar.cifar10, "mnist": idx.mnist}[dataset]
    whole = read(download.data_dir(""))
    taken = whole.take(examples, None).train if split == "train" else whole.test
    return taken.images, taken.labels


def report(figure: str, units: int, watch: Stopwatch, bare_bytes: int, **others: Any) -> None:
    """Prints one line of JSON.

    Args:
        figure: `steps_per_sec` or `evaluation` (examples a second), with the names of `tfcore benchmark`.
        units: steps, or examples, of a lap.
        watch: after its last lap.
        bare_bytes: the largest resident size after the import of the framework.
        others: further figures.
    """
    rate = {figure: units / statistics.median(watch.lap_secs)}  # the median, as in `tfcore benchmark`
    memory = {"peak_memory_bytes": peak_bytes(), "import_memory_bytes": bare_bytes}
    print(json.dumps({**rate, **memory, **others}))
