"""`eval`: scores a run's model on one split."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tfcore import checks
from tfcore.commands import builders, flags, quiet
from tfcore.config import RunConfig
from tfcore.errors import ConfigError, RunError
from tfcore.training.run_folder import CHECKPOINTS, read_config

if TYPE_CHECKING:
    from tfcore.training.checkpoints import Checkpoints

_SPLITS = ("test", "validation", "train")


def run(parsed: flags.Parsed) -> int:
    """Prints the scores, and gives back the exit status."""
    options = parsed.options
    if not options["run_dir"]:
        raise ConfigError("Name the run to score: --run_dir=runs/NAME.")
    checks.one_of("split", options["split"], _SPLITS)
    if options["checkpoint"] not in ("", "best", "last") and not options["checkpoint"].isdigit():
        raise ConfigError(f"`checkpoint` must be best, last or a step. Received '{options['checkpoint']}'.")
    folder = Path(options["run_dir"])
    config = flags.from_text(read_config(folder))
    config = replace(config, data_dir=options["data_dir"] or config.data_dir)
    builders.check_names(config)
    if options["split"] == "validation" and config.validation == 0:
        raise ConfigError(f"The run in {folder} has no validation split: it was trained with --validation=0.")
    quiet.import_tensorflow()
    builders.set_threads(config)
    _score(folder, config, options["split"], options["checkpoint"], as_json=options["json"])
    return 0


def _score(folder: Path, config: RunConfig, split: str, checkpoint: str, *, as_json: bool) -> None:
    from tfcore.commands import display
    from tfcore.data.batches import EvaluationBatches
    from tfcore.modules import named_variables
    from tfcore.training.checkpoints import Checkpoints
    from tfcore.training.evaluation import Evaluation

    data = builders.dataset(config)
    model = builders.model(config, data)
    state = {f"model.{path}": variable for path, variable in named_variables(model).items()}
    checkpoints = Checkpoints(folder / CHECKPOINTS, state)
    step = _step(folder, config, checkpoints, checkpoint)
    checkpoints.restore(step, only="model.")
    batches = EvaluationBatches(builders.splits(config, data)[split], batch_size=config.eval_batch_size)
    scores = Evaluation(model, builders.loss(config), classes=data.classes)(batches)
    console = display.console(to_stderr=as_json)
    console.print(f"{config.model} on {config.dataset}, {folder} at step {step}")
    console.print(display.overall_table(split, scores))
    console.print(display.class_table(data.class_names, scores))
    console.print(display.confusion_table(data.class_names, scores))
    if as_json:
        print(json.dumps({"step": step, "split": split, **display.scores_json(scores, data.class_names)}))


def _step(folder: Path, config: RunConfig, checkpoints: "Checkpoints", wanted: str) -> int:
    """The step that `best`, `last`, a number or nothing (what the run's own test was scored with) stands for."""
    steps = checkpoints.steps()
    if not steps:
        raise RunError(f"The run in {folder} has no checkpoint yet.")
    if wanted.isdigit():
        return int(wanted)
    if wanted == "last" or (not wanted and config.patience is None):
        return steps[-1]
    best = int(checkpoints.read(steps[-1], "early_stopping.best_step"))
    if best < 0:
        raise RunError(f"The run in {folder} has no best checkpoint: nothing was validated. Take --checkpoint=last.")
    return best
