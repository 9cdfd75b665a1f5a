"""`tfcore.evaluate`: the command `eval` as a Python function."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcore import checks
from tfcore.build import importing
from tfcore.build.configuration import of_run
from tfcore.build.tables import check_names
from tfcore.config import RunConfig
from tfcore.errors import ConfigError
from tfcore.use import loading

if TYPE_CHECKING:
    from tfcore.build.own_data import OwnData
    from tfcore.data.dataset import Dataset

SPLITS = ("test", "validation", "train")


def check_split(folder: Path, config: RunConfig, split: str, *, average: bool) -> None:
    """Raises ConfigError if the run in `folder` cannot have this split, or has no averages but `average` is set."""
    checks.one_of("split", split, SPLITS)
    if split == "validation" and config.validation == 0:
        raise ConfigError(f"The run in {folder} has no validation split: it was trained with --validation=0.")
    if average and not config.keeps_averages:
        raise ConfigError(
            f"The run in {folder} keeps no averages: it was trained without --average_decay and --average_from_epochs."
        )


def evaluate(
    run_dir: str | Path,
    *,
    split: str = "test",
    checkpoint: str = "",
    average: bool = False,
    data: "Dataset | OwnData | None" = None,
    model: type | None = None,
) -> dict[str, Any]:
    """Scores a run's model on one split, as `eval.py` does.

    Args:
        run_dir: the run's folder.
        split: test, validation or train.
        checkpoint: best, last or a step; "" for the one that the run's test score is of.
        average: use the averaged weights.
        data: the data set to score on, in any form that `tfcore.train` takes; None for the one that the run names. As
            in training, a share of data without a test part is held out, and the split `test` is that share: to score
            on all of (x, y), give {"train": (x, y), "test": (x, y)}.
            What the run was trained on is divided as it was then: test share, validation, `train_examples`.
        model: the model's class, if it was passed to `tfcore.train`.

    Returns:
        `step`, `split`, `loss`, `accuracy`, `examples`, `classes` (precision and recall by name) and so on, as printed
        by `eval.py --json`.

    Raises:
        TfcoreError: there is no such run, checkpoint or split, or the run was trained on other data.

    Example:
        tfcore.evaluate("runs/NAME", data=my_data)["accuracy"]
    """
    folder = Path(run_dir)
    config = of_run(folder)
    check_split(folder, config, split, average=average)
    check_names(config, handed_over={"dataset": data is not None, "model": model is not None})
    importing.import_tensorflow()
    from tfcore.use.scoring import Scorer

    step = loading.checkpoint_step(folder, config, checkpoint)
    weights = loading.read_weights(folder, checkpoint=str(step), average=average)
    scorer = Scorer(folder, config, split, data=data, model=model)
    return scorer.as_dict(step, scorer(step, weights))
