"""Runs of several phases: pictures that grow, parameters that are frozen later."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfcore.training.checkpoints import Checkpoints
from tools.reliability import run_differences

MODEL = """
import tensorflow as tf
from tfcore.layers import BatchNorm, Conv2D, Linear

class Net(tf.Module):
    def __init__(self, image_shape, classes, *, pixels, seed):
        super().__init__(name="net")
        self.pixels, self.conv = pixels, Conv2D(image_shape[2], 4, 3, name="conv", seed=seed)
        self.norm, self.logits = BatchNorm(4, name="norm"), Linear(4, classes, name="logits", seed=seed)

    def __call__(self, x, *, training, key=None):
        x = self.conv(self.pixels(x, training=training), training=training)
        x = tf.nn.relu(self.norm(x, training=training))
        return self.logits(tf.reduce_mean(x, [1, 2]), training=training)

class Reshaping(Net):
    def __call__(self, x, *, training, key=None):
        return super().__call__(tf.reshape(x, [-1, 32, 32, 3]), training=training)
"""
FLAGS = (
    "--model=net.py:Net", "--train_examples=80", "--test_examples=20", "--validation=0", "--batch_size=10",
    "--steps=24", "--xla=off", "--intra_op_threads=1", "--inter_op_threads=1", "--augment=flip",
    "--optimizer=adamw", "--weight_decay=0.5", "--decayed_variables=.", "--lookahead_steps=5",
)  # fmt: skip
PHASES = ("--progressive_resizing=8:0.3", "--freeze_after=^conv|^norm:2")  # up to step 8; from step 16 on


@pytest.fixture(autouse=True)
def model(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(MODEL)


@pytest.mark.thorough
@pytest.mark.parametrize("summaries", ["none", "norms,images"])
def test_a_run_cut_at_its_phases_is_the_same(call: Any, tmp_path: Path, summaries: str) -> None:
    watching = (f"--summaries={summaries}", "--observe_every_steps=8", "--keep_checkpoints=0")
    done = call("train", *FLAGS, *PHASES, *watching, "--run_dir=whole")
    assert re.findall(r"^from step .*", done.stdout, re.MULTILINE) == [
        "from step 0: pictures of 8x8",
        "from step 8: pictures of 32x32",
        "from step 16: pictures of 32x32, frozen 4 of 6 trainable variables, 120 values",
    ]
    call("train", *FLAGS, *PHASES, *watching, "--run_dir=cut", "--stop_after_steps=8")
    call("train", *watching, "--run_dir=cut")
    assert run_differences.differences(tmp_path / "whole", tmp_path / "cut") == []
    checkpoints = Checkpoints(tmp_path / "whole" / "checkpoints", {})
    for name in checkpoints.names(24):
        before, frozen, last = (checkpoints.read(step, name) for step in (8, 16, 24))
        changes = [bool(np.any(before != frozen)), bool(np.any(frozen != last))]
        if re.match(r"(model|optimizer\.[a-z])\.(conv|norm\.(scale|offset))", name):
            assert changes == [True, False], name
        elif "moving" in name or "logits" in name:
            assert changes[1], name


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ("--model=mlp",),
            "At 8x8: The model breaks in hidden_1 (Linear), which was given (10, 192): Layer 'hidden_1'",
        ),
        (("--model=net.py:Reshaping",), "At 8x8: "),
    ],
    ids=["mlp", "reshape"],
)
def test_a_model_for_one_size_is_refused_in_a_line(
    call: Any, tmp_path: Path, flags: tuple[str, ...], message: str
) -> None:
    done = call("train", *FLAGS, *flags, "--progressive_resizing=8:0.3", "--run_dir=run", status=2)
    assert "error: --progressive_resizing=8:0.3 needs a model for pictures of any size, with global pool" in done.stderr
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_the_length_of_the_run_is_that_of_its_sizes(call: Any) -> None:
    flags = (*FLAGS, "--schedule=constant", "--run_dir=run", "--summaries=none")
    call("train", *flags, "--progressive_resizing=8:0.3", "--stop_after_steps=2")
    done = call("train", "--run_dir=run", "--steps=30", status=2)
    assert (
        "--steps=30 would change the picture sizes of the run in run: --progressive_resizing=8:0.3 has sha"
        in done.stderr
    )


@pytest.mark.parametrize("command", [("lr_find", "--out=rates.png"), ("benchmark",)], ids=lambda command: command[0])
def test_a_command_that_measures_steps_refuses_phases(call: Any, command: tuple[str, ...]) -> None:
    done = call(*command, "--progressive_resizing=8:0.3", status=2)
    assert f"error: `tfcore {command[0]}` takes no --progressive_resizing: all its steps must be alike." in done.stderr
