"""`report`: writes the results of a run, or a comparison of several, as one self-contained HTML page."""

from pathlib import Path

from tfcore.cli import flags
from tfcore.errors import ConfigError
from tfcore.files import appearing, replacing
from tfcore.report import file
from tfcore.training.run_folder import REPORT


def run(parsed: flags.Parsed) -> int:
    """Writes the page, prints its path, and returns the exit status."""
    folders = [Path(argument) for argument in parsed.arguments]
    if not folders:
        raise ConfigError("Name the run to report on, or the runs to compare: tfcore report runs/NAME.")
    own = folders[0] / REPORT if len(folders) == 1 else None
    path = Path(parsed.options["out"]) if parsed.options["out"] else own or Path(REPORT)
    is_own = own is not None and path.absolute() == own.absolute()
    file.write(folders, replacing(path) if is_own else appearing(path))
    print(f"Report: {path}")
    return 0
