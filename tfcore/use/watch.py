"""`eval --watch`: scores each new checkpoint of a live run, without writing or locking anything in its folder."""

import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcore.config import RunConfig
from tfcore.errors import RunError
from tfcore.terminal import tables
from tfcore.training.checkpoints import steps_in
from tfcore.training.run_folder import CHECKPOINTS, RunFolder, read_config
from tfcore.use import loading
from tfcore.use.scoring import Scorer

if TYPE_CHECKING:
    from tfcore.export.files import Weights

_POLL_SECS = 1.0
_ENDED = ("finished", "stopped_early", "failed")
_TERMINATED = 128 + signal.SIGTERM


class NewCheckpoints:
    """Iterates over the step and weights of each checkpoint not returned before, in ascending order.

    A checkpoint has its name from its completion until just before its deletion. So an unreadable one is either
    deleted, and skipped, or damaged; then the next iteration tries it again, as the run may have replaced it.

    Args:
        folder: the run's; nothing in it is written or locked.
        average: read the moving averages of the weights.

    Attributes:
        given: the steps returned so far.
        damage: the error of a damaged checkpoint in the last iteration; None if there was none.
    """

    def __init__(self, folder: Path, *, average: bool) -> None:
        self._folder, self._average = folder, average
        self.given: set[int] = set()
        self.damage: RunError | None = None

    def __iter__(self) -> Iterator[tuple[int, "Weights"]]:
        self.damage = None
        for step in self._steps():
            if step in self.given:
                continue
            try:
                weights = loading.read_weights(self._folder, checkpoint=str(step), average=self._average)
            except RunError as error:
                if step in self._steps():
                    self.damage = error
                continue
            self.given.add(step)
            yield step, weights

    def _steps(self) -> list[int]:
        return steps_in(self._folder / CHECKPOINTS)


def watch(folder: Path, config: RunConfig, options: Mapping[str, Any]) -> None:
    """Prints a line for each checkpoint until the run has ended; an interrupted run is waited for.

    Raises:
        RunError: the run has ended with a damaged checkpoint or without any, or its folder is gone.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    console = tables.console(to_stderr=options["json"])
    scorer = Scorer(folder, config, options["split"])
    checkpoints, status, told = NewCheckpoints(folder, average=options["average"]), "", ""
    while status not in _ENDED:
        read_config(folder)  # raises if the folder was deleted; otherwise this would wait forever
        status = RunFolder(folder).read_result().get("status", "")  # first: a run writes its result after its last save
        nothing_new = True
        for step, weights in checkpoints:
            nothing_new, scores = False, scorer(step, weights)
            console.print(f"step {step:,}: {options['split']} loss {scores.loss:.4f} accuracy {scores.accuracy:.4f}")
            if options["json"]:
                print(scorer.json_line(step, scores), flush=True)
        if nothing_new and status not in _ENDED:
            news = _waits_for(checkpoints, status)
            if news not in ("", told):
                console.print(news, markup=False)
            told = news
            time.sleep(_POLL_SECS)
    if checkpoints.damage is not None:
        raise checkpoints.damage
    if not checkpoints.given:
        raise RunError(f"The run in {folder} has {status.replace('_', ' ')} without a checkpoint.")
    console.print(f"The run has {status.replace('_', ' ')}; checkpoints scored: {len(checkpoints.given)}.")


def _waits_for(checkpoints: NewCheckpoints, status: str) -> str:
    """Returns the line to print while there is no new checkpoint; empty in the usual case."""
    if checkpoints.damage is not None:
        return f"warning: {checkpoints.damage} The checkpoint is retried until the run ends."
    if status == "interrupted":
        return "The run was interrupted. Waiting for it to resume."
    return "" if checkpoints.given else "Waiting for the first checkpoint."
