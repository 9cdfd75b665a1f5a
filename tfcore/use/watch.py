"""`eval --watch`: scores the checkpoints of a live run as they come; the run does not notice."""

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
    """Going through it gives step and weights of each checkpoint that it has not given before, ascending.

    A checkpoint has its name from when it is complete until just before it is deleted. So one that cannot be read is
    either gone, and left out, or damaged; then it is tried again the next time, as the run may have replaced it.

    Args:
        folder: the run's; nothing in it is written or locked.
        average: the moving averages of the weights.

    Attributes:
        given: the steps given so far.
        damage: the error of one that was there and could not be read, the last time through.
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
    """Prints a line for each checkpoint until the run has ended; one that was interrupted may go on.

    Raises:
        RunError: the run has ended, and has a damaged checkpoint, or never had one; or its folder is gone.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    console = tables.console(to_stderr=options["json"])
    scorer = Scorer(folder, config, options["split"])
    checkpoints, status, told = NewCheckpoints(folder, average=options["average"]), "", ""
    while status not in _ENDED:
        read_config(folder)  # or it would be waited for a run whose folder was deleted
        status = RunFolder(folder).read_result().get("status", "")  # first: a run saves before it says that it ended
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
    """Returns the line to print while no checkpoint is new; empty in the usual case."""
    if checkpoints.damage is not None:
        return f"warning: {checkpoints.damage} It is tried again until the run ends."
    if status == "interrupted":
        return "The run was interrupted. Waiting for it to go on."
    return "" if checkpoints.given else "Waiting for the first checkpoint."
