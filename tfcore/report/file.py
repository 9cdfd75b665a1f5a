"""Writes the report file at the end of a run, or on request."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tfcore import checks
from tfcore.files import replacing
from tfcore.training.run_folder import REPORT, RunFolder


@contextmanager
def at_end(folder: RunFolder, *, wanted: bool, say: Callable[[str], None]) -> Iterator[None]:
    """Writes a report into the folder of a run that ends inside the block, unless it was interrupted.

    The run is complete by then, so a report that fails is only a warning.

    Args:
        folder: the run's.
        wanted: whether to write a report.
        say: prints a line.
    """
    from tfcore.training.divergence import DivergedError  # loads TensorFlow, which the session needs anyway

    try:
        yield
    except DivergedError:
        _leave(folder, wanted, say)
        raise
    _leave(folder, wanted, say)


def _leave(folder: RunFolder, wanted: bool, say: Callable[[str], None]) -> None:
    """Writes the report of a run that has ended, and prints its path or the reason for its failure."""
    path = folder.path / REPORT
    try:
        if not wanted or folder.read_result().get("status") == "interrupted":
            return
        write([folder.path], replacing(path))
    except Exception as error:  # any error, also of the drawing libraries: the run itself is complete
        reason = checks.one_line(str(error) or type(error).__name__)
        say(f"warning: this run has no report: {reason}")
    else:
        say(f"Report: {path}")


def write(folders: Sequence[Path], place: AbstractContextManager[Path]) -> None:
    """Writes the page about the runs in the folders; `place` is entered once the page is complete."""
    from tfcore.report import facts, page  # imports Matplotlib, which must not delay the start of a run

    text = page.page([facts.read(folder) for folder in folders])
    with place as scratch:
        scratch.write_text(text, encoding="utf-8")
