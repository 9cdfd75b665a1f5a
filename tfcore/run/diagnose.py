"""Locates the step, layer and examples of the first NaN or infinity by replaying a diverged run."""

from collections.abc import Callable
from dataclasses import asdict
from typing import NamedTuple

from tfcore.errors import TfcoreError
from tfcore.run.parts import Parts
from tfcore.training import divergence
from tfcore.training.divergence import DivergedError, Finding, Point
from tfcore.training.events import Event
from tfcore.training.loop import Loop

_SHOWN_EXAMPLES = 8
_ADVICE = "Try a smaller --learning_rate, or --clip_norm=1, in another --run_dir."


class Diagnosis(NamedTuple):
    """The outcome of a diagnosis.

    Attributes:
        error: its message has all findings.
        history: the last steps up to the first bad number; empty where it was not found.
    """

    error: DivergedError
    history: list[Point]


class Replay:
    """A rebuilt run that is repeated from its newest checkpoint and writes nothing.

    Args:
        parts: of the run, newly built.
        go_back: restores the variables of `parts` from the newest checkpoint, if there is one; returns the step.
    """

    def __init__(self, parts: Parts, go_back: Callable[[], int]) -> None:
        self._parts, self.go_back = parts, go_back
        self.model, self.step, self.batches = parts.model, parts.step, parts.training_batches()
        self.phases = parts.phases()

    def loop(self, events: list[Event]) -> Loop:
        """Returns a loop with the run's settings and other events."""
        return Loop(self.phases, events, xla=self._parts.config.xla == "on")


def diagnose(error: DivergedError, new_replay: Callable[[], Replay], newest_step: int) -> Diagnosis:
    """Repeats a run from its newest checkpoint to find its first number that is NaN or infinite.

    Args:
        error: the divergence as it was detected.
        new_replay: rebuilds the run; called twice.
        newest_step: of the newest checkpoint; 0 if there is none.
    """
    try:
        finding = divergence.find(new_replay, error.step)
    except TfcoreError as problem:
        return Diagnosis(DivergedError(f"{error} A replay was not possible: {problem}", error.step), [])
    if finding is None:
        text = (
            f"{error} A replay from step {newest_step} stayed finite: the cause is outside the training step, or this "
            f"machine does not reproduce results bit for bit. {_ADVICE}"
        )
        return Diagnosis(DivergedError(text, error.step), [])
    found = {name: value for name, value in asdict(finding).items() if name != "history"}
    return Diagnosis(DivergedError(_sentence(error, finding), error.step, {"first_bad": found}), finding.history)


def _sentence(error: DivergedError, finding: Finding) -> str:
    shown = ", ".join(map(str, finding.examples[:_SHOWN_EXAMPLES]))
    more = f" and {len(finding.examples) - _SHOWN_EXAMPLES} more" if len(finding.examples) > _SHOWN_EXAMPLES else ""
    kept = f"The checkpoint of step {finding.checkpoint} is kept. " if finding.checkpoint else ""
    return (
        f"{error} The first number that is not finite came up in step {finding.step}, {finding.where}, on the training "
        f"examples {shown}{more} (all are in result.json). {kept}{_ADVICE}"
    )
