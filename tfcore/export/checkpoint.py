"""Reads weights from a run's checkpoint without building the model."""

from pathlib import Path

from tfcore.errors import RunError
from tfcore.export.files import Weights
from tfcore.training.checkpoints import Checkpoints

_MODEL, _AVERAGE = "model.", "optimizer.average."


def read(folder: Path, step: int, *, average: bool = False) -> Weights:
    """Reads the model's variables by path.

    Args:
        folder: the run's checkpoints.
        step: the checkpoint's step.
        average: read the average of each variable that has one, in place of its own value.

    Raises:
        RunError: there is no such checkpoint, it is damaged, or it holds no averages.
    """
    checkpoints = Checkpoints(folder, {})
    names = checkpoints.names(step)
    chosen = {name.removeprefix(_MODEL): name for name in names if name.startswith(_MODEL)}
    if average:
        averages = {name.removeprefix(_AVERAGE): name for name in names if name.startswith(_AVERAGE)}
        if not averages:
            raise RunError(
                f"The run of {folder} keeps no averages: it was trained without --average_decay and "
                "--average_from_epochs."
            )
        chosen |= averages
    return {path: checkpoints.read(step, name) for path, name in chosen.items()}
