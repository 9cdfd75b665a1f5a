"""What all peers share: their flags, their pictures, the clock, and the line of JSON that they print.

No framework is imported here, and the readers of pictures only when they are needed, so that each peer can tell the
memory of its framework's bare import.
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterable
from typing import Any

from tfcore.machine import peak_bytes

EVAL_BATCH_SIZE = 500
_LAPS = 3  # at least


class Stopwatch:
    """Times whole laps after the first one, which compiles and warms up.

    Args:
        secs: the lap in which so much time has passed is the last, if three have been timed; with 0 it is the first.

    Attributes:
        lap_secs: how long each took.
    """

    def __init__(self, secs: float) -> None:
        self.lap_secs: list[float] = []
        self._limit_secs = secs
        self._lap_start: float | None = None

    def is_over(self) -> bool:
        """To be called at the end of every lap, when all its work is done."""
        now = time.monotonic()
        if self._lap_start is not None:
            self.lap_secs.append(now - self._lap_start)
        self._lap_start = now
        wanted = _LAPS if self._limit_secs else 1
        return len(self.lap_secs) >= wanted and sum(self.lap_secs) >= self._limit_secs


def parser(description: str | None, cases: Iterable[str]) -> argparse.ArgumentParser:
    """The flags that every peer has."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("case", choices=tuple(cases))
    made.add_argument("--examples", type=int, default=None, help="of an epoch; all, where it is not given")
    made.add_argument("--secs", type=float, default=4.0, help="how long to measure at least")
    return made


def pictures(dataset: str, examples: int | None = None, *, split: str = "train") -> tuple[Any, Any]:
    """Pictures uint8 [N, H, W, C] and labels int32 [N] of `cifar10` or `mnist`."""
    from tfcore.data import download
    from tfcore.data.sources import cifar, idx

    read = {"cifar10": cifar.cifar10, "mnist": idx.mnist}[dataset]
    whole = read(download.data_dir(""))
    taken = whole.take(examples, None).train if split == "train" else whole.test
    return taken.images, taken.labels


def report(figure: str, units: int, watch: Stopwatch, bare_bytes: int, **others: Any) -> None:
    """Prints one line of JSON.

    Args:
        figure: `steps_per_sec` or `evaluation` (examples a second), named as `tfcore benchmark` names it.
        units: steps, or examples, of a lap.
        watch: after its last lap.
        bare_bytes: the largest resident size right after the import of the framework.
        others: further figures.
    """
    rate = {figure: units / statistics.median(watch.lap_secs)}  # as `tfcore benchmark` takes the median of its repeats
    memory = {"peak_memory_bytes": peak_bytes(), "import_memory_bytes": bare_bytes}
    print(json.dumps({**rate, **memory, **others}))
