"""Loads weights and models from run folders and exported files.

No data set is needed. Only Python code named by a run folder or the caller is executed; a path to code inside an
exported file is ignored.
"""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcore.architecture import Architecture
from tfcore.build import importing, lookup
from tfcore.build.configuration import of_run
from tfcore.build.model import build_model
from tfcore.build.tables import MODELS
from tfcore.config import RunConfig
from tfcore.errors import ConfigError, DataError, RunError
from tfcore.files import MEMORY_BYTES, read_text
from tfcore.training.run_folder import ARCHITECTURE, CHECKPOINTS
from tfcore.use import renaming

if TYPE_CHECKING:
    from tfcore.export.files import Weights
    from tfcore.export.trained_model import TrainedModel

_NO_TABLE = renaming.Table()


def load(
    path: str | Path,
    *,
    checkpoint: str = "",
    average: bool = False,
    architecture: str | Path | None = None,
    model: type | None = None,
) -> "TrainedModel":
    """Loads a trained model from a run folder or an exported model.

    A SavedModel is a program, and a run folder may name a Python file that is executed: load only those that you trust.
    The other files contain no code.

    Args:
        path: a run's folder; a SavedModel of `tfcore export`; an .npz, .h5 or .safetensors file; or a .json of an
            architecture alone, which gives a model with the initial weights of seed 0.
        checkpoint: of a run: best, last or a step; "" for the one that the run's test score is of.
        average: of a run: use the averaged weights.
        architecture: the .json file of the architecture, for weights that were exported without it.
        model: the model's class, for an exported model that is not built into tfcore.

    Raises:
        ConfigError: an argument that does not apply to `path`, or a missing class.
        RunError: the run has no such checkpoint, or the weights belong to another model.
        DataError: a damaged file.

    Example:
        model = tfcore.load("runs/NAME")
        model.predict(pictures, top=3)
    """
    importing.import_tensorflow()
    from tfcore.export import saved_model
    from tfcore.export.trained_model import TrainedModel

    path = Path(path)
    if saved_model.is_saved_model(path):
        given = {"checkpoint": checkpoint, "average": average, "architecture": architecture, "model": model}
        _refuse(path, "a SavedModel, which is complete", given)
        plan, compute = saved_model.read(path)
        return TrainedModel(plan, compute, module=None)
    plan, weights = _plan_and_weights(path, checkpoint, average, architecture)
    module = _build(plan, model, path, weights)
    if weights is not None:
        assign_weights(module, weights, path)
    return TrainedModel(plan, lambda images: saved_model.probabilities(module, plan, images), module=module)


def read_weights(path: str | Path, *, checkpoint: str = "", average: bool = False) -> "Weights":
    """Reads the variables by path from a run folder, a SavedModel or an exported file, without building a model.

    Args:
        path, checkpoint, average: see `load`.

    Raises:
        ConfigError: an argument that does not apply to `path`, or a file without weights.
        RunError: the run has no such checkpoint.
        DataError: a damaged file.
    """
    from tfcore.export import saved_model

    path = Path(path)
    if _is_file(path) or saved_model.is_saved_model(path):
        _refuse(path, "no run folder", {"checkpoint": checkpoint, "average": average})
    if saved_model.is_saved_model(path):
        return saved_model.read_weights(path)
    return _read_file(path)[0] if _is_file(path) else _read_run(path, checkpoint, average)


def assign_weights(
    module: Any, weights: Mapping[str, Any], where: str | Path, *, table: renaming.Table = _NO_TABLE
) -> list[str]:
    """Assigns the weights to the model's variables by path; checks all of them before the first assignment.

    Args:
        module: a `tf.Module`.
        weights: arrays by variable path, exactly those of the module, of the same shapes and dtypes.
        where: source of the weights, for the message.
        table: what makes paths and shapes of other names and other orders of axes.

    Returns:
        The paths of the variables that keep their values, as the table allows.

    Raises:
        RunError: the weights belong to another model; the message lists each difference.
    """
    found = renaming.renamed(weights, table)
    variables = _matched(module, found, where, table)
    for path, array in found.arrays.items():
        variables[path].assign(array)
    return sorted(variables.keys() - found.arrays.keys())


def check_checkpoint(wanted: str) -> None:
    """Raises ConfigError unless `wanted` can name a checkpoint."""
    if wanted not in ("", "best", "last") and not wanted.isdecimal():
        raise ConfigError(f"`checkpoint` must be best, last or a step. Received '{wanted}'.")


def checkpoint_step(folder: Path, config: RunConfig, wanted: str) -> int:
    """Returns the step that best, last, a number or "" (the checkpoint of the run's test score) refers to.

    Args:
        folder: the run's.
        config: the run's.
        wanted: see `check_checkpoint`.

    Raises:
        RunError: the run has no checkpoint yet, or no best one.
    """
    from tfcore.training.checkpoints import Checkpoints

    check_checkpoint(wanted)
    checkpoints = Checkpoints(folder / CHECKPOINTS, {})
    steps = checkpoints.steps()
    if not steps:
        raise RunError(f"The run in {folder} has no checkpoint yet.")
    if wanted.isdecimal():
        return int(wanted)
    if wanted == "last" or (not wanted and config.patience is None):
        return steps[-1]
    best = int(checkpoints.read(steps[-1], "early_stopping.best_step"))
    if best < 0 and not wanted:  # the run's test score is then of its last weights
        return steps[-1]
    if best < 0:
        raise RunError(f"The run in {folder} has no best checkpoint: nothing was validated. Use --checkpoint=last.")
    return best


def read_architecture(path: Path) -> Architecture:
    """Reads an architecture from a .json file.

    Raises:
        DataError: the file is missing, unreadable or holds no architecture.
    """
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError):
        raise DataError(f"There is no readable file {path}.") from None
    return Architecture.from_json(text, str(path))


def _plan_and_weights(
    path: Path, checkpoint: str, average: bool, architecture: str | Path | None
) -> tuple[Architecture, "Weights | None"]:
    """Returns the architecture and the weights of a model; None as weights for an architecture alone."""
    given = None if architecture is None else read_architecture(Path(architecture))
    if not _is_file(path):
        weights = _read_run(path, checkpoint, average)
        return given or read_architecture(path / ARCHITECTURE), weights
    _refuse(path, "no run folder", {"checkpoint": checkpoint, "average": average})
    if path.suffix == ".json":
        _refuse(path, "an architecture itself", {"architecture": architecture})
        return read_architecture(path), None
    weights, metadata = _read_file(path)
    if given is None and "architecture" not in metadata:
        raise ConfigError(f"{path} holds weights alone. Give `architecture`, the .json file of their model.")
    return given or Architecture.from_json(metadata["architecture"], str(path)), weights


def _build(plan: Architecture, model: type | None, path: Path, weights: "Weights | None") -> Any:
    """Builds the model: of the given class, a built-in one, or the user's class that a run folder names."""
    import tensorflow as tf

    if model is not None:
        return build_model(plan, cls=model)
    if ":" in plan.model:
        if _is_file(path):
            raise ConfigError(
                f"The model in {path} is {plan.model}, and code named by an exported file is not executed. "
                "Name the run's folder, or give the class: tfcore.load(…, model=TheClass)."
            )
        lookup.check("model", plan.model, MODELS)
        return build_model(plan)
    try:  # a built-in model, of untrusted sizes
        lookup.check("model", plan.model, MODELS)
        with tf.Graph().as_default():  # variables of a graph have shapes but allocate no memory
            _check_size(build_model(plan), weights, path)
        return build_model(plan)
    except RunError:
        raise
    except Exception as error:  # caused by the file: built-in models of valid sizes raise nothing
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"The model that {path} describes cannot be built: {reason}") from error


def _check_size(module: Any, weights: "Weights | None", path: Path) -> None:
    """Raises unless the module has the shapes of the weights or, without weights, fits into memory."""
    if weights is not None:
        _matched(module, renaming.renamed(weights, _NO_TABLE), path, _NO_TABLE)
        return
    from tfcore.modules import named_variables

    size_bytes = sum(math.prod(v.shape) * v.dtype.size for v in named_variables(module).values())
    if size_bytes > MEMORY_BYTES:
        raise DataError(f"its {size_bytes} bytes are more than this machine's memory, {MEMORY_BYTES}.")


def _is_file(path: Path) -> bool:
    """Whether `path` is to be read as an exported file; raises ConfigError for any other file."""
    from tfcore.export.weights import FORMATS

    endings = [f".{name}" for name in (*FORMATS, "json")]
    if os.path.isfile(path) and path.suffix not in endings:
        raise ConfigError(
            f"A model is a run's folder, a SavedModel's folder, or a file that ends in {', '.join(endings)}. "
            f"Received {path}."
        )
    return path.suffix in endings and not os.path.isdir(path)


def _read_file(path: Path) -> tuple[Any, dict[str, str]]:
    from tfcore.export.weights import FORMATS

    if path.suffix == ".json":
        raise ConfigError(f"{path} holds no weights.")
    return FORMATS[path.suffix.removeprefix(".")].read(path)


def _read_run(folder: Path, checkpoint: str, average: bool) -> "Weights":
    from tfcore.export import checkpoint as reader
    from tfcore.training.checkpoint_files import DamagedCheckpointError
    from tfcore.training.checkpoints import steps_in

    config, checkpoints = of_run(folder), folder / CHECKPOINTS
    try:
        return reader.read(checkpoints, checkpoint_step(folder, config, checkpoint), average=average)
    except DamagedCheckpointError as error:
        there = ", ".join(map(str, steps_in(checkpoints)))
        advice = f"Name another --checkpoint (found: {there}), or resume the run, which moves the damaged one aside."
        raise RunError(f"{error} {advice}") from error


def _refuse(path: Path, what: str, arguments: Mapping[str, Any]) -> None:
    """Raises ConfigError if an argument was given that does not apply to `path`."""
    for name, value in arguments.items():
        if value:
            raise ConfigError(f"{path} is {what}: leave out `{name}`.")


def _matched(module: Any, found: renaming.Renamed, where: str | Path, table: renaming.Table) -> dict[str, Any]:
    """Returns the module's variables by path; raises RunError unless the arrays match them."""
    from tfcore.modules import named_variables

    variables = named_variables(module)
    wanted = {path: (v.dtype.name, tuple(v.shape)) for path, v in variables.items()}
    given = {path: (array.dtype.name, array.shape) for path, array in found.arrays.items()}
    lacking = {path for path in wanted.keys() - given.keys() if table.may_lack(path)}
    differences = [
        f"{path}: {_spelled(given.get(path))} there{_origin(path, found)}, {_spelled(wanted.get(path))} in the model"
        for path in sorted((wanted.keys() | given.keys()) - lacking)
        if wanted.get(path) != given.get(path)
    ]
    differences += found.problems
    if differences:
        raise RunError(f"The weights in {where} belong to another model. " + "; ".join(differences) + ".")
    return variables


def _origin(path: str, found: renaming.Renamed) -> str:
    """Returns the name that the array of a path has in its file, where that is another."""
    name = found.names.get(path, path)
    return "" if name == path else f" as {name}"


def _spelled(kind: tuple[str, tuple[int, ...]] | None) -> str:
    return "none" if kind is None else f"{kind[0]} {list(kind[1])}"
