"""Where a run goes on from: its newest readable checkpoint, or its beginning."""

from pathlib import Path
from typing import NamedTuple

from tfcore.errors import ConfigError, RunError
from tfcore.run.parts import Parts
from tfcore.run.provenance import Provenance
from tfcore.training.checkpoints import Checkpoints
from tfcore.training.run_folder import RunFolder
from tfcore.use import loading

_SAVED = ("interrupted", "finished", "stopped_early")  # a run that ended so has left a checkpoint


class Restored(NamedTuple):
    """The outcome of a restore.

    Attributes:
        step: completed steps of the restored state; 0 for a new run.
        damaged: a sentence for each checkpoint that could not be read.
        differences: a clause for each way in which this process differs from the one that saved.
        weights_from: where the first weights of a new run were read from; "" where they were drawn.
    """

    step: int
    damaged: list[str]
    differences: list[str]
    weights_from: str = ""


def check_length(parts: Parts, folder: RunFolder, newest_step: int) -> None:
    """Raises ConfigError where the run in `folder` is already longer than the one that is asked for."""
    if newest_step > parts.total_steps:
        raise ConfigError(
            f"The run in {folder.path} has done {newest_step} steps, more than the {parts.total_steps} asked for."
        )


def restore(parts: Parts, folder: RunFolder, checkpoints: Checkpoints, provenance: Provenance) -> Restored:
    """Gives every variable its value of the newest readable checkpoint, or that of a new run.

    Args:
        parts: of the run.
        folder: the run's.
        checkpoints: of the variables of `parts`.
        provenance: facts about this process.

    Raises:
        RunError: there are checkpoints, and none can be read; or there have been some, and they are gone.
    """
    if checkpoints.steps():
        about, damaged = checkpoints.restore_newest()
        return Restored(int(about["step"]), damaged, provenance.differences(about))
    if folder.read_result().get("status") in _SAVED:
        raise RunError(
            f"The run in {folder.path} has saved checkpoints, and {folder.checkpoints} holds none. "
            "Bring them back from a copy, or start anew in another --run_dir."
        )
    if parts.config.init_from:
        path = Path(parts.config.init_from)
        loading.assign_weights(parts.model, loading.read_weights(path), path)
    return Restored(0, [], [], parts.config.init_from)


def how_to_go_on(folder: RunFolder, newest_step: int) -> str:
    """Says what a disk that failed has left, and what to do."""
    left = (
        f"goes on from the checkpoint of step {newest_step}" if newest_step else "starts anew: there is no checkpoint"
    )
    return f"Once the disk can be written again, the same command with --run_dir={folder.path} {left}."
