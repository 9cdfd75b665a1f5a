"""Trains a run with a rising learning rate, and records the loss of every step."""

from collections.abc import Callable, Mapping

from tfcore.data.examples import data_errors
from tfcore.lr_find.rates import Divergence
from tfcore.run.parts import Parts
from tfcore.training.events import Event, Moment, Schedule
from tfcore.training.loop import Loop


class Recording:
    """Trains and records the rate and the loss of each step, up to the one after which training has diverged.

    The losses are those of the batches before their update, without penalties. They are recorded inside the compiled
    calls; the steps that a call runs past the divergence are left out, so the record does not depend on the pace.

    Args:
        parts: with the initial weights, of a run with the settings of `settings.rising`.

    Attributes:
        rates, losses: of the steps so far; only the last loss may be NaN or infinite.
        has_diverged: whether the last loss ended the test.
    """

    def __init__(self, parts: Parts) -> None:
        self.rates: list[float] = []
        self.losses: list[float] = []
        self.has_diverged = False
        self._newest: Mapping[str, float] = {}
        self._parts, self._divergence = parts, Divergence()

    def newest(self) -> Mapping[str, float]:
        """Returns the numbers of the last step, among them loss and accuracy of its batch."""
        return self._newest

    def run(self, after_call: Callable[[int], None] = lambda _: None) -> None:
        """Trains to the highest rate, or until training has diverged; `after_call` gets the completed steps."""
        parts = self._parts
        every_step = Event("losses", Schedule(1), self._record, passive=True)
        loop = Loop(parts.phases(), [every_step], xla=parts.config.xla == "on", after_call=after_call)
        with data_errors(parts.splits.values()):
            loop.run(parts.total_steps, should_stop=lambda: self.has_diverged)

    def _record(self, moment: Moment) -> None:
        if self.has_diverged:
            return
        self.rates.append(moment.observed["learning_rate"])
        self.losses.append(moment.observed["loss"])
        self._newest = moment.observed
        self.has_diverged = self._divergence.after(self.losses[-1])
