"""Runs cases in child processes, and identifies the case at which a child died or hung."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[3]
START_SECS = 300.0  # until a child is ready, as it may import TensorFlow
LOOK_SECS = 0.5  # between two checks whether to stop
KILL_SECS = 10.0  # for a child to report where it hangs
# The address space is limited, and each arena of malloc would reserve 64 MB of it.
SETTINGS = {
    "MALLOC_ARENA_MAX": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
}


@dataclass(frozen=True)
class Shift:
    """The cases first .. end-1 of a reader; one child runs them all unless it dies.

    Args:
        name: of the reader; the cases depend on it.
        where: `package.module:NAME` of the Reader.
        seed: of the campaign.
        first, end: numbers of cases.
    """

    name: str
    where: str
    seed: int
    first: int
    end: int
    keep: str = ""


@dataclass
class Tally:
    """The counts of the outcomes of a reader's cases."""

    cases: int = 0
    accepted: int = 0
    refused: int = 0
    crashes: int = 0
    hangs: int = 0
    past_header: int = 0
    base_memory_bytes: int = 0
    peak_memory_bytes: int = 0
    secs: float = 0.0
    failures: list[dict[str, Any]] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Adds the counts of another shift of the same reader."""
        for name in ("cases", "accepted", "refused", "crashes", "hangs", "past_header", "secs", "failures"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("base_memory_bytes", "peak_memory_bytes"):
            setattr(self, name, max(getattr(self, name), getattr(other, name)))

    def done(self, outcome: str, past: bool) -> None:
        """Counts a case that was accepted or refused."""
        self.cases += 1
        self.past_header += past
        self.accepted += outcome == "accepted"
        self.refused += outcome == "refused"

    def failed(self, shift: Shift, case: int, kind: str, what: str) -> None:
        """Adds a failure: a crash (also a wrong result, a warning, a death, too much memory) or a hang."""
        self.hangs += kind == "hang"
        self.crashes += kind != "hang"
        self.failures.append({"reader": shift.name, "case": case, "kind": kind, "what": what[:600]})


def run(
    shift: Shift,
    *,
    limit_secs: float,
    keep: Path | None = None,
    on_case: Callable[[], None] = lambda: None,
    stop: threading.Event | None = None,
) -> Tally:
    """Runs the cases, in a new child process after each death or hang.

    Args:
        shift: the cases.
        limit_secs: the time limit of a case.
        keep: a folder that keeps the files of the cases; None to delete them.
        on_case: called at the end of every case.
        stop: when set, the remaining cases are not run.

    Raises:
        RuntimeError: a child could not start, which is not a failure of the reader.
    """
    tally, start, stop = Tally(), time.monotonic(), stop or threading.Event()
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=_in_memory()) as scratch:
        while tally.cases < shift.end - shift.first and not stop.is_set():
            rest = replace(shift, first=shift.first + tally.cases)
            with tempfile.TemporaryFile() as errors, _started(rest, keep or Path(scratch), keep, errors) as child:
                messages = _messages(child, limit_secs, stop)
                end = _follow(child, messages, rest, tally, on_case)
                case = shift.first + tally.cases
                if stop.is_set():
                    break
                if end == "never ready" or (case == shift.end and end != "exit 0"):
                    raise RuntimeError(f"A child for {shift.name} failed, {end}: {_end(errors)}")
                if case < shift.end:
                    tally.cases += 1
                    tally.failed(shift, case, "hang" if end == "hang" else "death", f"{end}: {_end(errors)}")
    tally.secs = time.monotonic() - start
    return tally


@contextmanager
def _started(shift: Shift, folder: Path, keep: Path | None, errors: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Starts a child process, and kills it at the end of the block."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    order = json.dumps({**asdict(shift), "folder": str(folder), "keep": keep is not None})
    child = subprocess.Popen(
        [sys.executable, "-m", "tools.reliability.mutated_files.worker", order],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        env={**os.environ, **SETTINGS, "PYTHONPATH": path},
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def _follow(
    child: subprocess.Popen[bytes],
    messages: Iterator[list[Any]],
    shift: Shift,
    tally: Tally,
    on_case: Callable[[], None],
) -> str:
    """Counts the reports of a child until it ends; returns how it ended."""
    ready = False
    try:
        for message in messages:
            match message:
                case ["ready", base_bytes]:
                    tally.base_memory_bytes = max(tally.base_memory_bytes, base_bytes)
                    ready = True
                case ["peak", peak_bytes]:
                    tally.peak_memory_bytes = max(tally.peak_memory_bytes, peak_bytes)
                case ["done", number, outcome, past, what]:
                    tally.done(outcome, past)
                    if outcome == "crash":
                        tally.failed(shift, number, "crash", what)
                    on_case()
    except TimeoutError:
        child.send_signal(signal.SIGABRT)  # it reports its stack and ends
        with suppress(subprocess.TimeoutExpired):
            child.wait(timeout=KILL_SECS)
        return "hang" if ready else "never ready"
    status = child.wait()
    end = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit {status}"
    return end if ready else "never ready"


def _messages(child: subprocess.Popen[bytes], limit_secs: float, stop: threading.Event) -> Iterator[list[Any]]:
    """The reports of a child; raises TimeoutError when a case takes too long, or when `stop` is set."""
    assert child.stdout is not None
    pending, deadline = b"", time.monotonic() + START_SECS
    while not stop.is_set() and time.monotonic() < deadline:
        if not select.select([child.stdout], [], [], min(limit_secs, LOOK_SECS))[0]:
            continue
        data = os.read(child.stdout.fileno(), 1 << 16)
        if not data:
            return
        *lines, pending = (pending + data).split(b"\n")
        yield from map(json.loads, lines)
        deadline = time.monotonic() + limit_secs
    raise TimeoutError


def _end(errors: IO[bytes]) -> str:
    """The most informative lines of a child's standard error: the message of a library, or the stack at its death."""
    errors.seek(0)
    lines = [line.strip() for line in errors.read().decode(errors="replace").splitlines()]
    lines = [line for line in lines if line and not line.startswith(("WARNING: All log", "Extension modules"))]
    own = [line for line in lines if "/tfcore/" in line]
    return " | ".join(dict.fromkeys([*lines[:4], *own[:2], *lines[-1:]])) or "nothing"


def _in_memory() -> str | None:
    """The folder of a file system in memory; None if there is none."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
