"""The configuration of a run: what is given on top of a base, what a folder says, every automatic choice made."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tfcore.build import registry, runtime
from tfcore.build.tables import OPTIMIZERS
from tfcore.config import RunConfig
from tfcore.errors import ConfigError, RunError

DEFAULT_EPOCHS = 10.0


def with_given(given: Mapping[str, Any], base: RunConfig | None = None) -> RunConfig:
    """The configuration with the given settings on top of `base` (of the defaults, where there is none)."""
    if base is None:
        return RunConfig(**given)
    length = {"steps": None, "epochs": None} if given.keys() & {"steps", "epochs"} else {}
    return replace(base, **{**length, **given})


def of_run(folder: Path) -> RunConfig:
    """Reads the configuration of the run that lives in `folder`.

    Raises:
        RunError: none lives there, or its flags are not such as a run writes.
    """
    from tfcore.training.run_folder import CONFIG, read_config  # its locks take a tenth of a second to import

    try:
        return RunConfig.from_flags(read_config(folder))
    except ConfigError as error:
        raise RunError(f"{folder / CONFIG} cannot be used: {error}") from error


def resolve(config: RunConfig) -> RunConfig:
    """`config` with every automatic choice made, by fixed rules over the configuration alone."""
    length = config.epochs if config.epochs is not None or config.steps is not None else DEFAULT_EPOCHS
    rate = config.learning_rate or registry.learning_rate(config.optimizer, OPTIMIZERS)
    return runtime.resolved(replace(config, epochs=length, learning_rate=rate))
