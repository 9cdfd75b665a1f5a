"""`benchmark`: measures speed, start-up, memory and computation of a run with its own training loop."""

import json
import math
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from tfcore import checks, files
from tfcore.bench import figures
from tfcore.build import importing, phases, runtime
from tfcore.build.configuration import resolve, with_given
from tfcore.build.tables import check_names
from tfcore.cli import flags
from tfcore.cli.main import STARTED
from tfcore.config import RunConfig
from tfcore.errors import ConfigError
from tfcore.machine import peak_bytes
from tfcore.training.run_folder import RunFolder

if TYPE_CHECKING:
    from tfcore.bench.measurement import Measurement

_ENDLESS_STEPS = 10**9
_NAME_WIDTH = 30


def run(parsed: flags.Parsed) -> int:
    """Measures, prints the figures, and returns the exit status."""
    options = parsed.options
    _check(options)
    config = resolve(with_given({**parsed.given, "steps": _ENDLESS_STEPS, "epochs": None}))
    check_names(config)
    phases.refuse(config, "benchmark")
    if options["try_all"]:
        return _try_all(config, options)
    start = time.monotonic()
    importing.import_tensorflow_for_good()
    imported = {"process_start": STARTED, "import_secs": time.monotonic() - start, "import_memory_bytes": peak_bytes()}
    runtime.set_up(config)
    with tempfile.TemporaryDirectory() as scratch, RunFolder(Path(scratch) / "run") as folder:
        _benchmark(config, folder, imported, options)
    return 0


def _check(options: dict[str, Any]) -> None:
    """Raises, before anything is loaded, for an invalid option or one that would overwrite a path."""
    checks.positive("secs", options["secs"])
    checks.one_of("figures", options["figures"], tuple(figures.MEASURED))
    checks.not_negative("profile_steps", options["profile_steps"])
    if bool(options["profile_steps"]) != bool(options["profile_dir"]):
        raise ConfigError("--profile_steps and --profile_dir go together. Give both or neither.")
    if options["profile_dir"]:
        files.refuse_existing(Path(options["profile_dir"]))
    if options["try_all"] and (options["profile_steps"] or options["figures"] != flags.FIGURES.default):
        raise ConfigError("--try_all measures training alone: leave out --figures and --profile_steps.")


def _try_all(config: RunConfig, options: dict[str, Any]) -> int:
    """Compares all choices of precision, XLA and threads."""
    from tfcore.bench import try_all
    from tfcore.terminal import tables

    console = tables.console(to_stderr=options["json"])
    with tempfile.TemporaryDirectory() as scratch:
        found = try_all.compare(config, secs=options["secs"], scratch=Path(scratch), say=console.print)
    console.print(found.table())
    console.print(f"The rule's choice reaches {found.share_of_best:.0%} of the best.")
    if options["json"]:
        print(json.dumps(found.figures()))
    return 0


def _benchmark(config: RunConfig, folder: RunFolder, imported: figures.Figures, options: dict[str, Any]) -> None:
    """Builds the session, measures it, prints the figures, and profiles last: a failed profile loses no figure."""
    start = time.monotonic()
    from tfcore.bench.measurement import Measurement
    from tfcore.run.session import Session
    from tfcore.terminal import tables
    from tfcore.training.run_log import RunLog

    folder.write_config(config.flags())
    config = replace(config, keep_checkpoints=1, patience=None)  # no early stopping during the measurement
    session = Session(config, folder, tables.console(to_stderr=True, quiet=True))
    built = {**imported, "build_secs": time.monotonic() - start}
    stream = sys.stderr if options["json"] else sys.stdout
    with closing(RunLog(folder.path)) as log:
        measurement = Measurement(session, log, options["secs"])
        measured = figures.MEASURED[options["figures"]](session, measurement, built)
        _report({**measured, "setting": figures.setting(session.config)}, stream, as_json=options["json"])
        if options["profile_steps"]:
            _profile(measurement, options["profile_steps"], Path(options["profile_dir"]), stream)


def _report(groups: dict[str, figures.Figures], stream: TextIO, *, as_json: bool) -> None:
    """Prints the figures by group, a warning if the loss did not fall, and the JSON if requested."""
    for title, group in groups.items():
        print(f"{title}:", file=stream)
        for name, figure in group.items():
            print(f"  {name:<{_NAME_WIDTH}}{_shown(figure)}", file=stream)
    loss = groups.get("loss")
    if loss and not loss["loss_fell"]:
        print(
            f"warning: the training loss did not fall: {loss['loss_first']:.4f} at the beginning, "
            f"{loss['loss_last']:.4f} at the end. Measure longer (--secs), or try another --learning_rate.",
            file=sys.stderr,
        )
    if as_json:
        flat = {name: figure for group in groups.values() for name, figure in group.items()}
        print(json.dumps({name: _finite(figure) for name, figure in flat.items()}), flush=True)


def _shown(figure: Any) -> str:
    """Formats a figure for the table."""
    if isinstance(figure, list):
        return " to ".join(map(_shown, figure))
    if isinstance(figure, bool | str):
        return str(figure)
    return f"{figure:,.4g}" if isinstance(figure, float) else f"{figure:,}"


def _finite(figure: Any) -> Any:
    """Replaces NaN and infinity by None, since JSON lacks them."""
    return None if isinstance(figure, float) and not math.isfinite(figure) else figure


def _profile(measurement: "Measurement", steps: int, folder: Path, stream: TextIO) -> None:
    """Writes the profile, and prints its table of ops and the commands that open it."""
    from tfcore.terminal import tables

    with files.appearing(folder) as scratch:
        table = measurement.profile(scratch, steps)
    print(f"{table}\nLook at it: {tables.tensorboard_command(folder)}\n"
          f"or open {folder / 'trace.json.gz'} in https://ui.perfetto.dev", file=stream)  # fmt: skip
