"""Checks between the workers of a cluster: their versions, clocks, folder of runs and collectives."""

import statistics
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfcore.doctor.local import BAD, NOTE, OK, Finding
from tfcore.workers import Workers

_MOST_APART_SECS = 2.0
_SIZES = {"1 number": 1, "1 million numbers": 10**6}
_REPEATS = 5
_MARK = ".tfcore-doctor"


def findings(workers: Workers, run_folder: Path, own: list[Finding]) -> list[Finding]:
    """Checks what the workers share; all of them must call it, and get the same.

    Args:
        workers: at least two.
        run_folder: of runs, which only the chief writes.
        own: this worker's findings about its machine; the first one tells its versions.
    """
    return [*_others(workers, own), _versions(workers, own[0]), _clocks(workers), _folder(workers, run_folder),
            *(_sum(workers, name, size) for name, size in _SIZES.items())]  # fmt: skip


def _others(workers: Workers, own: list[Finding]) -> list[Finding]:
    """What is not in order on the machines of the other workers."""
    found = workers.exchange([list(one) for one in own])
    return [
        Finding(state, f"worker {number}: {what}", todo)
        for number, theirs in enumerate(found)
        for state, what, todo in theirs
        if number and state != OK
    ]


def _versions(workers: Workers, own: Finding) -> Finding:
    chief, *others = workers.exchange(own.what)
    for number, other in enumerate(others, start=1):
        if other != chief:
            return Finding(BAD, f"worker {number} has {other}, the chief {chief}", "Install the same on all machines.")
    return Finding(OK, f"{workers.count} workers are connected, with the same versions")


def _clocks(workers: Workers) -> Finding:
    """How far the clocks are apart: event files and result times of the chief come from its own."""
    workers.exchange(None)  # all begin at nearly the same moment
    times = workers.exchange(time.time())
    apart = max(times) - min(times)
    if apart > _MOST_APART_SECS:
        return Finding(NOTE, f"the workers' clocks are {apart:.1f} s apart", "Set them by NTP; logs would mislead you.")
    return Finding(OK, f"the workers' clocks are within {apart:.2f} s")


def _folder(workers: Workers, folder: Path) -> Finding:
    """Whether all workers see the files of the chief's folder of runs, which a restart elsewhere would need."""
    mark = folder.expanduser().absolute() / f"{_MARK}-{workers.broadcast(time.time_ns())}"
    made = False
    if workers.is_chief:
        with suppress(OSError):  # it is not there, or cannot be written, which the chief's own checks tell
            mark.touch()
            made = True
    is_made = workers.broadcast(made)
    seen = workers.exchange(mark.exists())
    if made:
        mark.unlink(missing_ok=True)
    if not is_made:
        return Finding(OK, f"the chief cannot write {folder}: whether the workers share it was not checked")
    if all(seen):
        return Finding(OK, f"all workers see the same {folder}")
    blind = ", ".join(str(number) for number, sees in enumerate(seen) if not sees)
    return Finding(
        NOTE,
        f"workers {blind} do not see the chief's {folder}",
        "Put it on a file system of all machines, or always start worker 0 where it is.",
    )


def _sum(workers: Workers, name: str, size: int) -> Finding:
    """Sums numbers over all workers, and takes the time."""
    own = tf.fill([size], float(workers.number + 1))
    summed = tf.function(workers.all_reduce, autograph=False)
    total = summed(own).numpy()
    secs = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        summed(own).numpy()
        secs.append(time.perf_counter() - start)
    expected = np.float32(workers.count * (workers.count + 1) / 2)
    if not np.array_equal(total, np.full(size, expected)):
        return Finding(BAD, f"the sum of {name} over all workers is {total[0]:g}, not {expected:g}", "Report this.")
    return Finding(OK, f"the sum of {name} over all workers takes {1e3 * statistics.median(secs):.1f} ms")
