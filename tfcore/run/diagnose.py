"""From "the loss is NaN" to the step, the layer and the examples."""

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from tfcore.errors import TfcoreError
from tfcore.run import restore
from tfcore.training import divergence
from tfcore.training.divergence import DivergedError, Finding
from tfcore.training.events import Event
from tfcore.training.loop import Loop
from tfcore.training.run_log import RunLog

if TYPE_CHECKING:
    from tfcore.run.session import Session

_SHOWN_EXAMPLES = 8
_ADVICE = "Try a smaller --learning_rate, or --clip_norm=1, in another --run_dir."


class Replay:
    """A run built anew, to be done once more from its newest checkpoint; nothing is written."""

    def __init__(self, session: "Session") -> None:
        self._session = session
        self.model, self.step, self.batches = session.model, session.step, session.training_batches()

    def loop(self, events: list[Event]) -> Loop:
        """One of the run's own kind, with other events."""
        return Loop(self.step, self.batches, events, xla=self._session.config.xla == "on")

    def go_back(self) -> int:
        """Restores the newest checkpoint, or leaves the initial weights; the step."""
        return restore.restore_variables(self._session)


def diagnosed(session: "Session", error: DivergedError, log: RunLog) -> DivergedError:
    """The error with all that can be found out about where the numbers went bad.

    Args:
        session: the run that ended with `error`.
        error: what was noticed.
        log: gets the steps up to it.
    """
    first = session.newest_step()
    session.console.print(f"{error} Replaying the run from step {first}, step by step, to see where that began.")
    try:
        finding = divergence.find(_new_replay(session), error.step)
    except TfcoreError as problem:
        return DivergedError(f"{error} A replay was not possible: {problem}", error.step)
    if finding is None:
        text = (
            f"{error} A replay from step {first} stayed finite: something else than the training step did it, or this "
            "machine does not repeat itself to the bit."
        )
        return DivergedError(f"{text} {_ADVICE}", error.step)
    for point in finding.history:
        log.write(point.step, "train", {"total_loss": point.loss, "gradient_norm": point.gradient_norm})
        session.console.print(
            f"step {point.step}: total loss {point.loss:.6g}, gradient norm {point.gradient_norm:.6g}"
        )
    found = {name: value for name, value in asdict(finding).items() if name != "history"}
    return DivergedError(_sentence(error, finding), error.step, {"first_bad": found})


def _new_replay(session: "Session") -> Callable[[], Replay]:
    return lambda: Replay(session.twin())


def _sentence(error: DivergedError, finding: Finding) -> str:
    shown = ", ".join(map(str, finding.examples[:_SHOWN_EXAMPLES]))
    more = f" and {len(finding.examples) - _SHOWN_EXAMPLES} more" if len(finding.examples) > _SHOWN_EXAMPLES else ""
    kept = f"The checkpoint of step {finding.checkpoint} is kept. " if finding.checkpoint else ""
    return (
        f"{error} The first number that is not finite came up in step {finding.step}, {finding.where}, on the training "
        f"examples {shown}{more} (all are in result.json). {kept}{_ADVICE}"
    )
