"""Weights come out of a checkpoint by name, without a model."""

from pathlib import Path

import pytest
import tensorflow as tf

from tfcore.errors import RunError
from tfcore.export import checkpoint
from tfcore.training.checkpoints import Checkpoints

STATE = {
    "model.conv_1.weights": 1.0,
    "model.norm.moving_mean": 2.0,
    "optimizer.adam.mean.conv_1.weights": 3.0,
    "optimizer.step": 4.0,
}
AVERAGE = {"optimizer.average.conv_1.weights": 5.0}


def saved(folder: Path, state: dict[str, float]) -> Path:
    Checkpoints(folder, {name: tf.Variable([value, value]) for name, value in state.items()}).save(7)
    return folder


def read(folder: Path, *, average: bool = False) -> dict[str, list[float]]:
    return {path: array.tolist() for path, array in checkpoint.read(folder, 7, average=average).items()}


def test_the_models_variables_come_by_path(tmp_path: Path) -> None:
    assert read(saved(tmp_path, STATE | AVERAGE)) == {"conv_1.weights": [1, 1], "norm.moving_mean": [2, 2]}


def test_averages_stand_in_where_there_are_some(tmp_path: Path) -> None:
    found = read(saved(tmp_path, STATE | AVERAGE), average=True)
    assert found == {"conv_1.weights": [5, 5], "norm.moving_mean": [2, 2]}


def test_a_run_without_averages_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="keeps no averages: it was trained without --average_decay"):
        read(saved(tmp_path, STATE), average=True)


def test_a_missing_step_is_named_with_those_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no checkpoint of step 8 in .*Those there: 7\."):
        checkpoint.read(saved(tmp_path, STATE), 8)


@pytest.mark.parametrize("name", ["state.index", "state.data-00000-of-00001"])
@pytest.mark.parametrize("content", [None, b"", b"nonsense"])
def test_damage_is_one_line(tmp_path: Path, name: str, content: bytes | None) -> None:
    path = saved(tmp_path, STATE) / "step-0000000007" / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(RunError, match=r"The checkpoint .*step-0000000007") as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)
