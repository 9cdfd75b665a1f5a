"""The process that is killed: the real `train` command, which reports its phases over a pipe."""

import enum
import inspect
import os
import pkgutil
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import wraps
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tfcore.cli import main


class Phase(enum.IntEnum):
    """The phases of a process in which kills are counted."""

    FIRST_START = 0  # of a run, up to its first step
    STARTING = 1  # of a resumed run, up to the first step of the process, except RESUMING
    RESUMING = 2  # restores, deletes what a kill left behind, trims the logs
    TRAINING = 3  # and everything that is in no other phase
    EVALUATION = 4
    LOG = 5  # both logs are written to the disk
    WRITE = 6  # of a checkpoint, up to the deletion of the first old one
    ROTATION = 7  # old checkpoints are deleted
    RESULT = 8  # result.json is written


# The functions at which a phase is entered, by their full names; `Class.*` stands for all public methods of the class.
HOOKS = {
    "tfcore.training.checkpoints.Checkpoints.restore": Phase.RESUMING,
    "tfcore.training.checkpoints.Checkpoints.sweep": Phase.RESUMING,
    "tfcore.training.run_log.trim": Phase.RESUMING,
    "tfcore.training.run_log.RunLog.write": Phase.TRAINING,  # a run logs nothing before its first step
    "tfcore.training.run_log.RunLog.commit": Phase.LOG,
    "tfcore.training.evaluation.Evaluation.*": Phase.EVALUATION,
    "tfcore.training.checkpoints.Checkpoints.save": Phase.WRITE,
    "tfcore.training.run_folder.RunFolder.write_result": Phase.RESULT,
}
_ENTERED_FROM = {Phase.RESUMING: (Phase.STARTING,)}  # within any other phase the call is part of that phase
_OUTER = (Phase.STARTING, Phase.TRAINING)

# The bytes on the pipe: a phase is entered; HOOK + n: by the hook number n; a file operation, or an end of a phase.
HOOK, OPERATION = 100, 255
_OPERATIONS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree"}  # audit events
_CHECKPOINT = re.compile(r"step-\d+")


@dataclass(frozen=True)
class Aim:
    """The moment at which a process is to be killed.

    Args:
        phase: the phase to kill in.
        entry: the how-manieth time that this process enters the phase, from 1.
        operation: the process kills itself before this file operation of that time, from 1; where there are fewer,
            those of the next times count on. None: it is killed from outside.
        part: the share of the phase's usual length that passes before a kill from outside.
    """

    phase: Phase
    entry: int = 1
    operation: int | None = None
    part: float = 0.0


class Reporter:
    """Writes a byte at every change of phase and before every file operation; kills the process at its aim.

    File operations are observed through Python's audit hook, so their module does not matter.

    Args:
        pipe: a file descriptor.
        folder: of the run; only files that are opened in it count.
        outset: the phase that the process begins in.
        aim: None for a process that is not to be killed.
    """

    def __init__(self, pipe: int, folder: Path, outset: Phase, aim: Aim | None) -> None:
        self._pipe, self._folder, self._aim = pipe, str(folder), aim
        self._entries: Counter[Phase] = Counter()
        self._operations = 0
        self._enter(outset)

    def attach(self) -> None:
        """Wraps the functions of HOOKS.

        Raises:
            RuntimeError: one of them does not exist.
        """
        for number, (name, phase) in enumerate(HOOKS.items()):
            around = self._after_a_step if phase == Phase.TRAINING else self._within
            for owner, attribute in _functions(name):
                _wrap(owner, attribute, around, number, phase)
        sys.addaudithook(self._hear)

    @contextmanager
    def _within(self, hook: int, phase: Phase) -> Iterator[None]:
        """The phase for the time of the call, if the process is in a phase that it is entered from."""
        before = self._phase
        if before not in _ENTERED_FROM.get(phase, _OUTER):
            yield
            return
        self._tell(HOOK + hook)
        self._enter(phase)
        self._operate()
        yield
        self._operate()
        self._enter(before)

    @contextmanager
    def _after_a_step(self, hook: int, phase: Phase) -> Iterator[None]:
        """The phase from the call on, if the process has made no step before."""
        if self._phase in (Phase.FIRST_START, Phase.STARTING):
            self._tell(HOOK + hook)
            self._enter(phase)
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
        self._tell(phase)

    def _operate(self) -> None:
        self._tell(OPERATION)
        aim = self._aim
        if aim is None or aim.operation is None or aim.phase != self._phase or self._entries[aim.phase] < aim.entry:
            return
        self._operations += 1
        if self._operations == aim.operation:
            os.kill(os.getpid(), signal.SIGKILL)

    def _tell(self, byte: int) -> None:
        os.write(self._pipe, bytes([byte]))


def _functions(name: str) -> Iterator[tuple[Any, str]]:
    """The functions that a name of HOOKS stands for, each as its owner (a module or class) and its attribute there."""
    place, _, attribute = name.rpartition(".")
    try:
        owner = pkgutil.resolve_name(place)
        methods = [name for name, thing in vars(owner).items() if inspect.isfunction(thing)]
        names = [name for name in methods if name == "__call__" or name[0] != "_"] if attribute == "*" else [attribute]
        if not names or not all(callable(getattr(owner, name)) for name in names):
            raise AttributeError
    except (ImportError, AttributeError):
        raise RuntimeError(f"{name} does not exist, and kills hook into it: correct HOOKS in {__file__}.") from None
    yield from ((owner, name) for name in names)


def _wrap(owner: Any, name: str, around: Callable[..., AbstractContextManager[None]], *arguments: Any) -> None:
    """Replaces a function of a class or module by one that runs within the context of `around(*arguments)`."""
    function = getattr(owner, name)

    @wraps(function)
    def wrapped(*given: Any, **named: Any) -> Any:
        with around(*arguments):
            return function(*given, **named)

    setattr(owner, name, wrapped)


def run(
    flags: list[str], *, pipe: Connection, folder: Path, outset: Phase, aim: Aim | None, prepare: Callable[[], None]
) -> None:
    """Runs `train` with `flags` as the whole of this process. It prints into a file beside the run's folder.

    Args:
        flags: of the command, without `--run_dir`.
        pipe: for the bytes of the Reporter.
        folder: of the run.
        outset: the phase that the process begins in.
        aim: the moment to be killed at; None for none.
        prepare: called first; breaks the product in tests.
    """
    with folder.with_suffix(".txt").open("a", encoding="utf-8") as printed:
        for descriptor in (1, 2):
            os.dup2(printed.fileno(), descriptor)
    prepare()
    Reporter(pipe.fileno(), folder, outset, aim).attach()
    sys.exit(main.main(["train", *flags, f"--run_dir={folder}"]))
