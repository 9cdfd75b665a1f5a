"""`eval`: scores a run's model on one split."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tfcore import checks
from tfcore.build import importing, runtime
from tfcore.build.configuration import of_run
from tfcore.build.tables import check_names
from tfcore.cli import flags
from tfcore.config import RunConfig
from tfcore.errors import ConfigError
from tfcore.use import loading
from tfcore.use.evaluate import SPLITS, check_split


def run(parsed: flags.Parsed) -> int:
    """Prints the scores and returns the exit status."""
    options = parsed.options
    _check(options)
    folder = Path(options["run_dir"])
    config = of_run(folder)
    config = replace(config, data_dir=options["data_dir"] or config.data_dir)
    check_names(config)
    check_split(folder, config, options["split"], average=options["average"])
    importing.import_tensorflow_for_good()
    runtime.set_up(config)
    runtime.set_threads(config)
    if options["watch"]:
        from tfcore.use.watch import watch

        watch(folder, config, options)
    else:
        _score(folder, config, options)
    return 0


def _check(options: Mapping[str, Any]) -> None:
    """Raises ConfigError for options that are invalid for every run."""
    if not options["run_dir"]:
        raise ConfigError("Name the run to score: --run_dir=runs/NAME.")
    checks.one_of("split", options["split"], SPLITS)
    loading.check_checkpoint(options["checkpoint"])
    if options["watch"] and options["checkpoint"]:
        raise ConfigError("--watch scores every checkpoint: leave out --checkpoint.")


def _score(folder: Path, config: RunConfig, options: Mapping[str, Any]) -> None:
    from tfcore.terminal import tables
    from tfcore.use.scoring import Scorer

    step = loading.checkpoint_step(folder, config, options["checkpoint"])
    weights = loading.read_weights(folder, checkpoint=str(step), average=options["average"])
    scorer = Scorer(folder, config, options["split"])
    scores = scorer(step, weights)
    console = tables.console(to_stderr=options["json"])
    console.print(f"{config.model} on {config.dataset}, {folder} at step {step}")
    console.print(tables.overall_table(options["split"], scores))
    console.print(tables.class_table(scorer.class_names, scores))
    console.print(tables.confusion_table(scorer.class_names, scores))
    if options["json"]:
        print(scorer.json_line(step, scores))
