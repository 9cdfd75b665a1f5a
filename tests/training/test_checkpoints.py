"""Checkpoints: complete or absent, compared before any variable changes, and restored bit for bit."""

import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfcore.errors import RunError
from tfcore.training import checkpoint_files as files
from tfcore.training import checkpoints as module
from tfcore.training.checkpoints import Checkpoints, steps_in

DTYPES = ["float32", "float64", "float16", "bfloat16", "int8", "uint8", "int32", "int64", "bool"]
State = dict[str, tf.Variable]


def small_state(value: float = 0.0) -> State:
    return {
        "model.logits.weights": tf.Variable(tf.fill([3, 4], value)),
        "model.logits.biases": tf.Variable(tf.fill([4], value)),
        "optimizer.step": tf.Variable(int(value), dtype=tf.int64),
    }


def values(state: State) -> dict[str, list[Any]]:
    return {name: variable.numpy().tolist() for name, variable in state.items()}


def saved(folder: Path, value: float = 7.0, step: int = 1) -> Path:
    Checkpoints(folder, small_state(value)).save(step)
    return folder / f"step-{step:010d}"


def assert_refused_unchanged(folder: Path, state: State, message: str, step: int = 1) -> None:
    before = values(state)
    with pytest.raises(RunError, match=message) as caught:
        Checkpoints(folder, state).restore(step)
    assert "\n" not in str(caught.value)
    assert values(state) == before


def test_every_dtype_comes_back_to_the_bit(tmp_path: Path) -> None:
    def state(fill: Any) -> State:
        return {f"model.{name}": tf.Variable(tf.cast(fill, name), trainable=False) for name in DTYPES}

    original, other = state([0.1, 1.0, 100.3]), state([0, 0, 0])
    Checkpoints(tmp_path, original).save(5)
    Checkpoints(tmp_path, other).restore(5)
    for name in original:
        assert other[name].dtype == original[name].dtype
        assert other[name].numpy().tobytes() == original[name].numpy().tobytes()


def test_odd_floats_and_shapes_come_back_to_the_bit(tmp_path: Path) -> None:
    rows = {"odd": [float("nan"), float("inf"), -0.0, 1e-45], "none": [], "one": 3.0, "deep": [[[[1.0]]]]}
    original = {name: tf.Variable(row, dtype=tf.float32) for name, row in rows.items()}
    other = {name: tf.Variable(tf.ones_like(variable)) for name, variable in original.items()}
    Checkpoints(tmp_path, original).save(1)
    Checkpoints(tmp_path, other).restore(1)
    for name in original:
        assert other[name].numpy().tobytes() == original[name].numpy().tobytes()


def test_names_may_have_dots_and_any_letters(tmp_path: Path) -> None:
    names = ["a.b", "a..b", "größe.ß", "模型.权重", "a b", "_", "a.S", "a/b", "/", "a./S.b"]
    original = {name: tf.Variable(float(number + 1)) for number, name in enumerate(names)}
    other = {name: tf.Variable(0.0) for name in reversed(names)}
    Checkpoints(tmp_path, original).save(1)
    Checkpoints(tmp_path, other).restore(1)
    assert {name: float(variable) for name, variable in other.items()} == {
        name: float(variable) for name, variable in original.items()
    }
    assert [Checkpoints(tmp_path, {}).read(1, name) for name in names] == list(range(1, len(names) + 1))


def test_what_was_said_about_the_process_comes_back(tmp_path: Path) -> None:
    Checkpoints(tmp_path, small_state(), about=lambda: {"tensorflow": "2.21.0", "threads": 1}).save(3, score=0.5)
    assert Checkpoints(tmp_path, small_state()).restore(3) == {
        "step": 3, "score": 0.5, "tensorflow": "2.21.0", "threads": 1,
    }  # fmt: skip


def test_every_difference_is_listed_and_nothing_changes(tmp_path: Path) -> None:
    saved(tmp_path)
    state = {
        "model.logits.weights": tf.Variable(tf.zeros([3, 5])),
        "model.logits.biases": tf.Variable(tf.zeros([4], tf.float64)),
        "model.extra": tf.Variable(0.0),
    }
    before = values(state)
    with pytest.raises(RunError) as caught:
        Checkpoints(tmp_path, state).restore(1)
    message = str(caught.value)
    assert "is of another model or optimizer" in message
    assert r"model.logits.weights: float32 [3, 4] in the checkpoint, float32 [3, 5] in this program" in message
    assert r"model.logits.biases: float32 [4] in the checkpoint, float64 [4] in this program" in message
    assert "model.extra: not in the checkpoint" in message
    assert "optimizer.step: not in this program" in message
    assert values(state) == before


def test_only_a_part_can_be_read(tmp_path: Path) -> None:
    saved(tmp_path)
    state = small_state()
    Checkpoints(tmp_path, state).restore(1, only="model.")
    assert values(state) == values({**small_state(7.0), "optimizer.step": tf.Variable(0)})


def test_a_program_without_the_rest_can_read_the_part(tmp_path: Path) -> None:
    saved(tmp_path)
    state = {name: variable for name, variable in small_state().items() if name.startswith("model.")}
    Checkpoints(tmp_path, state).restore(1, only="model.")
    assert float(state["model.logits.biases"][0]) == 7.0


def test_one_variable_can_be_read_alone(tmp_path: Path) -> None:
    saved(tmp_path)
    state = small_state()
    assert Checkpoints(tmp_path, state).read(1, "optimizer.step") == 7
    assert values(state) == values(small_state())
    for step, name, message in [(1, "optimizer.stop", "no readable 'optimizer.stop'"), (2, "a", "no checkpoint of")]:
        with pytest.raises(RunError, match=message):
            Checkpoints(tmp_path, state).read(step, name)


@pytest.mark.parametrize(
    ("keep", "keep_step", "expected"),
    [(2, None, [4, 5]), (2, 1, [1, 4, 5]), (2, 5, [4, 5]), (1, 3, [3, 5]), (None, None, [1, 2, 3, 4, 5])],
)
def test_the_newest_stay_and_the_best(tmp_path: Path, keep: int | None, keep_step: int, expected: list[int]) -> None:
    checkpoints = Checkpoints(tmp_path, small_state(), keep=keep)
    for step in range(1, 6):
        checkpoints.save(step, keep_step=keep_step)
    assert checkpoints.steps() == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"step-{step:010d}" for step in expected]


def test_a_former_best_goes_when_there_is_a_better_one(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, small_state(), keep=1)
    for step, best in [(1, 1), (2, 1), (3, 3), (4, 3)]:
        checkpoints.save(step, keep_step=best)
    assert checkpoints.steps() == [3, 4]


@pytest.mark.parametrize(
    ("lower_is_better", "keep_best", "expected"), [(True, 1, [3, 6]), (True, 2, [3, 5, 6]), (False, 2, [2, 4, 6])]
)
def test_the_best_stay_and_the_earlier_of_equal_ones(
    tmp_path: Path, lower_is_better: bool, keep_best: int, expected: list[int]
) -> None:
    for step, score in enumerate([math.nan, 0.9, 0.1, 0.8, 0.1, None], start=1):
        # A new object for each save, as in a new process: earlier scores are read from the files.
        checkpoints = Checkpoints(tmp_path, small_state(), keep=1, keep_best=keep_best, lower_is_better=lower_is_better)
        checkpoints.save(step, score=score)
    assert checkpoints.steps() == expected


@pytest.mark.parametrize(("score", "among"), [(0.4, True), (0.5, False), (0.6, False), (math.nan, False)])
def test_only_a_better_score_is_among_the_best(tmp_path: Path, score: float, among: bool) -> None:
    checkpoints = Checkpoints(tmp_path, small_state(), keep_best=2)
    assert checkpoints.is_among_best(9.0)
    for step, kept in [(1, 0.5), (2, 0.3)]:
        checkpoints.save(step, score=kept)
    assert checkpoints.is_among_best(score) == among


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    saved(tmp_path, 1.0)
    saved(tmp_path, 2.0)
    state = small_state()
    checkpoints = Checkpoints(tmp_path, state)
    checkpoints.restore(1)
    assert values(state) == values(small_state(2.0))
    assert [path.name for path in tmp_path.iterdir()] == ["step-0000000001"]


def test_no_folder_is_no_checkpoints(tmp_path: Path) -> None:
    assert steps_in(tmp_path / "none") == []
    assert not (tmp_path / "none").exists()
    Checkpoints(tmp_path / "none", small_state()).sweep()
    with pytest.raises(RunError, match=r"no checkpoint of step 3 .* Those there: none\."):
        Checkpoints(tmp_path / "none", small_state()).restore(3)


def test_a_missing_step_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    for step in (2, 10):
        saved(tmp_path, step=step)
    assert_refused_unchanged(tmp_path, small_state(), r"no checkpoint of step 3 .* Those there: 2, 10\.", step=3)


def test_only_complete_folders_are_listed(tmp_path: Path) -> None:
    saved(tmp_path, step=12)
    for name in (".unfinished-step-0000000013", "step-14", "step-0000000015x", "notes", ".unfinished-deleted-step"):
        (tmp_path / name).mkdir()
    assert steps_in(tmp_path) == [12]


def test_leftovers_are_swept_by_the_next_save(tmp_path: Path) -> None:
    for name in (".unfinished-step-0000000001", ".unfinished-deleted-step-0000000002"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "state.index").write_bytes(b"half")
    saved(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["step-0000000001"]


@pytest.mark.parametrize(
    ("place", "moment", "listed"),
    [(files, "sync", [1]), (files, "write", [1]), (module, "_delete", [1, 2]), (Checkpoints, "rotate", [1, 2])],
)
def test_a_save_that_is_killed_leaves_a_restorable_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Any, moment: str, listed: list[int]
) -> None:
    """At any instant, each step listed can be restored, and the previous save is listed unless it was replaced."""

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    checkpoints = Checkpoints(tmp_path, small_state(3.0), keep=1)
    checkpoints.save(1)
    with monkeypatch.context() as patched:
        patched.setattr(place, moment, killed)
        with pytest.raises(KeyboardInterrupt):
            checkpoints.save(2)
    assert checkpoints.steps() == listed
    for step in checkpoints.steps():
        state = small_state()
        Checkpoints(tmp_path, state).restore(step)
        assert values(state) == values(small_state(3.0))
    checkpoints.save(2)
    assert [path.name for path in tmp_path.iterdir()] == ["step-0000000002"]


def test_a_full_disk_leaves_the_earlier_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = Checkpoints(tmp_path, small_state(), keep=1)
    checkpoints.save(1)

    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "sync", full)
    with pytest.raises(RunError, match=r"step 2 could not be written .* No space left on device"):
        checkpoints.save(2)
    assert [path.name for path in tmp_path.iterdir()] == ["step-0000000001"]


@pytest.mark.parametrize("below", ["checkpoints", "checkpoints/deeper"])
def test_a_file_in_the_folders_place_is_reported(tmp_path: Path, below: str) -> None:
    (tmp_path / "checkpoints").write_text("a file")
    with pytest.raises(RunError, match="checkpoint of step 1 could not be written") as caught:
        Checkpoints(tmp_path / below, small_state()).save(1)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "checkpoints").read_text() == "a file"


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0xFF
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("name", ["state.index", "state.data-00000-of-00001"])
def test_a_missing_file_is_reported(tmp_path: Path, name: str) -> None:
    (saved(tmp_path) / name).unlink()
    assert_refused_unchanged(tmp_path, small_state(), "is damaged: ")


@pytest.mark.parametrize("name", ["state.index", "state.data-00000-of-00001"])
def test_a_truncated_file_is_reported(tmp_path: Path, name: str) -> None:
    folder = saved(tmp_path)
    whole = (folder / name).read_bytes()
    for size in (0, 1, len(whole) // 2, len(whole) - 2):
        (folder / name).write_bytes(whole[:size])
        assert_refused_unchanged(tmp_path, small_state(), "is damaged: ")


@pytest.mark.parametrize("place", [0, 5, 40, 100, 150, 200, 250, -1, -4, -46])
def test_a_flipped_index_byte_is_reported(tmp_path: Path, place: int) -> None:
    flip(saved(tmp_path) / "state.index", place)
    assert_refused_unchanged(tmp_path, small_state(), "is damaged: |is of another model")


@pytest.mark.parametrize("place", [0, 20, 50, -1])
def test_a_flipped_value_is_reported(tmp_path: Path, place: int) -> None:
    flip(saved(tmp_path) / "state.data-00000-of-00001", place)
    assert_refused_unchanged(tmp_path, small_state(), "is damaged: ")


def test_files_of_two_checkpoints_do_not_mix(tmp_path: Path) -> None:
    first, second = saved(tmp_path, 1.0, step=1), saved(tmp_path, 2.0, step=2)
    shutil.copy(first / "state.index", second / "state.index")
    assert_refused_unchanged(tmp_path, small_state(), "is damaged: ", step=2)


def test_a_large_variable_survives(tmp_path: Path) -> None:
    draw = np.random.default_rng(0).standard_normal((500, 700)).astype(np.float32)
    variable = tf.Variable(tf.zeros([500, 700]))
    Checkpoints(tmp_path, {"w": tf.Variable(draw)}).save(1)
    Checkpoints(tmp_path, {"w": variable}).restore(1)
    np.testing.assert_array_equal(variable.numpy(), draw)


def cut_data(folder: Path) -> None:
    os.truncate(folder / "state.data-00000-of-00001", 40)


def flip_value(folder: Path) -> None:
    flip(folder / "state.data-00000-of-00001", 3)


def lose_data(folder: Path) -> None:
    (folder / "state.data-00000-of-00001").unlink()


def lose_index(folder: Path) -> None:
    (folder / "state.index").unlink()


def garble_index(folder: Path) -> None:
    (folder / "state.index").write_bytes(b"\x80\x04K\x01." * 50)


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def belong_elsewhere(folder: Path) -> None:
    shutil.copytree(saved(folder.parent / "other", 9.0, step=77), folder, dirs_exist_ok=True)
    shutil.rmtree(folder.parent / "other")


def lose_a_variable(folder: Path) -> None:
    shutil.rmtree(folder)
    Checkpoints(folder.parent, {"optimizer.step": tf.Variable(3, dtype=tf.int64)}, keep=None).save(3)


DAMAGES = [cut_data, flip_value, lose_data, lose_index, garble_index, empty, belong_elsewhere, lose_a_variable]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_one_is_named_and_the_one_before_used(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    for step in (1, 2, 3):
        saved(tmp_path, float(step), step=step)
    damage(tmp_path / "step-0000000003")
    state = small_state()
    checkpoints = Checkpoints(tmp_path, state)
    about, damaged = checkpoints.restore_newest()
    assert about["step"] == 2
    assert values(state) == values(small_state(2.0))
    assert len(damaged) == 1
    assert str(tmp_path / "step-0000000003") in damaged[0]
    assert damaged[0].endswith(f"It is now {tmp_path / 'damaged-step-0000000003'}.")
    assert checkpoints.steps() == [1, 2]  # so that step 3 is saved when the run reaches it again
    assert (tmp_path / "damaged-step-0000000003").is_dir()


@pytest.mark.parametrize("damage", DAMAGES[:-1])
def test_none_usable_is_an_error_and_nothing_is_renamed(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    for step in (1, 2):
        saved(tmp_path, float(step), step=step)
        damage(tmp_path / f"step-{step:010d}")
    state = small_state()
    with pytest.raises(
        RunError, match=r"no checkpoint in .* can be read.*step-0000000002 .*step-0000000001 "
    ) as caught:
        Checkpoints(tmp_path, state).restore_newest()
    assert "\n" not in str(caught.value)
    assert values(state) == values(small_state())
    assert steps_in(tmp_path) == [1, 2]


def test_checkpoints_of_another_model_are_no_damage(tmp_path: Path) -> None:
    for step in (1, 2):
        saved(tmp_path, step=step)
    with pytest.raises(RunError, match="step-0000000002 is of another model"):
        Checkpoints(tmp_path, {"model.other": tf.Variable(0.0)}).restore_newest()
    assert steps_in(tmp_path) == [1, 2]


def test_a_step_that_was_damaged_before_is_put_aside_again(tmp_path: Path) -> None:
    saved(tmp_path, 1.0, step=1)
    for _ in range(2):
        lose_index(saved(tmp_path, 3.0, step=3))
        Checkpoints(tmp_path, small_state()).restore_newest()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["damaged-step-0000000003", "step-0000000001"]


def test_a_damaged_one_has_no_score_and_is_in_nobodys_way(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, small_state(), keep=1)
    checkpoints.save(1, score=0.1)
    lose_index(tmp_path / "step-0000000001")
    checkpoints = Checkpoints(tmp_path, small_state(), keep=1)
    assert checkpoints.is_among_best(0.5)
    checkpoints.save(2, score=0.5)
    assert checkpoints.steps() == [2]
