"""Kills runs repeatedly, resumes them by the same command, and compares them with an uninterrupted run."""

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
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from unittest.mock import patch

from tools.reliability import run_differences
from tools.reliability.killed_runs import hook_check, kill_plan, killed_process
from tools.reliability.killed_runs.killed_process import HOOK, HOOKS, OPERATION, Aim, Phase

ROOT = Path(__file__).parents[3]
# Dropout, moving statistics, averages and early stopping are part of what is resumed; the training part of 900 pictures
# is divided neither by the batch nor by an interval, so that no two events fall on the same step by construction.
FLAGS = (
    "--model=cifar_cnn", "--filters=4,6,4", "--hidden=16", "--dropout=0.2,0.4", "--train_examples=1000",
    "--test_examples=100", "--pixels=standardized", "--optimizer=nadam", "--learning_rate=0.01", "--average_decay=0.9",
    "--batch_size=34", "--microbatches=2", "--eval_batch_size=200", "--steps=240", "--patience=6",
    "--monitor=accuracy", "--log_every_steps=3", "--evaluate_every_epochs=0.3", "--checkpoint_every_epochs=0.2",
    "--keep_checkpoints=3",
)  # fmt: skip
_SILENCE_SECS = 120.0  # after which a process counts as hanging
_ROUNDS = 10  # of runs, in which the shares should be reached by far
_HOOKS_FILE = "tools/reliability/killed_runs/killed_process.py"


class RehearsalError(RuntimeError):
    """The rehearsal failed, differs from the uninterrupted run, or missed a phase or a hook."""


def nothing() -> None:
    """Does nothing."""


@dataclass
class Ended:
    """A process that has ended: the bytes it reported, with their times, and its exit status, -9 if it was killed."""

    reported: list[tuple[int, float]]
    status: int

    @property
    def phases(self) -> list[Phase]:
        """The phases it went through."""
        return [Phase(byte) for byte, _ in self.reported if byte < HOOK]

    @property
    def hooks(self) -> set[str]:
        """The hooks by which it entered a phase."""
        return {list(HOOKS)[byte - HOOK] for byte, _ in self.reported if HOOK <= byte < OPERATION}


@dataclass
class Trial:
    """A run that was killed several times: the phases it was killed in, and its differences in the end, if any."""

    number: int
    kills: list[tuple[Phase, bool]] = field(default_factory=list)  # and whether the process killed itself
    problem: str = ""


class Campaign:
    """Trials of one command.

    Args:
        folder: for the runs; those that survive are deleted.
        seed: of the moments to kill at; a kill from outside also depends on the speed of the machine.
        jobs: processes at a time.
        on_kill: called with the phase of each kill.
        flags: of the command, beside FLAGS; for shorter runs.

    Attributes:
        reference: the folder of the uninterrupted run.
        habits: how often phases come, and how long they take.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seed: int = 0,
        jobs: int = 2,
        on_kill: Callable[[Phase], None] = lambda _: None,
        flags: Sequence[str] = (),
    ) -> None:
        # A run that is killed between the result and the report has ended, and is not resumed to make its report.
        self._arguments = [*FLAGS, "--noreport", *flags]
        self._folder, self._seed, self._on_kill = folder, seed, on_kill
        self._pool = ThreadPoolExecutor(jobs)
        self._processes = multiprocessing.get_context("forkserver")
        self._starting = threading.Lock()  # multiprocessing's list of children is not for several threads
        self.reference = folder / "reference"
        self.habits = kill_plan.Habits()

    def rehearse(self) -> None:
        """Runs the command once uninterrupted, as the reference, and once in two parts, to learn the phases.

        Raises:
            RehearsalError: a run failed, the two differ, or a phase or hook was missed.
        """
        _start_server()
        reference = self._pool.submit(self.run_reference)
        rehearsal = Trial(-1)
        self.habits = self.learn(rehearsal)
        reference.result()
        if found := self._differences(rehearsal):
            raise RehearsalError(f"The rehearsal, killed once, differs from the uninterrupted run: {found}")

    def run_reference(self) -> None:
        """Runs the command once uninterrupted.

        Raises:
            RehearsalError: it failed.
        """
        command = [sys.executable, "-m", "tfcore", "train", *self._arguments, f"--run_dir={self.reference}"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RehearsalError(f"The uninterrupted run failed: {done.stderr}")

    def learn(self, rehearsal: Trial, prepare: Callable[[], None] = nothing) -> kill_plan.Habits:
        """Runs the command in two parts; returns how often phases come, and how long they take.

        Args:
            rehearsal: names the folder.
            prepare: called in both processes before the command; breaks the product in tests.

        Raises:
            RehearsalError: the run failed, or a phase or hook was missed.
        """
        habits, hooks = kill_plan.Habits(), set()
        for ended in self._processes_of(rehearsal, [Aim(Phase.WRITE, entry=10, operation=2)], prepare):
            habits.learn(ended.reported)
            hooks |= ended.hooks
        if ended.status != 0:
            raise RehearsalError(f"The rehearsal failed: {self._last_words(rehearsal, ended.status)}")
        if found := hook_check.missed(habits, hooks, run_differences.metrics(self._path(rehearsal))):
            raise RehearsalError(
                f"Kills would miss a part of the run. {' '.join(found)} Correct HOOKS in {_HOOKS_FILE}."
            )
        return habits

    def run(self, kills: int) -> list[Trial]:
        """Runs trials up to `kills` kills after the first step, and the least share of each phase."""
        trials: list[Trial] = []
        for _ in range(_ROUNDS):
            tried = Counter(phase for trial in trials for phase, _ in trial.kills)
            targets = kill_plan.missing(tried, kills)
            if not targets:
                return trials
            chance = random.Random(f"{self._seed} from {len(trials)}")
            runs = dict(enumerate(kill_plan.deal(targets, len(trials), chance), start=len(trials)))
            aims = [self.habits.aims(phases, number, chance) for number, phases in runs.items()]
            trials += self._pool.map(self.trial, runs, aims)
        raise RuntimeError(f"The shares were not reached in {_ROUNDS} rounds: {tried}.")

    def trial(self, number: int, aims: list[Aim], prepare: Callable[[], None] = nothing) -> Trial:
        """Runs the command, kills it at each of the aims, resumes it to its end, and compares; keeps a lost run.

        Args:
            number: unique, for the folder's name.
            aims: one for each process. Where a run ends before a process reaches its aim, the rest is left out.
            prepare: called in every process before the command; breaks the product in tests.
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
        """Ends the threads."""
        self._pool.shutdown(cancel_futures=True)

    def _path(self, trial: Trial) -> Path:
        return self._folder / f"run-{trial.number:04d}"

    def _processes_of(self, trial: Trial, aims: list[Aim], prepare: Callable[[], None] = nothing) -> Iterator[Ended]:
        """Runs the same command until it ends by itself, and adds the kills to `trial`."""
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
        """Runs the command once, in a separate process."""
        reader, writer = self._processes.Pipe(duplex=False)
        options = {"pipe": writer, "folder": path, "outset": outset, "aim": aim, "prepare": prepare}
        process = self._processes.Process(
            target=killed_process.run, args=(self._arguments,), kwargs=options, daemon=True
        )
        with self._starting:
            process.start()
        writer.close()
        late = aim if aim is not None and aim.operation is None else None
        try:
            with reader:
                reported = self._listen(reader, late, process.kill)
        finally:
            with self._starting:
                process.join()
        return Ended(reported, process.exitcode)

    def _listen(self, reader: Connection, aim: Aim | None, kill: Callable[[], None]) -> list[tuple[int, float]]:
        """Receives the bytes of a process until it ends, and kills it at the aim, if there is one.

        Raises:
            TimeoutError: the process hung, and was killed.
        """
        reported: list[tuple[int, float]] = []
        entries = 0
        while reader.poll(_SILENCE_SECS):
            data = os.read(reader.fileno(), 2**16)
            if not data:
                return reported
            reported += [(byte, time.monotonic()) for byte in data]
            entries += 0 if aim is None else data.count(aim.phase)
            if aim is not None and entries >= aim.entry:
                time.sleep(aim.part * self.habits.usual_secs(aim.phase))
                kill()
                aim = None
        kill()
        raise TimeoutError(f"a process reported nothing for {_SILENCE_SECS:g} s")

    def _differences(self, trial: Trial) -> str:
        """The differences of a run that has ended from the reference; empty for none."""
        return "; ".join(run_differences.all_differences(self.reference, self._path(trial)))

    def _last_words(self, trial: Trial, status: int) -> str:
        """The exit status of a command that failed, and the last line it printed."""
        printed = self._path(trial).with_suffix(".txt").read_text(encoding="utf-8").splitlines()
        return f"exit status {status}: {printed[-1] if printed else 'nothing printed'}"


def _start_server() -> None:
    """Starts the process that children are forked from: it has TensorFlow imported, and one thread.

    This takes two thirds of the time of a new process for each. Every comparison checks that it makes no difference,
    since the reference is a process of the plain command.
    """
    forkserver.set_forkserver_preload(["tools.reliability.killed_runs.preload"])
    with patch.dict(os.environ, {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}):
        forkserver.ensure_running()
