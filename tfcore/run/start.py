"""Determines a run's folder and configuration, and whether the run has already ended."""

from datetime import datetime
from pathlib import Path
from typing import Any

from tfcore.build.configuration import of_run, resolve, with_given
from tfcore.config import RunConfig
from tfcore.config_fields import IDENTITY
from tfcore.config_values import describe, spelled
from tfcore.errors import ConfigError
from tfcore.training.run_folder import RunFolder, new_folder
from tfcore.use import renaming

_RUNS = Path("runs")
_LENGTH = {"steps", "epochs"}


def new_path(config: RunConfig, now: datetime) -> Path:
    """Returns the path of a folder for a new run."""
    names = (Path(name.rsplit(":", 1)[-1]).stem for name in (config.model, config.dataset))
    return new_folder(_RUNS, "-".join(names), now)


def configuration(folder: RunFolder, given: dict[str, Any]) -> RunConfig:
    """Returns the configuration of the given flags, which override those of the run in the folder, if there is one.

    Raises:
        ConfigError: settings that do not fit together or to the run, or a table of names that cannot be read.
    """
    if folder.is_started:
        return _resumed(folder, given)
    config = resolve(with_given(given))
    renaming.read(config.rename)  # before data and TensorFlow are loaded
    return config


def _resumed(folder: RunFolder, given: dict[str, Any]) -> RunConfig:
    """Returns the run's configuration with the flags given now, which must not change what is trained.

    Raises:
        ConfigError: they would. Another length is allowed if no learning rate and no picture's size depends on it.
    """
    own = of_run(folder.path)
    config = resolve(with_given(given, base=own))
    changed = config.differences(own, IDENTITY)
    length = {name: pair for name, pair in changed.items() if name in _LENGTH}
    if len(changed) > len(length):
        other = {name: pair for name, pair in changed.items() if name not in _LENGTH}
        raise ConfigError(f"{folder.path} belongs to another configuration: {describe(other)}. Name another --run_dir.")
    if length:
        _refuse_length(config, folder)
    return config


def _refuse_length(config: RunConfig, folder: RunFolder) -> None:
    """Raises ConfigError if a step of the run in the folder depends on the run's length, which is another one now."""
    if config.depends_on_length:
        what, why = "every learning rate", f"--schedule={config.schedule} ends with the run"
    elif config.progressive_resizing:
        what, why = "the picture sizes", f"--progressive_resizing={config.progressive_resizing} has shares of the run"
    else:
        return
    name = "epochs" if config.epochs is not None else "steps"
    raise ConfigError(
        f"--{name}={spelled(getattr(config, name))} would change {what} of the run in {folder.path}: {why}. Name "
        "another --run_dir."
    )


def has_ended(folder: RunFolder, config: RunConfig) -> bool:
    """Whether the run is complete; a finished run that is given another length is not."""
    status = folder.read_result().get("status") if folder.is_started else None
    if status == "finished":
        return not config.differences(of_run(folder.path), IDENTITY)
    return status == "stopped_early"
