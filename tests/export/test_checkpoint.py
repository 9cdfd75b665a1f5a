"""Weights come out of a checkpoint by name, without a model."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf
from support import tensor_bundle

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


@pytest.mark.parametrize("side", [300, 10**9, 10**17])
def test_variables_that_claim_more_than_there_is_are_refused(tmp_path: Path, side: int) -> None:
    folder = saved(tmp_path, STATE) / "step-0000000007"
    names = [f"model.{number}" for number in range(200)]  # small ones that share their bytes, or a huge one
    names = names if side == 300 else names[:1]
    shapes, sizes = dict.fromkeys(names, (side,)), dict.fromkeys(names, 4 * side)
    (folder / "state.index").write_bytes(tensor_bundle.index(shapes, sizes))
    claimed = 4 * side * len(names)
    with pytest.raises(RunError, match=rf"is damaged: its variables claim {claimed} bytes, more than it has") as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_index_made_by_hand_is_read(tmp_path: Path) -> None:
    folder = saved(tmp_path, {"model.a": 1.5}) / "step-0000000007"
    entries = tensor_bundle.index({"model.a": (2,)}, {"model.a": 8})
    (folder / "state.index").write_bytes(entries)
    with pytest.raises(RunError, match=r"has no readable 'model\.a'.*[Cc]hecksum"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["state.index", "state.data-00000-of-00001"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, name: str, make: Callable[[Path], None]) -> None:
    path = saved(tmp_path, STATE) / "step-0000000007" / name
    path.unlink()
    make(path)
    checkpoints = Checkpoints(tmp_path, {"model.norm.moving_mean": tf.Variable([0.0, 0.0])})
    for ask in (checkpoints.names, checkpoints.restore, lambda step: checkpoints.read(step, "model.conv_1.weights")):
        with pytest.raises(RunError, match=rf"{name} is no file"):
            ask(7)


@pytest.mark.parametrize("text", [b"\x80\x04\x95garbage", b"[1]", b"[" * 10**5, b"\xff", b"9" * 5000])
def test_an_about_that_is_no_object_is_one_line(tmp_path: Path, text: bytes) -> None:
    folder = saved(tmp_path, {"model.a": 1.0}) / "step-0000000007"
    variables = {"model.a": tf.Variable([1.0, 1.0]), "about": tf.Variable(text)}
    tf.train.Checkpoint(variables=variables).write(str(folder / "state"))
    with pytest.raises(RunError, match=r"step-0000000007 is damaged: ") as caught:
        Checkpoints(tmp_path, {"model.a": tf.Variable([0.0, 0.0])}).restore(7)
    assert "\n" not in str(caught.value)
