"""Run time over several parts: summed, trimmed with the steps, and reported as unknown where it is missing."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tfcore.errors import DiskError, RunError
from tfcore.training.run_time import PARTS, Elapsed, RunTime


class Clock:
    """A clock that tests set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def part(folder: Path, start: int, checkpoints: dict[int, float], *, secs: float = 10.0) -> Elapsed:
    """Plays a process resumed at `start`; `checkpoints` maps steps to seconds of training. Returns its sums."""
    clock = Clock()
    run_time = RunTime(folder, clock)
    run_time.resume(start)
    clock.now += secs
    for step, train_secs in checkpoints.items():
        run_time.commit(step, train_secs)
    return run_time.elapsed(*list(checkpoints.items())[-1])


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / PARTS).read_text().splitlines()]


def test_parts_add_up(tmp_path: Path) -> None:
    assert part(tmp_path, 0, {5: 1.0, 8: 2.5}) == Elapsed(8, 8, 1, 2.5, 10.0)
    assert part(tmp_path, 8, {10: 0.5}) == Elapsed(10, 10, 2, 3.0, 20.0)
    assert part(tmp_path, 10, {15: 4.0, 30: 7.0}, secs=5.0) == Elapsed(30, 30, 3, 10.0, 25.0)
    assert [line["step"] for line in lines(tmp_path)] == [5, 8, 10, 15, 30]


def test_what_a_killed_part_did_past_its_checkpoint_is_not_counted(tmp_path: Path) -> None:
    part(tmp_path, 0, {5: 1.0, 8: 2.5})
    assert part(tmp_path, 5, {10: 4.0}) == Elapsed(10, 10, 2, 5.0, 20.0)
    assert [line["step"] for line in lines(tmp_path)] == [5, 10]


def test_a_run_that_starts_anew_has_no_time_behind_it(tmp_path: Path) -> None:
    part(tmp_path, 0, {5: 1.0})
    assert part(tmp_path, 0, {6: 2.0}) == Elapsed(6, 6, 1, 2.0, 10.0)
    assert [line["step"] for line in lines(tmp_path)] == [6]


def test_a_part_without_a_step_is_none(tmp_path: Path) -> None:
    part(tmp_path, 0, {5: 1.0})
    assert part(tmp_path, 5, {5: 0.0}) == Elapsed(5, 5, 1, 1.0, 20.0)


@pytest.mark.parametrize("cut", [1, 2, 30])
def test_a_line_that_a_kill_cut_short_goes(tmp_path: Path, cut: int) -> None:
    part(tmp_path, 0, {5: 1.0, 8: 2.5})
    path = tmp_path / PARTS
    path.write_bytes(path.read_bytes()[:-cut])
    found = part(tmp_path, 5, {9: 4.0})
    assert found == Elapsed(9, 9, 2, 5.0, 20.0)
    assert [line["step"] for line in lines(tmp_path)] == [5, 9]


def test_steps_of_a_folder_without_times_are_not_timed(tmp_path: Path) -> None:
    assert RunTime(tmp_path).resume(40) == 40
    assert not (tmp_path / PARTS).exists()
    assert part(tmp_path, 40, {50: 2.0}) == Elapsed(50, 10, 1, 2.0, 10.0)
    assert RunTime(tmp_path).resume(50) == 40
    assert part(tmp_path, 50, {60: 3.0}) == Elapsed(60, 20, 2, 5.0, 20.0)


def test_a_result_has_the_sums_and_the_rate_over_all_parts() -> None:
    assert Elapsed(30, 30, 3, 10.0, 25.0).result(100) == {"train_secs": 10.0, "parts": 3, "examples_per_sec": 300.0}
    assert Elapsed(30, 20, 2, 10.0, 25.0).result(100) == {
        "train_secs": 10.0, "parts": 2, "examples_per_sec": 200.0, "timed_steps": 20,
    }  # fmt: skip
    assert Elapsed(0, 0, 0, 0.0, 1.0).result(100)["examples_per_sec"] == 0


GOOD = {"step": 5, "timed_steps": 5, "parts": 1, "train_secs": 1.0, "total_secs": 2.0}


@pytest.mark.parametrize(
    "damage",
    [
        {"train_secs": float("nan")}, {"train_secs": float("inf")}, {"total_secs": -1.0}, {"parts": 10**400},
        {"train_secs": 10**400}, {"timed_steps": 6}, {"step": None}, {"step": "many"}, {"step": -5},
    ],
)  # fmt: skip
def test_a_line_that_no_run_writes_goes(tmp_path: Path, damage: dict[str, Any]) -> None:
    (tmp_path / PARTS).write_text(f"{json.dumps(GOOD)}\n{json.dumps(GOOD | damage)}\n[1]\n" + "[" * 10**5)
    assert RunTime(tmp_path).resume(9) == 4
    assert lines(tmp_path) == [GOOD]


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / PARTS)
    with pytest.raises(RunError, match=r"parts\.jsonl cannot be read: it is no regular file\."):
        RunTime(tmp_path).resume(5)


def test_a_full_disk_is_one_error(tmp_path: Path) -> None:
    (tmp_path / PARTS).symlink_to("/dev/full")
    with pytest.raises(DiskError, match=r"parts\.jsonl cannot be written: No space left on device\.$"):
        RunTime(tmp_path).commit(5, 1.0)
