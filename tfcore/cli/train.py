"""`train`: starts or resumes a run."""

import json
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from tfcore import checks
from tfcore.build import importing, runtime
from tfcore.build.configuration import with_given
from tfcore.build.tables import check_names
from tfcore.cli import flags
from tfcore.config import RunConfig
from tfcore.dashboard.process import Dashboard
from tfcore.distribution.cluster import LAUNCHED, LOST_STATUS, Cluster, LostWorkerError, from_environment
from tfcore.errors import ConfigError, RunError, TfcoreError
from tfcore.report import file as report
from tfcore.run.start import configuration, has_ended, new_path
from tfcore.training.run_folder import RESULT, RunFolder, UnwrittenFolder
from tfcore.workers import ALONE, Workers

_LARGEST_PORT = 65_535


def run(parsed: flags.Parsed) -> int:
    """Trains and returns the exit status."""
    start, options = time.monotonic(), parsed.options
    checks.not_negative("stop_after_steps", options["stop_after_steps"])
    limit_secs = checks.duration_secs("max_time", options["max_time"]) if options["max_time"] else math.inf
    timeout_secs = checks.duration_secs("join_timeout", options["join_timeout"])
    _check_tensorboard(options)
    cluster = from_environment()
    is_chief = cluster is None or cluster.number == 0
    with _numbered(cluster), (RunFolder if is_chief else UnwrittenFolder)(_path(parsed)) as folder:
        config = configuration(folder, parsed.given)
        check_names(config)
        if cluster is None and has_ended(folder, config):
            return _say_ended(folder, as_json=options["json"])
        importing.import_tensorflow_for_good()
        runtime.set_up(config)
        workers, config = _joined(cluster, config, parsed.given, timeout_secs)
        with workers.watched():
            if cluster is not None and workers.broadcast(has_ended(folder, config)):
                workers.leave()
                return _say_ended(folder, as_json=options["json"]) if is_chief else 0
            return _train(options, folder, config, workers, deadline=start + limit_secs)


def _train(
    options: Mapping[str, Any], folder: RunFolder, config: RunConfig, workers: Workers, *, deadline: float
) -> int:
    """Trains once all is checked, and returns the exit status."""
    from tfcore.run.session import Session
    from tfcore.terminal import tables

    is_chief = workers.is_chief
    console = tables.console(to_stderr=options["json"], quiet=not is_chief)
    session = Session(config, folder, console, quiet=options["quiet"], workers=workers)
    host, port = options["tensorboard_host"], options["tensorboard_port"]
    with (
        Dashboard(folder.path, host=host, port=port, say=partial(console.print, markup=False)) as board,
        report.at_end(folder, wanted=config.report and is_chief, say=console.print),
    ):
        status, result = session.run(
            pause_step=workers.broadcast(options["stop_after_steps"]) or None,
            max_secs=deadline - time.monotonic(),
            on_start=board.start if options["tensorboard"] and is_chief else lambda: None,
        )
        workers.leave()
    if options["json"] and is_chief:
        print(json.dumps(result))
    return status


def _joined(
    cluster: Cluster | None, config: RunConfig, given: Mapping[str, Any], timeout_secs: float
) -> tuple[Workers, RunConfig]:
    """Joins the other workers, if there are any, and returns them with the configuration of all."""
    if cluster is None:
        return ALONE, config
    from tfcore.distribution.joined import join
    from tfcore.run.together import agree_on_config

    runtime.set_threads(config)  # which joining makes final
    workers = join(cluster, timeout_secs=timeout_secs)
    with workers.watched():
        return workers, agree_on_config(workers, config, given)


@contextmanager
def _numbered(cluster: Cluster | None) -> Iterator[None]:
    """Puts the number of a worker other than the chief before its error."""
    try:
        yield
    except LostWorkerError:
        if LAUNCHED in os.environ:
            sys.exit(LOST_STATUS)
        raise
    except TfcoreError as error:
        if cluster is not None and cluster.number:
            error.args = (f"worker {cluster.number}: {error}",)
        raise


def _check_tensorboard(options: Mapping[str, Any]) -> None:
    """Raises ConfigError for invalid or contradictory TensorBoard options."""
    host, port = options["tensorboard_host"], options["tensorboard_port"]
    if not options["tensorboard"] and (host, port) != (flags.TENSORBOARD_HOST.default, flags.TENSORBOARD_PORT.default):
        raise ConfigError("--tensorboard_host and --tensorboard_port require --tensorboard.")
    if not host:
        raise ConfigError("`tensorboard_host` must be an address of this machine, such as 127.0.0.1. Received ''.")
    if not -1 <= port <= _LARGEST_PORT:
        raise ConfigError(f"`tensorboard_port` must be from -1 to {_LARGEST_PORT}. Received {port}.")


def _path(parsed: flags.Parsed) -> Path:
    """Returns the given folder, or a new one such as `runs/20260131-095959-softmax-cifar10`."""
    if parsed.options["run_dir"]:
        return Path(parsed.options["run_dir"])
    return new_path(with_given(parsed.given), datetime.now())


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
            f"{folder.path / RESULT} lacks the steps or the test accuracy of the run. Delete it to resume the run."
        ) from error
    return 0
