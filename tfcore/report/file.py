"""The report as a file: written when a run has ended, or when it is asked for."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tfcore import checks
from tfcore.files import replacing
from tfcore.training.run_folder import REPORT, RunFolder


@contextmanager
def at_end(folder: RunFolder, *, wanted: bool, say: Callable[[str], None]) -> Iterator[None]:
    """Leaves a report in the folder of a run that ends inside the block, but not of one that is to go on.

    The run has ended by then, so a report that cannot be made is a warning.

    Args:
        folder: the run's.
        wanted: whether there is to be one.
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
    """Writes the report of a run that has ended, and a line about it."""
    path = folder.path / REPORT
    try:
        if not wanted or folder.read_result().get("status") == "interrupted":
            return
        write([folder.path], replacing(path))
    except Exception as error:  # whatever it is, also of the libraries that draw: the run itself is complete
        reason = checks.one_line(str(error) or type(error).__name__)
        say(f"warning: there is no report of this run: {reason}")
    else:
        say(f"Report: {path}")


def write(folders: Sequence[Path], place: AbstractContextManager[Path]) -> None:
    """Writes the page about the runs in the folders to the place that is entered once the page is there."""
    from tfcore.report import facts, page  # with all that draws, which no run waits for at its start

    text = page.page([facts.read(folder) for folder in folders])
    with place as scratch:
        scratch.write_text(text, encoding="utf-8")
