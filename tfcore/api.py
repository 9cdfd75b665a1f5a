"""`tfcore.train`: the command `train` as a Python function."""

import ast
import inspect
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcore.build import importing, runtime
from tfcore.build.configuration import of_run
from tfcore.build.lookup import HANDED_OVER
from tfcore.build.own_data import name_of
from tfcore.build.tables import check_names
from tfcore.config import RunConfig
from tfcore.report import file as report
from tfcore.run.start import configuration, has_ended, new_path
from tfcore.training.run_folder import RunFolder

if TYPE_CHECKING:
    from tfcore.build.own_data import OwnData
    from tfcore.data.dataset import Dataset
    from tfcore.run.parts import Parts
    from tfcore.training.events import Event


def train(
    config: RunConfig,
    *,
    run_dir: str | Path = "",
    data: "Dataset | OwnData | None" = None,
    model: type | None = None,
    events: "Callable[[Parts], Sequence[Event]]" = lambda _: (),
    quietly: bool = False,
) -> dict[str, Any]:
    """Trains a new run, or resumes the one in `run_dir`, as `train.py` does.

    May be called from any thread, but signals are handled only in the main thread. TensorFlow's threads can only be
    set before its first operation; later settings have no effect. `deterministic` applies to all runs of a process.

    Args:
        config: the settings that `train.py` takes as flags.
        run_dir: the run's folder; "" for a new one under `runs/`.
        data: the data set to train on, in place of `config.dataset`; pass it to `tfcore.evaluate` too. A
            `tfcore.data.dataset.Dataset`, or what `tfcore.dataset` makes one of, for training alone or with a part for
            testing, such as ((x_train, y_train), (x_test, y_test)): arrays, a `tf.data.Dataset`, a sequence of
            (picture, label) as PyTorch's, or a class of yours that reads pictures by index.
        model: the model's class, in place of `config.model`; pass a class without a file, as in a notebook, to
            `tfcore.load` and `tfcore.evaluate` too.
        events: returns custom events. It is called with the `Parts` of the run: its state (`model`, `step`,
            `early_stopping`), data (`data`, `splits`) and `evaluation`; each action is called with a `Moment`.
        quietly: print no log.

    Returns:
        The content of `result.json`, with the folder as `run_dir`.

    Raises:
        TfcoreError: an error in the configuration, the data or the run.
    """
    config = _named(config, data, model)
    path = Path(run_dir) if run_dir else new_path(config, datetime.now())
    with RunFolder(path) as folder:
        if data is not None and folder.is_started and of_run(path).dataset == name_of(data):
            config = replace(config, dataset=name_of(data))  # a run of tfcore 0.1.0, without the prefix
        given = {item.name: getattr(config, item.name) for item in fields(config)}
        config = configuration(folder, given)
        check_names(config, handed_over={"dataset": data is not None, "model": model is not None})
        if has_ended(folder, config):
            return {**folder.read_result(), "run_dir": str(path)}
        importing.import_tensorflow()
        runtime.set_up(config)
        from tfcore.run.session import Session
        from tfcore.terminal import tables

        console = tables.console(to_stderr=False, quiet=quietly)
        session = Session(config, folder, console, data=data, model=model, events=events)
        with report.at_end(folder, wanted=config.report, say=console.print):
            _, result = session.run()
        return {**result, "run_dir": str(path)}


def _named(config: RunConfig, data: Any, model: type | None) -> RunConfig:
    """Returns the configuration with the names of the data set and the class that were passed as objects.

    A prefix marks the name of such a data set, so that no command confuses it with a built-in one of the same name.
    """
    if data is not None:
        config = replace(config, dataset=HANDED_OVER + name_of(data))
    if model is not None:
        config = replace(config, model=_model_name(model))
    return config


def _model_name(model: type) -> str:
    """Returns `FILE:NAME` if a file defines the class, so that commands find it too; else its name with a prefix."""
    try:
        path = Path(inspect.getfile(model))
        nodes = ast.parse(path.read_text(encoding="utf-8")).body
    except (OSError, TypeError, ValueError, SyntaxError):  # such as in a notebook, which has no file
        nodes = []
    if any(isinstance(node, ast.ClassDef) and node.name == model.__qualname__ for node in nodes):
        return f"{path}:{model.__qualname__}"
    return HANDED_OVER + model.__name__
