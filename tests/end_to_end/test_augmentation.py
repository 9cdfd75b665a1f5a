"""Runs with augmentation: resumed to the bit, the same for any microbatches, off in evaluation, shown as trained."""

import json
import pathlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tfcore
from tfcore.config import RunConfig
from tfcore.use.loading import read_weights
from tools.reliability import run_differences

ALL = (
    "flip:0.4,crop:3:reflect,resized_crop:0.5,translate,rotate,jitter:hue=0.1,erase,randaugment,trivialaugment,"
    "cutmix,cutout:5,mixup:0.3"
)
FLAGS = ("--model=softmax", "--train_examples=300", "--test_examples=50", "--batch_size=20", "--steps=40")
ONE = "--keep_checkpoints=1"  # a stop leaves another one


@pytest.mark.thorough  # test_chain has it of the batches
@pytest.mark.parametrize("augment", [ALL, "alternating_flip,crop:3,mixup"])
def test_a_stopped_run_ends_with_the_same_bits(call: Any, tmp_path: pathlib.Path, augment: str) -> None:
    call("train", *FLAGS, ONE, f"--augment={augment}", "--run_dir=whole")
    call("train", *FLAGS, ONE, f"--augment={augment}", "--run_dir=parts", "--stop_after_steps=17")
    call("train", "--run_dir=parts")
    assert run_differences.all_differences(tmp_path / "whole", tmp_path / "parts") == []
    assert f"--augment={augment}\n" in (tmp_path / "parts" / "config.flags").read_text()


@pytest.mark.thorough
def test_a_resumed_run_keeps_its_augmentation(call: Any) -> None:
    call("train", *FLAGS, "--augment=flip", "--run_dir=run", "--stop_after_steps=5")
    refused = call("train", "--run_dir=run", "--augment=flip,cutout:4", status=2)
    assert "--augment=flip,cutout:4 (there: flip)" in refused.stderr


def weights(**settings: Any) -> np.ndarray:
    config = RunConfig(
        model="softmax", batch_size=20, steps=6, train_examples=300, test_examples=20, summaries="none", report=False,
        **settings,
    )  # fmt: skip
    result = tfcore.train(config, run_dir=f"runs/{len(list(pathlib.Path('runs').glob('*')))}", quietly=True)
    return np.asarray(read_weights(result["run_dir"])["logits.weights"])


@pytest.mark.thorough
def test_microbatches_see_the_same_pictures_and_targets(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    augment = "flip,crop:3,cutmix,mixup"
    whole, parts, other = (
        weights(augment=augment), weights(augment=augment, microbatches=4), weights(augment="flip,crop:2,cutmix,mixup")
    )  # fmt: skip
    update = np.abs(whole - other).max()
    np.testing.assert_allclose(whole, parts, atol=1e-3 * update)


@pytest.mark.thorough
def test_scores_are_of_the_plain_pictures(call: Any, tmp_path: pathlib.Path) -> None:
    (tmp_path / "black.py").write_text("def black(images, draws):\n    return images * 0\n")
    call("train", *FLAGS, "--model=mlp", "--hidden=16", "--augment=black.py:black", "--run_dir=run")
    counts = np.array(json.loads((tmp_path / "run" / "test.json").read_text())["confusion_matrix"])
    assert (counts.sum(0) > 0).sum() > 1  # black pictures would all be of one class


def test_pictures_show_what_the_model_gets(call: Any, tmp_path: pathlib.Path) -> None:
    (tmp_path / "black.py").write_text(
        "def bars(images, targets, draws):\n"
        "    import tensorflow as tf\n"
        "    rows = tf.range(32)[None, :, None, None] // 4 % 2\n"
        "    return tf.cast(rows * 255, tf.float32) + 0.0 * tf.cast(images, tf.float32), targets\n"
    )
    call("train", *FLAGS, "--augment=black.py:bars", "--run_dir=run", "--report")
    with Image.open(tmp_path / "run" / "pictures" / "batch.png") as sheet:
        pixels = np.asarray(sheet.convert("L")).astype(int)
    columns = [column for column in pixels.T if np.ptp(column) > 200]
    striped = [
        column for column in columns if (np.abs(np.diff(column)) > 200).sum() >= 14
    ]  # 7 edges in each of 2 tiles
    assert len(striped) > 100
