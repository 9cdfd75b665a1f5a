"""`report`: what a run came to, or how several compare, as one HTML page that can be sent."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tfcore import checks
from tfcore.commands import flags
from tfcore.errors import ConfigError
from tfcore.files import appearing, replacing
from tfcore.training.run_folder import REPORT

if TYPE_CHECKING:
    from tfcore.commands.session import Session


def run(parsed: flags.Parsed) -> int:
    """Writes the page, says where, and gives back the exit status."""
    folders = [Path(argument) for argument in parsed.arguments]
    if not folders:
        raise ConfigError("Name the run to report on, or the runs to compare: tfcore report runs/NAME.")
    own = folders[0] / REPORT if len(folders) == 1 else None
    path = Path(parsed.options["out"]) if parsed.options["out"] else own or Path(REPORT)
    is_own = own is not None and path.absolute() == own.absolute()
    _write(folders, replacing(path) if is_own else appearing(path))
    print(f"Report: {path}")
    return 0


@contextmanager
def at_end(session: "Session") -> Iterator[None]:
    """Leaves a report in the folder of a run that ends inside the block, but not of one that is to go on.

    The run has ended by then, so a report that cannot be made is a warning.
    """
    from tfcore.training.divergence import DivergedError  # loads TensorFlow, which the session needs anyway

    try:
        yield
    except DivergedError:
        _leave(session)
        raise
    _leave(session)


def _leave(session: "Session") -> None:
    """Writes the report of a run that has ended, and a line about it."""
    path = session.folder.path / REPORT
    try:
        if not session.config.report or session.folder.read_result().get("status") == "interrupted":
            return
        _write([session.folder.path], replacing(path))
    except Exception as error:  # whatever it is, also of the libraries that draw: the run itself is complete
        reason = checks.one_line(str(error) or type(error).__name__)
        session.console.print(f"warning: there is no report of this run: {reason}")
    else:
        session.console.print(f"Report: {path}")


def _write(folders: Sequence[Path], place: AbstractContextManager[Path]) -> None:
    """Writes the page about the runs in the folders to the place that is entered once the page is there."""
    from tfcore.commands import report_facts, report_page  # with all that draws, which no run waits for at its start

    text = report_page.page([report_facts.read(folder) for folder in folders])
    with place as scratch:
        scratch.write_text(text, encoding="utf-8")
