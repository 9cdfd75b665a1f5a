"""Summaries beside the curves: the requested parts, at their steps, without any effect on the weights."""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from rich.console import Console
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.graph_pb2 import GraphDef

from tfcore.build.configuration import resolve
from tfcore.config import SUMMARIES, RunConfig
from tfcore.data.dataset import Dataset, Split
from tfcore.layers import Linear
from tfcore.look import album, prediction_sheets
from tfcore.modules import named_variables
from tfcore.run.session import Session
from tfcore.training import evaluation, log_files
from tfcore.training.divergence import DivergedError
from tfcore.training.run_folder import RunFolder

CONFIG = RunConfig(
    model="mlp", hidden=(4,), batch_size=10, steps=9, precision="float32", xla="off", log_every_steps=4,
    observe_every_steps=2, checkpoint_every_epochs=0.25,
)  # fmt: skip
MARKS = {  # part of the tags of each summary
    "norms": "_norm/", "histograms": "weights/", "images": "batch", "pr_curves": "/pr_curves", "graph": "graph",
    "hparams": "_hparams_", "text": "configuration",
}  # fmt: skip


def data(shape: tuple[int, ...] = (5, 4, 1), names: Sequence[str] = ("one", "two", "never")) -> Dataset:
    """Makes noise of the first two classes."""
    draw = np.random.default_rng(0)
    splits = [Split(draw.integers(0, 256, (n, *shape), np.uint8), (np.arange(n) % 2).astype(np.int32)) for n in (80, 9)]
    return Dataset("noise", *splits, tuple(names))


def run(folder: Path, config: RunConfig, *, examples: Dataset | None = None, **options: Any) -> bytes:
    """Trains, and returns the bytes of the model's variables."""
    model = options.pop("model", None)
    with RunFolder(folder) as held:
        quiet = Console(quiet=True)
        session = Session(resolve(config), held, quiet, data=examples or data(), model=model)
        session.run(**options)
    return b"".join(variable.numpy().tobytes() for variable in named_variables(session.parts.model).values())


def events(folder: Path) -> list[tuple[str, int, str, bytes]]:
    """Reads split, step, tag and contents of all summaries in the event files, without those that depend on clocks."""
    found = []
    for path in sorted(folder.rglob("events.out.tfevents.*")):
        log_files.check_records(path)
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = Event.FromString(record)
            if event.graph_def:
                graph = GraphDef.FromString(event.graph_def).SerializeToString(deterministic=True)
                found.append((path.parent.name, event.step, "graph", graph))
            for value in event.summary.value:
                contents = value.tensor.SerializeToString(deterministic=True)
                found.append((path.parent.name, event.step, value.tag, contents))
    return sorted(entry for entry in found if entry[2] != "examples_per_sec")


class Crowded(tf.Module):
    """A model with a large constant, names with blanks, and a module that returns a tuple."""

    def __init__(self, image_shape: tuple[int, int, int], classes: int, *, seed: int) -> None:
        super().__init__(name="_crowded")
        self._constants = np.random.default_rng(0).normal(size=[300, 200]).astype(np.float32)
        self._parts = {"first part: 1/2": Linear(math.prod(image_shape), classes, name="only", seed=seed)}
        self._count = Count()

    def __call__(self, x: tf.Tensor, *, training: bool, key: Any = None) -> tf.Tensor:
        del key
        count, _ = self._count(x)
        x = tf.reshape(tf.cast(x, tf.float32), [-1, math.prod(x.shape[1:])])
        x = self._parts["first part: 1/2"](x, training=training)
        return x + tf.reduce_mean(self._constants) * tf.cast(count, tf.float32)


class Count(tf.Module):
    """Returns a tuple instead of one floating-point tensor."""

    def __call__(self, x: tf.Tensor) -> tuple[tf.Tensor, str]:
        return tf.size(x), "pixels"


def test_an_unusual_model_is_observed_and_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "_LARGEST_BYTES", 200_000)  # less than the model's constants
    for pause_step in (3, None):
        run(tmp_path / "run", replace(CONFIG, hidden=None), model=Crowded, pause_step=pause_step)
    tags = {tag for *_, tag, _ in events(tmp_path / "run")}
    assert {"graph", "weight_norm/_parts.first part: 1/2.weights", "activations/_parts.first part: 1/2"} <= tags
    assert not any("_count" in tag for tag in tags)


def test_sheets_are_bounded_however_large_pictures_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record or picture beyond the limits of logs and reports could not be read back."""
    monkeypatch.setattr(album, "_MOST_PIXELS", 10_000)
    run(tmp_path / "run", replace(CONFIG, model="softmax", hidden=None, summaries="images", steps=1))
    for path in (tmp_path / "run" / "pictures").iterdir():
        with Image.open(path) as image:
            assert 9_000 < image.width * image.height <= 10_000, path


def test_a_run_that_diverges_ends_with_a_message_about_it(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match="The first number that is not finite came up in step 1"):
        run(tmp_path / "run", replace(CONFIG, learning_rate=1e38, optimizer="gradient_descent", pixels="raw"))


@pytest.mark.thorough
def test_a_run_that_is_extended_removes_the_results_of_its_end(tmp_path: Path) -> None:
    config = replace(CONFIG, model="mnist_cnn", hidden=None, summaries="images", schedule="constant", steps=2)
    config, examples = replace(config, filters=(2, 2)), data((8, 8, 1))
    run(tmp_path / "run", config, examples=examples)
    (tmp_path / "run" / "report.html").write_text("of the end", encoding="utf-8")
    (tmp_path / "run" / "pictures" / "mine.png").touch()
    left = {path.name for path in (tmp_path / "run" / "pictures").iterdir()}
    assert {"batch.png", "filters.png", "feature_maps.png", "wrong_test.png"} < left
    run(tmp_path / "run", replace(config, steps=4), examples=examples, pause_step=3)
    assert not {"test.json", "report.html"} & {path.name for path in (tmp_path / "run").iterdir()}
    assert [path.name for path in (tmp_path / "run" / "pictures").iterdir()] == ["mine.png"]


def test_a_report_has_its_pictures_without_summaries(tmp_path: Path) -> None:
    for report in (True, False):
        run(tmp_path / str(report), replace(CONFIG, summaries="none", report=report, steps=1))
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")}
    assert left == {f"True/pictures/{name}.png" for name in ("batch", "filters", "wrong_test")}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("part", SUMMARIES)
def test_each_part_is_written_alone_and_does_not_change_the_weights(part: str, tmp_path: Path, bare: bytes) -> None:
    assert run(tmp_path / "run", replace(CONFIG, summaries=part)) == bare
    tags = {tag for *_, tag, _ in events(tmp_path / "run")}
    assert {name for name, mark in MARKS.items() if any(mark in tag for tag in tags)} == {part}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The weights of a run without summaries."""
    return run(tmp_path_factory.mktemp("bare") / "run", replace(CONFIG, summaries="none"))


def steps_with(folder: Path, split: str, mark: str) -> set[int]:
    return {step for name, step, tag, _ in events(folder) if name == split and mark in tag}


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("every", "curves", "pictures"), [(4, {6, 9, 13}, {13}), (2, {4, 6, 8, 9, 11, 13}, {11, 13})])
def test_predictions_are_those_of_the_first_evaluation_after_each_look(
    every: int, curves: set[int], pictures: set[int], tmp_path: Path
) -> None:
    """Observations are after steps 1, 1 + every, …; evaluations after 2, 4, 6, 8, 9, 11 and 13."""
    config = replace(CONFIG, steps=13, evaluate_every_epochs=0.25, observe_every_steps=every)
    run(tmp_path / "run", config)
    assert steps_with(tmp_path / "run", "validation", "accuracy") == {2, 4, 6, 8, 9, 11, 13}
    assert steps_with(tmp_path / "run", "validation", "/pr_curves") == curves
    assert steps_with(tmp_path / "run", "validation", "confusion_validation") == pictures
    assert steps_with(tmp_path / "run", "test", "/pr_curves") == {13}


def test_curves_and_mistakes_of_a_part_of_the_examples_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "PREDICTIONS_BYTES", 5 * 4 * 3)  # five examples of three classes
    titles: list[str] = []
    draw = prediction_sheets.wrong
    monkeypatch.setattr(prediction_sheets, "wrong", lambda title, *rest: titles.append(title) or draw(title, *rest))
    config = replace(CONFIG, summaries="images,pr_curves", eval_batch_size=3, learning_rate=1e-30)
    run(tmp_path / "run", config)
    assert [re.sub("^[0-9]", "n", title) for title in titles] == [
        "n of 4 (1 in 2 of 8 examples) are wrong; the most confident of them",
        "n of 5 (1 in 2 of 9 examples) are wrong; the most confident of them",
    ]
    described = {
        (path.parent.name, value.metadata.summary_description)
        for path in (tmp_path / "run").rglob("events.out.tfevents.*")
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
        for value in Event.FromString(record).summary.value
        if "/pr_curves" in value.tag
    }
    assert described == {("validation", "1 in 2 of 8 examples"), ("test", "1 in 2 of 9 examples")}


@pytest.mark.thorough
def test_predictions_are_kept_only_where_they_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[str] = []
    original = evaluation.Evaluation.with_predictions
    monkeypatch.setattr(
        evaluation.Evaluation, "with_predictions", lambda *args: kept.append(summaries) or original(*args)
    )
    for report, summaries in ((False, "norms,histograms,graph,hparams,text"), (True, "none"), (False, "pr_curves")):
        run(tmp_path / summaries, replace(CONFIG, summaries=summaries, report=report, steps=1))
    assert kept == ["none", "pr_curves", "pr_curves"]  # test; validation and test


def test_a_run_that_ends_early_shows_its_last_evaluation(tmp_path: Path) -> None:
    config = replace(CONFIG, evaluate_every_epochs=0.25, learning_rate=1e-30, optimizer="gradient_descent", patience=1)
    run(tmp_path / "run", config)
    for split in ("validation", "test"):
        assert steps_with(tmp_path / "run", split, "/pr_curves") == {4}, split
        assert steps_with(tmp_path / "run", split, f"confusion_{split}") == {4}, split


@pytest.mark.thorough
def test_a_run_that_was_stopped_has_neither_doubles_nor_holes(tmp_path: Path, bare: bytes) -> None:
    assert run(tmp_path / "whole", CONFIG) == bare
    for pause_step in (1, 4, 6, None):
        weights = run(tmp_path / "parts" / "whole", CONFIG, pause_step=pause_step)
    assert weights == bare
    whole = events(tmp_path / "whole")
    assert events(tmp_path / "parts") == whole
    (tmp_path / "parts" / "whole" / "result.json").unlink()  # as if killed just before the end
    assert run(tmp_path / "parts" / "whole", CONFIG) == bare
    assert events(tmp_path / "parts") == whole
    assert {step for _, step, tag, _ in whole if "_norm/" in tag} == {1, 3, 5, 7, 9}
    assert {step for split, step, tag, _ in whole if "/pr" in tag and split == "validation"} == {8, 9}
    assert {step for _, step, tag, _ in whole if tag == "batch"} == {1, 9}
