"""Restores a run from its newest readable checkpoint, or starts it from its initial weights."""

from pathlib import Path
from typing import NamedTuple

from tfcore.errors import ConfigError, RunError
from tfcore.run.parts import Parts
from tfcore.run.provenance import TEACHER, Provenance
from tfcore.training.checkpoints import Checkpoints
from tfcore.training.run_folder import RunFolder
from tfcore.use import loading, renaming

_SAVED = ("interrupted", "finished", "stopped_early")  # a run of this status has saved a checkpoint


class Restored(NamedTuple):
    """The outcome of a restore.

    Attributes:
        step: completed steps of the restored state; 0 for a new run.
        damaged: a sentence for each checkpoint that could not be read.
        differences: a clause for each difference of this process from the one that saved the checkpoint.
        weights_from: source of a new run's initial weights; "" if they were drawn at random.
        drawn: paths of variables that keep their initial values, since that source has none for them.
    """

    step: int
    damaged: list[str]
    differences: list[str]
    weights_from: str = ""
    drawn: tuple[str, ...] = ()


def check_length(parts: Parts, folder: RunFolder, newest_step: int) -> None:
    """Raises ConfigError if the run in `folder` is already longer than requested."""
    if newest_step > parts.total_steps:
        raise ConfigError(
            f"The run in {folder.path} has completed {newest_step} steps, more than the {parts.total_steps} requested."
        )


def restore(parts: Parts, folder: RunFolder, checkpoints: Checkpoints, provenance: Provenance) -> Restored:
    """Restores every variable from the newest readable checkpoint; a new run reads its initial weights if configured.

    Args:
        parts: of the run.
        folder: the run's.
        checkpoints: of the variables of `parts`.
        provenance: facts about this process.

    Raises:
        RunError: no checkpoint can be read, the checkpoints of a run that saved some are missing, the teacher's weights
            have changed, or the initial weights belong to another model.
        ConfigError: the table of names cannot be read.
    """
    if checkpoints.steps():
        about, damaged = checkpoints.restore_newest()
        _check_teacher(parts, folder, about.get(TEACHER), provenance.facts().get(TEACHER))
        return Restored(int(about["step"]), damaged, provenance.differences(about))
    if folder.read_result().get("status") in _SAVED:
        raise RunError(
            f"The run in {folder.path} has saved checkpoints, but {folder.checkpoints} holds none. "
            "Restore them from a copy, or start a new run in another --run_dir."
        )
    return Restored(0, [], [], parts.config.init_from, start_weights(parts))


def restore_best(checkpoints: Checkpoints, step: int) -> None:
    """Restores model and averages from the checkpoint of `step`, for the test; the rest of the state stays."""
    for part in ("model.", "optimizer.average."):
        checkpoints.restore(step, only=part)


def _check_teacher(parts: Parts, folder: RunFolder, there: str | None, here: str | None) -> None:
    """Raises RunError unless the run goes on with the teacher that it began with."""
    if there != here:
        raise RunError(
            f"The run in {folder.path} learned from other weights than --teacher={parts.config.teacher} now holds "
            f"(fingerprint {there}, here {here}). Bring them back, or name another --run_dir."
        )


def start_weights(parts: Parts) -> tuple[str, ...]:
    """Reads the initial weights of a new run from `--init_from`, if it is given.

    Returns:
        Paths of the variables that keep their initial values, since the source has none for them.

    Raises:
        RunError: the weights belong to another model.
        ConfigError: the table of names cannot be read.
    """
    if not parts.config.init_from:
        return ()
    path, table = Path(parts.config.init_from), renaming.read(parts.config.rename)
    drawn = loading.assign_weights(parts.model, loading.read_weights(path), path, table=table)
    parts.step.optimizer.restart_from_weights()  # else averages would start at the weights drawn at random
    return tuple(drawn)


def how_to_go_on(folder: RunFolder, newest_step: int) -> str:
    """Returns how to resume a run after a disk error."""
    left = f"resumes at the checkpoint of step {newest_step}" if newest_step else "starts over: there is no checkpoint"
    return f"Once the disk is writable again, the same command with --run_dir={folder.path} {left}."
