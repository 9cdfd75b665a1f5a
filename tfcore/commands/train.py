"""`train`: starts a run, or goes on with one."""

import json
import math
import time
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from tfcore import checks
from tfcore.commands import builders, dashboard, flags, quiet, report, runtime
from tfcore.commands.dashboard import Dashboard
from tfcore.config import IDENTITY, RunConfig, describe, spelled
from tfcore.errors import ConfigError, RunError
from tfcore.training.run_folder import RESULT, RunFolder, new_folder

_RUNS = Path("runs")
_LENGTH = {"steps", "epochs"}


def run(parsed: flags.Parsed) -> int:
    """Trains, and gives back the exit status."""
    start, options = time.monotonic(), parsed.options
    checks.not_negative("stop_after_steps", options["stop_after_steps"])
    limit_secs = checks.duration_secs("max_time", options["max_time"]) if options["max_time"] else math.inf
    dashboard.check(options)
    with RunFolder(_path(parsed)) as folder:
        config = configuration(folder, parsed.given)
        builders.check_names(config)
        if has_ended(folder, config):
            return _say_ended(folder, as_json=options["json"])
        quiet.import_tensorflow_for_good()
        runtime.set_up(config)
        from tfcore.commands import display
        from tfcore.commands.session import Session

        console = display.console(to_stderr=options["json"])
        session = Session(config, folder, console, quiet=options["quiet"])
        host, port = options["tensorboard_host"], options["tensorboard_port"]
        with (
            Dashboard(folder.path, host=host, port=port, say=partial(console.print, markup=False)) as board,
            report.at_end(session),
        ):
            status, result = session.run(
                pause_step=options["stop_after_steps"] or None,
                max_secs=start + limit_secs - time.monotonic(),
                on_start=board.start if options["tensorboard"] else lambda: None,
            )
        if options["json"]:
            print(json.dumps(result))
        return status


def _path(parsed: flags.Parsed) -> Path:
    """The folder that is named, or a new one such as `runs/20260131-095959-softmax-cifar10`."""
    if parsed.options["run_dir"]:
        return Path(parsed.options["run_dir"])
    return new_path(flags.run_config(parsed.given), datetime.now())


def new_path(config: RunConfig, now: datetime) -> Path:
    """A folder for a new run."""
    names = (Path(name.rsplit(":", 1)[-1]).stem for name in (config.model, config.dataset))
    return new_folder(_RUNS, "-".join(names), now)


def configuration(folder: RunFolder, given: dict[str, Any]) -> RunConfig:
    """The given flags, on top of those of the run that lives in the folder, if one does."""
    return _resumed(folder, given) if folder.is_started else builders.resolve(flags.run_config(given))


def _resumed(folder: RunFolder, given: dict[str, Any]) -> RunConfig:
    """The run's own configuration under the flags given now, which must not change what is trained.

    Raises:
        ConfigError: they would. A longer run is no such change where no learning rate depends on the length.
    """
    own = flags.of_run(folder.path)
    config = builders.resolve(flags.run_config(given, base=own))
    changed = config.differences(own, IDENTITY)
    length = {name: pair for name, pair in changed.items() if name in _LENGTH}
    if len(changed) > len(length):
        other = {name: pair for name, pair in changed.items() if name not in _LENGTH}
        raise ConfigError(f"{folder.path} belongs to another configuration: {describe(other)}. Name another --run_dir.")
    if length and config.depends_on_length:
        name = "epochs" if config.epochs is not None else "steps"
        raise ConfigError(
            f"--{name}={spelled(getattr(config, name))} would change every learning rate of the run in {folder.path}: "
            f"--schedule={config.schedule} ends with the run. Name another --run_dir."
        )
    return config


def has_ended(folder: RunFolder, config: RunConfig) -> bool:
    """Whether there is nothing left to do; asking a finished run for another length is something to do."""
    status = folder.read_result().get("status") if folder.is_started else None
    if status == "finished":
        return not config.differences(flags.of_run(folder.path), IDENTITY)
    return status == "stopped_early"


def _say_ended(folder: RunFolder, *, as_json: bool) -> int:
    result = folder.read_result()
    if as_json:
        print(json.dumps(result))
        return 0
    try:
        how, accuracy = result["status"].replace("_", " "), f"{result['test']['accuracy']:.4f}"
        print(f"The run in {folder.path} has {how} after {int(result['steps'])} steps: test accuracy {accuracy}.")
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{folder.path / RESULT} does not say how the run ended. Delete it, and the run goes on."
        ) from error
    return 0
