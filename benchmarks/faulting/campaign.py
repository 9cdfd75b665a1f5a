"""Runs that are killed again and again, continued by the same command, and compared with one that was left alone."""

import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from unittest.mock import patch

from benchmarks.faulting import child, plan, same_run
from benchmarks.faulting.child import OPERATION, Aim, Phase

ROOT = Path(__file__).parents[2]
# Masks drawn anew in every step, moving statistics, averages and early stopping are part of what is resumed; a training
# part of 900 pictures that neither the batch nor an interval divides, so that nothing falls together.
FLAGS = (
    "--model=cifar_cnn", "--filters=4,6,4", "--hidden=16", "--dropout=0.2,0.4", "--train_examples=1000",
    "--test_examples=100", "--pixels=standardized", "--optimizer=nadam", "--learning_rate=0.01", "--average_decay=0.9",
    "--batch_size=34", "--microbatches=2", "--eval_batch_size=200", "--steps=240", "--patience=6",
    "--monitor=accuracy", "--log_every_steps=3", "--evaluate_every_epochs=0.3", "--checkpoint_every_epochs=0.2",
    "--keep_checkpoints=3",
)  # fmt: skip
# A kill between the result and the report leaves a run that has ended without one.
_ARGUMENTS = (*FLAGS, "--noreport")
_SILENCE_SECS = 120.0  # of a process that hangs
_ROUNDS = 10  # of runs, after which the shares should long have been reached


def nothing() -> None:
    """Leaves the product as it is."""


@dataclass
class Ended:
    """How a process ended: what it told, byte and time, and its exit status, -9 if it was killed."""

    told: list[tuple[int, float]]
    status: int

    @property
    def phases(self) -> list[Phase]:
        """Those it went through."""
        return [Phase(byte) for byte, _ in self.told if byte != OPERATION]


@dataclass
class Trial:
    """A run that was killed some times: in which phases, and what was wrong in the end, if something was."""

    number: int
    kills: list[tuple[Phase, bool]] = field(default_factory=list)  # and whether the process killed itself
    problem: str = ""


class Campaign:
    """Trials of one command.

    Args:
        folder: where runs are made; those that survived are deleted.
        seed: of the moments to kill at. They repeat; where a kill from outside hits depends on the machine's pace too.
        jobs: processes at a time.
        on_kill: called with the phase of each kill.

    Attributes:
        reference: the folder of the run that is left alone.
        habits: when phases come, and how long they take.
    """

    def __init__(
        self, folder: Path, *, seed: int = 0, jobs: int = 2, on_kill: Callable[[Phase], None] = lambda _: None
    ) -> None:
        self._folder, self._seed, self._on_kill = folder, seed, on_kill
        self._pool = ThreadPoolExecutor(jobs)
        self._processes = multiprocessing.get_context("forkserver")
        self._starting = threading.Lock()  # multiprocessing's list of children is not for several threads
        self.reference = folder / "reference"
        self.habits = plan.Habits()

    def rehearse(self) -> None:
        """Runs the plain command once, undisturbed: the reference; and once in two parts, to see how long phases take.

        Raises:
            RuntimeError: the two differ, or a phase was not seen.
        """
        _start_server()
        reference = self._pool.submit(self._run_reference)
        rehearsal = Trial(-1)
        for ended in self._processes_of(rehearsal, [Aim(Phase.WRITE, entry=10, operation=2)]):
            self.habits.learn(ended.told)
        reference.result()
        if ended.status != 0:
            raise RuntimeError(f"The rehearsal failed: {self._last_words(rehearsal, ended.status)}")
        unseen = [phase.name for phase in Phase if not self.habits.secs[phase]]
        if unseen:
            raise RuntimeError(f"The rehearsal has not seen these phases: {', '.join(unseen)}.")
        if found := self._differences(rehearsal):
            raise RuntimeError(f"The rehearsal, killed once, is not the undisturbed run: {found}")

    def run(self, kills: int) -> list[Trial]:
        """Trials up to so many kills after the first step and the least share of each phase."""
        trials: list[Trial] = []
        for _ in range(_ROUNDS):
            tried = Counter(phase for trial in trials for phase, _ in trial.kills)
            targets = plan.missing(tried, kills)
            if not targets:
                return trials
            chance = random.Random(f"{self._seed} from {len(trials)}")
            runs = dict(enumerate(plan.deal(targets, len(trials), chance), start=len(trials)))
            aims = [self.habits.aims(phases, number, chance) for number, phases in runs.items()]
            trials += self._pool.map(self.trial, runs, aims)
        raise RuntimeError(f"The shares were not reached in {_ROUNDS} rounds: {tried}.")

    def trial(self, number: int, aims: list[Aim], prepare: Callable[[], None] = nothing) -> Trial:
        """One run, killed at each of the aims, continued to its end, and compared. It is kept where it was lost.

        Args:
            number: a new one, for the folder's name.
            aims: one a process. Where a run ends before its process comes to one, the rest is left out.
            prepare: called in every process before the command, for breaking the product on purpose.
        """
        trial = Trial(number)
        try:
            ended = list(self._processes_of(trial, aims, prepare))[-1]
            trial.problem = self._differences(trial) if ended.status == 0 else self._last_words(trial, ended.status)
        except TimeoutError as error:
            trial.problem = str(error)
        if not trial.problem:
            shutil.rmtree(self._path(trial))
            self._path(trial).with_suffix(".txt").unlink()
        return trial

    def close(self) -> None:
        """Lets go of the threads."""
        self._pool.shutdown(cancel_futures=True)

    def _path(self, trial: Trial) -> Path:
        return self._folder / f"run-{trial.number:04d}"

    def _run_reference(self) -> None:
        command = [sys.executable, "-m", "tfcore", "train", *_ARGUMENTS, f"--run_dir={self.reference}"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"The undisturbed run failed: {done.stderr}")

    def _processes_of(self, trial: Trial, aims: list[Aim], prepare: Callable[[], None] = nothing) -> Iterator[Ended]:
        """The same command until it has ended by itself; the kills are put down in `trial`."""
        outset = Phase.FIRST_START
        for aim in [*aims, None]:
            ended = self._process(self._path(trial), outset, aim, prepare)
            yield ended
            if aim is None or ended.status != -signal.SIGKILL:
                return
            trial.kills.append((ended.phases[-1], aim.operation is not None))
            self._on_kill(ended.phases[-1])
            if Phase.TRAINING in ended.phases:
                outset = Phase.STARTING

    def _process(self, path: Path, outset: Phase, aim: Aim | None, prepare: Callable[[], None]) -> Ended:
        """The command once, in a process of its own."""
        reader, writer = self._processes.Pipe(duplex=False)
        options = {"pipe": writer, "folder": path, "outset": outset, "aim": aim, "prepare": prepare}
        process = self._processes.Process(target=child.run, args=(list(_ARGUMENTS),), kwargs=options, daemon=True)
        with self._starting:
            process.start()
        writer.close()
        late = aim if aim is not None and aim.operation is None else None
        try:
            with reader:
                told = self._listen(reader, late, process.kill)
        finally:
            with self._starting:
                process.join()
        return Ended(told, process.exitcode)

    def _listen(self, reader: Connection, aim: Aim | None, kill: Callable[[], None]) -> list[tuple[int, float]]:
        """What a process tells until it ends. It is killed at the aim, if there is one.

        Raises:
            TimeoutError: it hung; it has been killed.
        """
        told: list[tuple[int, float]] = []
        entries = 0
        while reader.poll(_SILENCE_SECS):
            data = os.read(reader.fileno(), 2**16)
            if not data:
                return told
            told += [(byte, time.monotonic()) for byte in data]
            entries += 0 if aim is None else data.count(aim.phase)
            if aim is not None and entries >= aim.entry:
                time.sleep(aim.part * self.habits.usual_secs(aim.phase))
                kill()
                aim = None
        kill()
        raise TimeoutError(f"a process fell silent for {_SILENCE_SECS:g} s")

    def _differences(self, trial: Trial) -> str:
        """What is wrong with a run that has ended; nothing, if it is as it should be."""
        return "; ".join(same_run.all_differences(self.reference, self._path(trial)))

    def _last_words(self, trial: Trial, status: int) -> str:
        """Of a command that failed."""
        printed = self._path(trial).with_suffix(".txt").read_text(encoding="utf-8").splitlines()
        return f"exit status {status}: {printed[-1] if printed else 'nothing printed'}"


def _start_server() -> None:
    """Starts the process that children are forked from: it has TensorFlow imported, and one thread.

    It is a third quicker than a fresh process each time. That it makes no difference is seen in every comparison, as
    the reference is a process of the plain command.
    """
    forkserver.set_forkserver_preload(["benchmarks.faulting.preload"])
    with patch.dict(os.environ, {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}):
        forkserver.ensure_running()
