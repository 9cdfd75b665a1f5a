"""Scores any checkpoint of a run on one split of its data; the model and the data are built once."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcore.build.data import load_dataset, make_splits
from tfcore.build.model import build_model
from tfcore.build.optimizer import build_loss
from tfcore.config import RunConfig
from tfcore.data.batches import EvaluationBatches
from tfcore.data.examples import data_errors
from tfcore.data.fingerprint import fingerprint
from tfcore.errors import ConfigError, DataError
from tfcore.metrics import Scores
from tfcore.terminal import tables
from tfcore.training.checkpoints import Checkpoints
from tfcore.training.evaluation import Evaluation
from tfcore.training.run_folder import ARCHITECTURE, CHECKPOINTS
from tfcore.use import loading
from tfcore.views import averaged

if TYPE_CHECKING:
    from tfcore.export.files import Weights


class Scorer:
    """Scores weights of the run in `folder`; traced at the first call only.

    Args:
        folder: the run's.
        config: the run's.
        split: test, validation or train.
        data: to score on, in a form that `tfcore.train` takes; None for the data set that the configuration names,
            which must be the run's training data.
        model: the model's class; None for the one that the run's architecture names.

    Attributes:
        class_names: of the data set.

    Raises:
        ConfigError: the run has no such split.
        DataError: `data` has other pictures or classes than the model.
    """

    def __init__(
        self, folder: Path, config: RunConfig, split: str, *, data: Any = None, model: type | None = None
    ) -> None:
        self._folder, self._config, self._split = folder, config, split
        plan = loading.read_architecture(folder / ARCHITECTURE)
        given = load_dataset(config, data)
        if (given.image_shape, given.class_names) != (plan.image_shape, plan.class_names):
            raise DataError(
                f"The model in {folder} takes pictures {plan.image_shape} of {len(plan.class_names)} classes "
                f"({_some(plan.class_names)}). The data set {given.name} has pictures {given.image_shape} of "
                f"{given.classes} ({_some(given.class_names)})."
            )
        splits = make_splits(config, given)
        if split not in splits:
            raise ConfigError(
                f"The run in {folder} has no {split} split: --validation={config.validation:g} held out none of its "
                f"{len(given.train)} training examples. Score --split=test or --split=train."
            )
        self.class_names = given.class_names
        self._fingerprint = fingerprint(given.train) if data is None else None
        self._examples = splits[split]
        self._batches = EvaluationBatches(
            self._examples, batch_size=config.eval_batch_size, prefetch_bytes=config.prefetch_bytes
        )
        self._model = build_model(plan, cls=model)
        seen = averaged(self._model, plan.views, plan.image_shape)
        self._evaluation = Evaluation(seen, build_loss(config), classes=given.classes)

    def __call__(self, step: int, weights: "Weights") -> Scores:
        """Scores the model with the weights of the checkpoint of `step`.

        Raises:
            RunError: the weights belong to another model.
            DataError: the run was trained on other data, or a picture cannot be read.
        """
        self._check_data(step)
        loading.assign_weights(self._model, weights, self._folder)
        with data_errors([self._examples]):
            return self._evaluation(self._batches)

    def _check_data(self, step: int) -> None:
        """Raises DataError if the run's training data differ from the data set that the configuration names now."""
        if self._fingerprint is None:
            return
        saved = Checkpoints(self._folder / CHECKPOINTS, {}).about(step).get("data", self._fingerprint)
        if saved != self._fingerprint:
            raise DataError(
                f"The run in {self._folder} was trained on other data than --dataset={self._config.dataset} now gives "
                f"(fingerprint {saved}, here {self._fingerprint}). Restore the data, name their folder with "
                "--data_dir, or pass data from Python: tfcore.evaluate(run_dir, data=...)."
            )

    def as_dict(self, step: int, scores: Scores) -> dict[str, Any]:
        """Returns the scores of a step as plain values."""
        return {"step": step, "split": self._split, **tables.scores_json(scores, self.class_names)}

    def json_line(self, step: int, scores: Scores) -> str:
        """Returns the scores of a step as one JSON object."""
        return json.dumps(self.as_dict(step, scores))


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
