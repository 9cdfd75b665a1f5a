"""The progress line of training, redrawn in place on a terminal and printed at intervals elsewhere; a plain bar."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from fractions import Fraction

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

_PRINT_SECS = 30.0  # between two printed lines where the line is not redrawn
_SPEED_SECS = 20.0  # window of the speed; includes evaluations, because the remaining time does
_LONGEST_SECS = 1e9  # longest remaining time shown: 30 years
Clock = Callable[[], float]


class ProgressLine:
    """Formats the progress of training, most important parts first, since a narrow terminal cuts the end off.

    Args:
        first_step: completed steps at the start.
        total_steps: of the run.
        batch_size: examples per step.
        per_epoch: steps per epoch.
        means: returns the mean loss and accuracy of the epoch so far.
        best: returns the scores of the best validation; None before the first.
        clock: returns the time in seconds.
    """

    def __init__(
        self,
        *,
        first_step: int,
        total_steps: int,
        batch_size: int,
        per_epoch: Fraction,
        means: Callable[[], Mapping[str, float]],
        best: Callable[[], Mapping[str, float] | None],
        clock: Clock = time.monotonic,
    ) -> None:
        self._total_steps, self._batch_size, self._per_epoch = total_steps, batch_size, per_epoch
        self._means, self._best, self._clock = means, best, clock
        self._seen = deque([(clock(), first_step)])  # time and completed steps of the newest calls

    def see(self, step: int) -> None:
        """Records the completed steps and the time, for the speed."""
        self._seen.append((self._clock(), step))
        while self._seen[-1][0] - self._seen[0][0] > _SPEED_SECS and len(self._seen) > 2:
            self._seen.popleft()

    def epoch(self, step: int) -> int:
        """Returns the number of complete epochs."""
        return math.floor(step / self._per_epoch)

    def __str__(self) -> str:
        (before_secs, before), (now_secs, step) = self._seen[0], self._seen[-1]
        steps_per_sec = (step - before) / max(now_secs - before_secs, 1e-6)
        left_secs = (self._total_steps - step) / steps_per_sec if steps_per_sec else math.inf
        left = timedelta(seconds=int(left_secs)) if left_secs < _LONGEST_SECS else "?"
        means, best = self._means(), self._best()
        parts = [
            f"step {step:,}/{self._total_steps:,} ({step / self._total_steps:.0%}, {left} left)",
            f"epoch {float(step / self._per_epoch):.2f}",
            f"loss {means['loss']:.4f} accuracy {means['accuracy']:.4f}",
            *([f"best validation {best['accuracy']:.4f}"] if best else []),
            f"{steps_per_sec * self._batch_size:,.0f} examples/s",
        ]
        return "  ".join(parts)


@contextmanager
def following(console: Console, line: ProgressLine, clock: Clock = time.monotonic) -> Iterator[Callable[[int], None]]:
    """Shows the line inside the block; yields a function to be called with the completed steps about every second."""
    if console.quiet:
        yield lambda _: None
    elif console.is_terminal and not console.is_dumb_terminal:
        with Live(console=console, transient=True) as live:

            def draw(step: int) -> None:
                line.see(step)
                live.update(Text(str(line), no_wrap=True, overflow="ellipsis"))

            yield draw
    else:
        yield _printing(console, line, clock)


def _printing(console: Console, line: ProgressLine, clock: Clock) -> Callable[[int], None]:
    """Returns a function that prints the line every 30 s of a long epoch; an epoch's end has its own line."""
    printed_secs, epoch = clock(), -1

    def show(step: int) -> None:
        nonlocal printed_secs, epoch
        line.see(step)
        if line.epoch(step) != epoch:
            printed_secs, epoch = clock(), line.epoch(step)
        elif clock() - printed_secs >= _PRINT_SECS:
            printed_secs = clock()
            console.print(str(line))

    return show


@contextmanager
def bar(name: str, total: int) -> Iterator[Callable[[int], None]]:
    """Shows a bar on standard error inside the block, on a terminal only.

    Args:
        name: of what is being done.
        total: number of examples.

    Yields:
        A function to be called with a number of examples that are done, from any thread.
    """
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(escape(name), total=total)
        yield lambda count: progress.advance(task, count)
