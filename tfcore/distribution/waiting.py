"""Limits the time that a process waits for the other workers, and says which of them are missing.

TensorFlow waits with Python's lock held, so no thread of the process could speak: another process does, and a timer of
`faulthandler`, which needs no lock, ends the one that waits.
"""

import faulthandler
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tfcore.distribution.cluster import PROBE_SECS, Cluster

_SAID_AFTER_SECS = 10.0
_SPARE_SECS = 2.0
_ROOT = Path(__file__).parents[2]  # which holds tfcore, installed or not


@contextmanager
def limited(cluster: Cluster, timeout_secs: float) -> Iterator[None]:
    """Ends the process with status 1, and a line that names the missing workers, if the block takes longer."""
    command = [sys.executable, "-m", __name__, json.dumps([cluster.addresses, cluster.number, timeout_secs])]
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    with open(os.devnull, "w") as nothing:
        faulthandler.dump_traceback_later(timeout_secs + PROBE_SECS + _SPARE_SECS, exit=True, file=nothing)
        # In a process group of its own, a terminal's Ctrl-C does not reach it.
        environment = {**os.environ, "PYTHONPATH": path}
        speaker = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, process_group=0)
        assert speaker.stdin is not None
        before = signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's handler would wait for TensorFlow
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
            faulthandler.cancel_dump_traceback_later()
            speaker.stdin.close()  # which ends it, also where this process is killed
            speaker.wait()


def _speak(cluster: Cluster, timeout_secs: float) -> None:
    """Says which workers are missing after a moment and at the end, unless standard input is closed before."""
    said_after = min(_SAID_AFTER_SECS, timeout_secs)
    if _is_closed_within(said_after):
        return
    if said_after < timeout_secs:
        prefix = f"worker {cluster.number}: " if cluster.number else ""
        print(f"{prefix}Waiting for {_missing(cluster)}.", file=sys.stderr, flush=True)
        if _is_closed_within(timeout_secs - said_after):
            return
    print(
        f"error: worker {cluster.number}: {_missing(cluster)} did not come within {timeout_secs:g} s. Check that it is "
        "started, that its address is right, and that no firewall is in between.",
        file=sys.stderr,
        flush=True,
    )


def _is_closed_within(secs: float) -> bool:
    return bool(select.select([sys.stdin], [], [], secs)[0])


def _missing(cluster: Cluster) -> str:
    return ", ".join(map(cluster.named, cluster.unreachable())) or "the other workers, which can be reached,"


if __name__ == "__main__":
    addresses, own, limit_secs = json.loads(sys.argv[1])
    _speak(Cluster(tuple(addresses), own), limit_secs)
