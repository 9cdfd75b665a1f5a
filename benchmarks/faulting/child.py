"""The process that is killed: the real `train` command, which tells its phases over a pipe."""

import enum
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tfcore.cli import main


class Phase(enum.IntEnum):
    """What a process is doing, as far as it matters to a kill."""

    FIRST_START = 0  # of a run, up to its first step
    STARTING = 1  # again: up to the first step of the process, but for the next
    RESUMING = 2  # restores, sweeps, trims the logs
    TRAINING = 3  # and all that is none of the others
    EVALUATION = 4
    LOG = 5  # both logs are put on the disk
    WRITE = 6  # of a checkpoint, up to the deletion of the first old one
    ROTATION = 7  # old checkpoints are deleted
    RESULT = 8  # the run's end is written down


OPERATION = 255  # the byte that stands for a file operation, or for an end of a phase; the others are phases
_OPERATIONS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree"}  # audit events
_OUTER = (Phase.STARTING, Phase.TRAINING)
_CHECKPOINT = re.compile(r"step-\d+")


@dataclass(frozen=True)
class Aim:
    """The moment at which a process shall be killed.

    Args:
        phase: in which.
        entry: which of the times that this process is in it, from 1.
        operation: the process kills itself before this file operation of that time, from 1; where there are fewer,
            those of the next times count on. None: it is killed from outside.
        part: of the phase's usual length that passes before a kill from outside.
    """

    phase: Phase
    entry: int = 1
    operation: int | None = None
    part: float = 0.0


class Reporter:
    """Writes a byte whenever the phase changes, and one before each file operation; ends the process at its aim.

    File operations are heard of from Python's audit hook, whichever module carries them out.

    Args:
        pipe: a file descriptor.
        folder: of the run; only files that are opened in it count.
        outset: the phase that the process begins in.
        aim: None where the process shall live.
    """

    def __init__(self, pipe: int, folder: Path, outset: Phase, aim: Aim | None) -> None:
        self._pipe, self._folder, self._aim = pipe, str(folder), aim
        self._entries: Counter[Phase] = Counter()
        self._operations = 0
        self._enter(outset)

    def attach(self) -> None:
        """Hooks into the product.

        Raises:
            RuntimeError: something of it has another name now.
        """
        from tfcore.training import run_log
        from tfcore.training.checkpoints import Checkpoints
        from tfcore.training.evaluation import Evaluation
        from tfcore.training.run_folder import RunFolder

        self._wrap(Checkpoints, "restore", lambda: self._within(Phase.RESUMING, only=Phase.STARTING))
        self._wrap(Checkpoints, "sweep", lambda: self._within(Phase.RESUMING, only=Phase.STARTING))
        self._wrap(run_log, "trim", lambda: self._within(Phase.RESUMING, only=Phase.STARTING))
        self._wrap(run_log.RunLog, "write", self._after_a_step)
        self._wrap(run_log.RunLog, "commit", lambda: self._within(Phase.LOG))
        self._wrap(Evaluation, "__call__", lambda: self._within(Phase.EVALUATION))
        self._wrap(Checkpoints, "save", lambda: self._within(Phase.WRITE))
        self._wrap(RunFolder, "write_result", lambda: self._within(Phase.RESULT))
        sys.addaudithook(self._hear)

    def _wrap(self, owner: Any, name: str, around: Callable[[], Any]) -> None:
        function = getattr(owner, name, None)
        if not callable(function):
            raise RuntimeError(f"benchmarks/faulting/child.py hooks into {owner.__name__}.{name}, which is gone.")

        @wraps(function)
        def wrapped(*arguments: Any, **more: Any) -> Any:
            with around():
                return function(*arguments, **more)

        setattr(owner, name, wrapped)

    @contextmanager
    def _within(self, phase: Phase, *, only: Phase | None = None) -> Iterator[None]:
        """Only where the process is in `only` (in one of the outer phases): else it is a part of what goes on."""
        before = self._phase
        if before not in (_OUTER if only is None else (only,)):
            yield
            return
        self._enter(phase)
        self._operate()
        yield
        self._operate()
        self._enter(before)

    @contextmanager
    def _after_a_step(self) -> Iterator[None]:
        """Nothing is logged before there is a step to tell of."""
        if self._phase in (Phase.FIRST_START, Phase.STARTING):
            self._enter(Phase.TRAINING)
        yield

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Called by Python before each of its own operations."""
        if event not in _OPERATIONS or (event == "open" and not str(arguments[0]).startswith(self._folder)):
            return
        deletes = event in ("os.rename", "shutil.rmtree") and _CHECKPOINT.fullmatch(Path(arguments[0]).name)
        if deletes and self._phase == Phase.WRITE:
            self._enter(Phase.ROTATION)
        self._operate()

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        self._entries[phase] += 1
        os.write(self._pipe, bytes([phase]))

    def _operate(self) -> None:
        os.write(self._pipe, bytes([OPERATION]))
        aim = self._aim
        if aim is None or aim.operation is None or aim.phase != self._phase or self._entries[aim.phase] < aim.entry:
            return
        self._operations += 1
        if self._operations == aim.operation:
            os.kill(os.getpid(), signal.SIGKILL)


def run(
    flags: list[str], *, pipe: Connection, folder: Path, outset: Phase, aim: Aim | None, prepare: Callable[[], None]
) -> None:
    """What the process does: `train` with `flags`. It prints into a file beside the run's folder.

    Args:
        prepare: called before it; for breaking the product on purpose.
    """
    with folder.with_suffix(".txt").open("a", encoding="utf-8") as printed:
        for descriptor in (1, 2):
            os.dup2(printed.fileno(), descriptor)
    prepare()
    Reporter(pipe.fileno(), folder, outset, aim).attach()
    sys.exit(main.main(["train", *flags, f"--run_dir={folder}"]))
