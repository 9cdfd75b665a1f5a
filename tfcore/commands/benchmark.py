"""`benchmark`: speed, start-up, memory and cost of a run, by the loop that trains."""

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
from tfcore.commands import builders, flags, quiet, runtime
from tfcore.commands.machine import bare_import_secs, machine, peak_bytes
from tfcore.commands.main import STARTED
from tfcore.config import RunConfig
from tfcore.errors import ConfigError
from tfcore.training.run_folder import RunFolder

if TYPE_CHECKING:
    from tfcore.commands.measurement import Measurement
    from tfcore.commands.session import Session

_ENDLESS_STEPS = 10**9
_NAME_WIDTH = 30
Figures = dict[str, Any]


def run(parsed: flags.Parsed) -> int:
    """Measures, prints, and gives back the exit status."""
    options = parsed.options
    _check(options)
    config = builders.resolve(flags.run_config({**parsed.given, "steps": _ENDLESS_STEPS, "epochs": None}))
    builders.check_names(config)
    start = time.monotonic()
    quiet.import_tensorflow_for_good()
    imported = {"import_secs": time.monotonic() - start, "import_memory_bytes": peak_bytes()}
    runtime.set_up(config)
    with tempfile.TemporaryDirectory() as scratch, RunFolder(Path(scratch) / "run") as folder:
        _benchmark(config, folder, imported, options)
    return 0


def _check(options: dict[str, Any]) -> None:
    """Raises before anything is loaded where an option is of no use, or would overwrite something."""
    checks.positive("secs", options["secs"])
    checks.one_of("figures", options["figures"], tuple(_MEASURED))
    checks.not_negative("profile_steps", options["profile_steps"])
    if bool(options["profile_steps"]) != bool(options["profile_dir"]):
        raise ConfigError("--profile_steps and --profile_dir go together. Give both or neither.")
    if options["profile_dir"]:
        files.refuse_existing(Path(options["profile_dir"]))


def _benchmark(config: RunConfig, folder: RunFolder, imported: Figures, options: dict[str, Any]) -> None:
    """Builds the session, measures and prints it, and profiles it last: a profile that fails costs no figure."""
    start = time.monotonic()
    from tfcore.commands import display
    from tfcore.commands.measurement import Measurement
    from tfcore.commands.session import Session
    from tfcore.training.run_log import RunLog

    folder.write_config(config.flags())
    config = replace(config, keep_checkpoints=1, patience=None)  # nothing may end the run before it is measured
    session = Session(config, folder, display.console(to_stderr=True, quiet=True))
    built = {**imported, "build_secs": time.monotonic() - start}
    stream = sys.stderr if options["json"] else sys.stdout
    with closing(RunLog(folder.path)) as log:
        measurement = Measurement(session, log, options["secs"])
        measured = _MEASURED[options["figures"]](session, measurement, built)
        _report({**measured, "setting": _setting(config)}, stream, as_json=options["json"])
        if options["profile_steps"]:
            _profile(measurement, options["profile_steps"], Path(options["profile_dir"]), stream)


def _everything(session: "Session", measurement: "Measurement", built: Figures) -> dict[str, Figures]:
    """All figures by group; the first step is the first thing the session does."""
    started = measurement.start_up(STARTED)
    trained = _training(session, measurement, built)
    logging = measurement.logging()
    speed = {**trained["speed"], **measurement.parts(), **measurement.evaluation()}
    bare_secs = bare_import_secs()
    return {
        "speed": speed,
        "start-up": {
            "import_secs": built["import_secs"],
            "build_secs": built["build_secs"],
            **started,
            "bare_import_secs": bare_secs,
            "startup_ratio": started["first_step_secs"] / bare_secs,
        },
        "memory": trained["memory"],
        "computation": measurement.computation(speed["steps_per_sec"]),
        "logging": logging,
        "loss": trained["loss"],
    }


def _training(session: "Session", measurement: "Measurement", built: Figures) -> dict[str, Figures]:
    """End to end only."""
    speed, loss, memory_bytes = measurement.training()
    return {"speed": speed, "memory": _memory(session, built, memory_bytes), "loss": loss}


def _evaluation(session: "Session", measurement: "Measurement", built: Figures) -> dict[str, Figures]:
    """Of the untrained model, which takes as long as any."""
    speed = measurement.evaluation()
    return {"speed": speed, "memory": _memory(session, built, peak_bytes())}


def _memory(session: "Session", built: Figures, bytes_at_peak: int) -> Figures:
    return {
        "peak_memory_bytes": bytes_at_peak,
        "import_memory_bytes": built["import_memory_bytes"],
        "data_bytes": session.data.train.images.nbytes + session.data.test.images.nbytes,
    }


_MEASURED = {"all": _everything, "training": _training, "evaluation": _evaluation}


def _setting(config: RunConfig) -> Figures:
    return {
        "precision": config.precision,
        "xla": config.xla,
        "intra_op_threads": config.intra_op_threads,
        "inter_op_threads": config.inter_op_threads,
        "machine": machine(),
    }


def _report(groups: dict[str, Figures], stream: TextIO, *, as_json: bool) -> None:
    """The figures by group, the warning where nothing was learnt, and the JSON where it is wanted."""
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
    """A figure for people."""
    if isinstance(figure, list):
        return " to ".join(map(_shown, figure))
    if isinstance(figure, bool | str):
        return str(figure)
    return f"{figure:,.4g}" if isinstance(figure, float) else f"{figure:,}"


def _finite(figure: Any) -> Any:
    """JSON has no NaN."""
    return None if isinstance(figure, float) and not math.isfinite(figure) else figure


def _profile(measurement: "Measurement", steps: int, folder: Path, stream: TextIO) -> None:
    """Writes the profile, and prints where the time goes and what opens it."""
    from tfcore.commands import display

    with files.appearing(folder) as scratch:
        table = measurement.profile(scratch, steps)
    print(f"{table}\nLook at it: {display.tensorboard_command(folder)}\n"
          f"or open {folder / 'trace.json.gz'} in https://ui.perfetto.dev", file=stream)  # fmt: skip
