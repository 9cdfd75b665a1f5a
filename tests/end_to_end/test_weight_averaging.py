"""Stochastic weight averaging: scored from its first weights on, saved with its statistics, exact on resume."""

import json
from pathlib import Path
from typing import Any

import pytest

from tfcore.training.checkpoints import Checkpoints
from tools.reliability.run_differences import differences

# 450 training examples in batches of 40: 11.25 steps an epoch; the average holds the weights of steps 17, 22, 28, 34.
AVERAGED = (
    "--model=cifar_cnn", "--filters=4", "--hidden=8", "--train_examples=500", "--test_examples=100",
    "--batch_size=40", "--schedule=constant", "--epochs=3", "--average_from_epochs=1.5", "--average_every_epochs=0.5",
    "--intra_op_threads=1", "--inter_op_threads=1",
)  # fmt: skip


@pytest.mark.thorough
def test_it_is_scored_and_saved_with_its_statistics_and_resumed_exactly(call: Any, tmp_path: Path) -> None:
    done = call("train", *AVERAGED, "--run_dir=run", "--json")
    first, second = (line for line in done.stderr.splitlines() if line.startswith(("epoch 1:", "epoch 2:")))
    assert "averaged" not in first
    assert "averaged" in second
    result = json.loads(done.stdout)
    scored = json.loads(call("eval", "--run_dir=run", "--average", "--json").stdout)
    assert {name: scored[name] for name in ("loss", "accuracy")} == {
        name: pytest.approx(value) for name, value in result["test_average"].items()
    }
    checkpoints = Checkpoints(tmp_path / "run" / "checkpoints", {})
    names = [name for name in checkpoints.names(34) if name.endswith(("moving_mean", "moving_variance"))]
    assert len(names) == 8  # of two batch norms, in the model and for the average
    before, after = (checkpoints.read(12, f"{part}.norm_1.moving_mean") for part in ("model", "optimizer.average"))
    assert (before == after).all()  # the average has not begun
    before, after = (checkpoints.read(34, f"{part}.norm_1.moving_mean") for part in ("model", "optimizer.average"))
    assert (before != after).all()
    call("train", *AVERAGED, "--run_dir=cut", "--stop_after_steps=19")
    call("train", "--run_dir=cut")
    assert differences(tmp_path / "run", tmp_path / "cut") == []


def test_an_average_after_the_end_is_refused(call: Any, tmp_path: Path) -> None:
    done = call("train", *AVERAGED, "--average_from_epochs=3.5", "--run_dir=run", status=2)
    assert "--average_from_epochs=3.5 must be before the end of the run. It is step 40 of 34." in done.stderr
    assert not (tmp_path / "run").exists()
