"""Fine-tuning: --init_from with --freeze and --learning_rate_factors, from the command to the checkpoint."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfcore
from tfcore.training.checkpoints import Checkpoints, steps_in
from tools.reliability.run_differences import differences

THREADS = ("--intra_op_threads=1", "--inter_op_threads=1")
SMALL = ("--train_examples=500", "--test_examples=100", "--batch_size=50", "--xla=off", *THREADS)
MODELS = {
    "mlp": ("--model=mlp", "--hidden=8,6"),
    "cnn": ("--model=cifar_cnn", "--filters=4,6", "--hidden=8", "--max_norm=0.5"),
}
FROZEN = {"mlp": "^hidden_1|logits.b", "cnn": "^conv_1|norm"}
TUNED = (
    "--init_from=first", "--steps=12", "--optimizer=adamw", "--weight_decay=0.5", "--decayed_variables=.",
    "--clip_norm=0.1", "--average_decay=0.9", "--l2=0.01", "--learning_rate=0.1", "--learning_rate_factors=weights:0.5",
)  # fmt: skip
models = pytest.mark.parametrize("model", ["mlp", pytest.param("cnn", marks=pytest.mark.thorough)])


def saved(run: Path) -> dict[str, np.ndarray]:
    """Every variable of the run's last checkpoint by name."""
    folder = run / "checkpoints"
    checkpoints, step = Checkpoints(folder, {}), max(steps_in(folder))
    names = [name for name in checkpoints.names(step) if name.startswith(("model.", "optimizer."))]
    return {name: checkpoints.read(step, name) for name in names}


@pytest.mark.thorough
@models
def test_frozen_parameters_stay_bit_for_bit(call: Any, tmp_path: Path, model: str) -> None:
    flags = (*MODELS[model], *SMALL)
    call("train", *flags, "--steps=3", "--run_dir=first")
    done = call("train", *flags, *TUNED, f"--freeze={FROZEN[model]}", "--run_dir=tuned", "--json")
    first, tuned = saved(tmp_path / "first"), saved(tmp_path / "tuned")
    paths = [name.removeprefix("optimizer.average.") for name in tuned if name.startswith("optimizer.average.")]
    frozen = [path for path in paths if re.search(FROZEN[model], path)]
    assert 0 < len(frozen) < len(paths)
    assert f"frozen: {len(frozen)} of {len(paths)} trainable variables" in done.stderr
    for path in paths:
        names = (f"model.{path}", f"optimizer.average.{path}")
        same = [np.array_equal(first[f"model.{path}"], tuned[name]) for name in names]
        assert same == [path in frozen] * 2, path
        slots = [name for name in tuned if name.endswith(f".{path}") and name not in names]
        assert [bool(np.any(tuned[name])) for name in slots] == [path not in frozen] * 2
    moving = [name for name in first if "moving" in name]  # no parameters: they follow the batches
    assert bool(moving) == (model == "cnn")
    assert not any(np.array_equal(first[name], tuned[name]) for name in moving)
    test = json.loads(call("eval", "--run_dir=tuned", "--json").stdout)
    assert test["loss"] == json.loads(done.stdout)["test"]["loss"]
    assert tfcore.load(tmp_path / "tuned").image_shape == (32, 32, 3)


@pytest.mark.thorough
def test_a_fine_tuned_run_is_resumed_and_its_patterns_stay(call: Any, tmp_path: Path) -> None:
    flags = (*MODELS["cnn"], *SMALL)
    call("train", *flags, "--steps=3", "--run_dir=first")
    tuned = (*flags, *TUNED, f"--freeze={FROZEN['cnn']}")
    call("train", *tuned, "--run_dir=whole")
    call("train", *tuned, "--run_dir=cut", "--stop_after_steps=5")
    for changed in ("--freeze=^logits", "--learning_rate_factors=weights:0.25"):
        done = call("train", changed, "--run_dir=cut", status=2)
        assert f"belongs to another configuration: {changed} (there: " in done.stderr
    call("train", "--run_dir=cut")
    assert differences(tmp_path / "whole", tmp_path / "cut") == []


def test_a_pattern_that_matches_nothing_leaves_no_folder(call: Any, tmp_path: Path) -> None:
    done = call("train", *MODELS["mlp"], *SMALL, "--freeze=moving_mean", "--run_dir=run", status=2)
    assert (
        "`freeze` must match a parameter. 'moving_mean' matches none of hidden_1.biases, hidden_1.weights"
        in done.stderr
    )
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()
