"""Makes the configuration of a run: merges flags, reads run folders, and fills in defaults."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tfcore.build import registry
from tfcore.build.tables import OPTIMIZERS
from tfcore.config import RunConfig
from tfcore.errors import ConfigError, RunError

DEFAULT_EPOCHS = 10.0
_EARLIER = "--validation_split=stratified\n"  # of runs whose files do not say so
AUTOMATIC: dict[str, Any] = {
    "precision": "auto",
    "xla": "auto",
    "intra_op_threads": 0,
    "inter_op_threads": 0,
    "validation_split": "auto",
}


def with_given(given: Mapping[str, Any], base: RunConfig | None = None) -> RunConfig:
    """Returns `base`, by default the default configuration, with the given settings.

    Where a setting is given as automatic, the choice of `base` stands; so does the number of shards of its blocks.
    """
    if base is None:
        return RunConfig(**given)
    given = {name: value for name, value in given.items() if name not in AUTOMATIC or value != AUTOMATIC[name]}
    if given.get("shuffle") == "blocks" and base.shuffle != "global":
        given.pop("shuffle")  # as many shards as there
    length = {"steps": None, "epochs": None} if given.keys() & {"steps", "epochs"} else {}
    return replace(base, **{**length, **given})


def of_run(folder: Path) -> RunConfig:
    """Reads the configuration of the run in `folder`.

    Raises:
        RunError: there is no run, or its flags are invalid.
    """
    from tfcore.training.run_folder import CONFIG, read_config  # its locks take a tenth of a second to import

    try:
        return RunConfig.from_flags(_EARLIER + read_config(folder))
    except ConfigError as error:
        raise RunError(f"{folder / CONFIG} cannot be used: {error}") from error


def resolve(config: RunConfig) -> RunConfig:
    """Returns `config` with its length and learning rate; `build_parts` makes the choices that depend on the model."""
    length = config.epochs if config.epochs is not None or config.steps is not None else DEFAULT_EPOCHS
    rate = config.learning_rate or registry.learning_rate(config.optimizer, OPTIMIZERS)
    return replace(config, epochs=length, learning_rate=rate)
