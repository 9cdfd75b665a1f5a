"""`eval`: scores a run's model on one split."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from tfcore import checks
from tfcore.commands import builders, flags, loading, quiet, runtime
from tfcore.config import RunConfig
from tfcore.errors import ConfigError

_SPLITS = ("test", "validation", "train")


def run(parsed: flags.Parsed) -> int:
    """Prints the scores, and gives back the exit status."""
    options = parsed.options
    if not options["run_dir"]:
        raise ConfigError("Name the run to score: --run_dir=runs/NAME.")
    checks.one_of("split", options["split"], _SPLITS)
    loading.check_checkpoint(options["checkpoint"])
    folder = Path(options["run_dir"])
    config = flags.of_run(folder)
    config = replace(config, data_dir=options["data_dir"] or config.data_dir)
    builders.check_names(config)
    if options["split"] == "validation" and config.validation == 0:
        raise ConfigError(f"The run in {folder} has no validation split: it was trained with --validation=0.")
    quiet.import_tensorflow_for_good()
    runtime.set_up(config)
    _score(folder, config, options)
    return 0


def _score(folder: Path, config: RunConfig, options: dict[str, Any]) -> None:
    from tfcore.commands import display
    from tfcore.data.batches import EvaluationBatches, data_errors
    from tfcore.training.evaluation import Evaluation

    step = loading.checkpoint_step(folder, config, options["checkpoint"])
    model = loading.load(folder, checkpoint=str(step), average=options["average"]).module
    data = builders.dataset(config)
    split = options["split"]
    examples = builders.splits(config, data)[split]
    with data_errors([examples]):
        batches = EvaluationBatches(examples, batch_size=config.eval_batch_size)
        scores = Evaluation(model, builders.loss(config), classes=data.classes)(batches)
    console = display.console(to_stderr=options["json"])
    console.print(f"{config.model} on {config.dataset}, {folder} at step {step}")
    console.print(display.overall_table(split, scores))
    console.print(display.class_table(data.class_names, scores))
    console.print(display.confusion_table(data.class_names, scores))
    if options["json"]:
        print(json.dumps({"step": step, "split": split, **display.scores_json(scores, data.class_names)}))
