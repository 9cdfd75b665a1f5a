"""A run's model and one split of its data, built once; any of the run's checkpoints can be scored with them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from tfcore.build.data import load_dataset, make_splits
from tfcore.build.model import build_model
from tfcore.build.optimizer import build_loss
from tfcore.config import RunConfig
from tfcore.data.batches import EvaluationBatches, data_errors
from tfcore.errors import ConfigError
from tfcore.metrics import Scores
from tfcore.terminal import tables
from tfcore.training.evaluation import Evaluation
from tfcore.training.run_folder import ARCHITECTURE
from tfcore.use import loading

if TYPE_CHECKING:
    from tfcore.export.files import Weights


class Scorer:
    """Scores weights of the run in `folder`; traced at the first call only.

    Args:
        folder: the run's.
        config: the run's.
        split: test, validation or train.

    Attributes:
        class_names: of the data set.

    Raises:
        ConfigError: the run held out no validation examples.
    """

    def __init__(self, folder: Path, config: RunConfig, split: str) -> None:
        self._folder, self._split = folder, split
        data = load_dataset(config)
        self.class_names = data.class_names
        splits = make_splits(config, data)
        if split not in splits:
            raise ConfigError(
                f"The run in {folder} has no {split} split: --validation={config.validation:g} held out none of its "
                f"{len(data.train)} training examples. Score --split=test or --split=train."
            )
        self._examples = splits[split]
        self._batches = EvaluationBatches(self._examples, batch_size=config.eval_batch_size)
        self._model = build_model(loading.read_architecture(folder / ARCHITECTURE))
        self._evaluation = Evaluation(self._model, build_loss(config), classes=data.classes)

    def __call__(self, weights: "Weights") -> Scores:
        """The scores of the model with these weights.

        Raises:
            RunError: they are another model's.
            DataError: a picture cannot be read.
        """
        loading.assign_weights(self._model, weights, self._folder)
        with data_errors([self._examples]):
            return self._evaluation(self._batches)

    def json_line(self, step: int, scores: Scores) -> str:
        """The scores of a step as one JSON object."""
        return json.dumps({"step": step, "split": self._split, **tables.scores_json(scores, self.class_names)})
