"""--test_views in evaluations, predictions and exports: all give the same probabilities."""

import json
import pathlib
from typing import Any

import numpy as np
import pytest

import tfcore
from tfcore.data.sources.shapes import draw
from tfcore.use.loading import read_architecture

FLAGS = ("--model=mlp", "--hidden=16", "--train_examples=300", "--test_examples=60", "--steps=30")


@pytest.mark.thorough
def test_scores_predictions_and_exports_average_over_the_views(call: Any, tmp_path: pathlib.Path) -> None:
    call("train", *FLAGS, "--test_views=all", "--run_dir=seen")
    call("train", *FLAGS, "--run_dir=plain")
    assert read_architecture(tmp_path / "seen" / "architecture.json").views == ("mirror", "shifts")
    assert "views" not in (tmp_path / "plain" / "architecture.json").read_text()
    tests = {run: json.loads((tmp_path / run / "result.json").read_text())["test"]["loss"] for run in ("seen", "plain")}
    assert tests["seen"] != tests["plain"]
    assert abs(tfcore.evaluate("seen")["loss"] - tests["seen"]) < 1e-5

    images = draw("test", 60).images
    probabilities = tfcore.load("seen").probabilities(images)
    plain = tfcore.load("plain").probabilities(images)
    assert np.abs(probabilities - plain).max() > 1e-3
    call("export", "--run_dir=seen", "--format=npz", "--out=model.npz")  # a SavedModel is in tests/export
    np.testing.assert_allclose(tfcore.load("model.npz").probabilities(images), probabilities, atol=1e-6)


@pytest.mark.thorough
def test_a_resumed_run_keeps_its_views(call: Any) -> None:
    call("train", *FLAGS, "--test_views=mirror", "--run_dir=run", "--stop_after_steps=5")
    assert (
        "--test_views=shifts (there: mirror)" in call("train", "--run_dir=run", "--test_views=shifts", status=2).stderr
    )
