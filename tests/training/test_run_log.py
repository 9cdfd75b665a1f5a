"""The two logs: all that is written can be read, and trimming removes later entries without forks."""

import hashlib
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.compat.proto.event_pb2 import Event as EventProto
from tensorboard.compat.proto.summary_pb2 import Summary

from tfcore.errors import DiskError
from tfcore.training import run_log, summaries
from tfcore.training.run_log import SPLITS, RunLog, trim

Point = tuple[str, int, float]  # tag, step, value


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def event_files(folder: Path, split: str) -> list[Path]:
    return sorted((folder / split).glob("*tfevents*"))


def points(folder: Path, split: str) -> list[Point]:
    """Every scalar in a split's event files, in the order in which TensorBoard reads them."""
    found = []
    for path in event_files(folder, split):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "scalars":
                    found.append((value.tag, event.step, float(tf.make_ndarray(value.tensor))))
    return found


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def write(folder: Path, steps: range, *, test: bool = False) -> None:
    """Logs one part of a run: a training point each step, a validation each tenth, the test at the end."""
    log = RunLog(folder)
    for step in steps:
        log.write(step, "train", {"loss": step / 2, "accuracy": 0.5})
        if step % 10 == 0:
            log.write(step, "validation", {"loss": step / 4})
    if test:
        log.write(steps[-1], "test", {"loss": 1.0})
    log.close()


def test_each_write_is_one_line(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    log.write(3, "train", {"loss": 0.5, "accuracy": 0.25})
    log.write(3, "validation", {"loss": 0.75})
    log.close()
    assert lines(tmp_path) == [
        {"step": 3, "split": "train", "loss": 0.5, "accuracy": 0.25},
        {"step": 3, "split": "validation", "loss": 0.75},
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_null_in_json(tmp_path: Path, value: float) -> None:
    log = RunLog(tmp_path)
    log.write(1, "train", {"loss": value})
    log.close()
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1, "split": "train", "loss": null}\n'
    assert str(points(tmp_path, "train")[0][2]) == str(value)


def test_each_split_has_its_own_curves(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    log.write(1, "train", {"loss": 0.5, "learning_rate": 0.25})
    log.write(2, "train", {"loss": 0.125})
    log.write(2, "validation", {"loss": 4.0})
    log.write(2, "test", {"accuracy": 1.0})
    log.close()
    assert points(tmp_path, "train") == [("loss", 1, 0.5), ("learning_rate", 1, 0.25), ("loss", 2, 0.125)]
    assert points(tmp_path, "validation") == [("loss", 2, 4.0)]
    assert points(tmp_path, "test") == [("accuracy", 2, 1.0)]


def test_a_split_without_numbers_has_no_folder(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    log.write(1, "train", {"loss": 0.5})
    log.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.jsonl", "train"]


def test_what_only_tensorboard_shows_is_in_no_metrics_file(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    log.add(0, "train", [summaries.text("configuration", "    --seed=1\n")])
    log.describe([summaries.hparams("NAME", {"seed": 1})])
    log.graph(tf.Graph().as_graph_def())
    log.close()
    events = [event for path in event_files(tmp_path, "train") for event in EventFileLoader(str(path)).Load()]
    found = {value.tag: value for event in events for value in event.summary.value}
    assert tf.make_ndarray(found["configuration"].tensor).item() == b"    --seed=1\n"
    assert any("graph" in tag for tag in found)
    assert (tmp_path / "metrics.jsonl").read_bytes() == b""
    assert len(event_files(tmp_path, ".")) == 1
    trim(tmp_path, -1)
    left = [event for path in event_files(tmp_path, ".") for event in EventFileLoader(str(path)).Load()]
    assert [event.WhichOneof("what") for event in left] == ["file_version"]


def test_what_is_older_than_some_seconds_is_flushed_by_the_next_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(run_log.time, "monotonic", lambda: now)
    log = RunLog(tmp_path)
    for step, now in enumerate((100.0, 109.0, 111.0, 112.0), start=1):  # noqa: B007, what the clock tells
        log.write(step, "train", {"loss": 0.5})
    assert [step for _, step, _ in points(tmp_path, "train")] == [1, 2, 3]
    assert [line["step"] for line in lines(tmp_path)] == [1, 2, 3]
    log.close()


def test_event_files_sort_by_their_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for now in (7_000_000_009, 7_000_000_010, 7_100_000_000, 11_000_000_000):
        monkeypatch.setattr(run_log.time, "time_ns", lambda now=now: now)
        log = RunLog(tmp_path)
        log.write(now, "train", {"loss": 0.5})
        log.close()
    steps = [step for _, step, _ in points(tmp_path, "train")]
    assert steps == [7_000_000_009, 7_000_000_010, 7_100_000_000, 11_000_000_000]


def test_what_was_flushed_can_be_read(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    log.write(1, "train", {"loss": 0.5})
    log.flush()
    assert len(lines(tmp_path)) == len(points(tmp_path, "train")) == 1
    log.close()


@pytest.mark.parametrize("name", ["metrics.jsonl", "train", "validation"])
def test_a_log_that_vanished_is_not_committed(tmp_path: Path, name: str) -> None:
    """Writing raises no error: the file is open, and only its name is deleted."""
    with RunLog(tmp_path) as log:
        log.write(1, "train", {"loss": 0.5})
        log.write(1, "validation", {"loss": 0.5})
        log.commit()
        gone = tmp_path / name
        gone = gone if gone.is_file() else event_files(tmp_path, name)[0]
        gone.unlink()
        log.write(2, "train", {"loss": 0.5})
        with pytest.raises(DiskError, match=f"{gone.name} cannot be written: No such file or directory"):
            log.commit()


def test_a_log_that_another_run_has_replaced_is_not_committed(tmp_path: Path) -> None:
    with RunLog(tmp_path) as log:
        log.write(1, "train", {"loss": 0.5})
        (tmp_path / "metrics.jsonl").unlink()
        (tmp_path / "metrics.jsonl").write_text("another's\n")
        with pytest.raises(DiskError, match="is no longer the file that this run writes to"):
            log.commit()


def test_a_disk_that_is_full_is_one_error_of_each_method(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    log = RunLog(tmp_path)
    log.write(1, "train", {"loss": 0.5})
    for method in (log.flush, log.close):
        with pytest.raises(DiskError, match=r"metrics\.jsonl cannot be written: No space left on device\.$"):
            method()
    assert points(tmp_path, "train") == [("loss", 1, 0.5)]  # closed nevertheless


def test_event_files_on_a_full_disk_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_log, "_new_event_file", lambda _: run_log._EventFile(Path("/dev/full")))
    log = RunLog(tmp_path)
    log.write(1, "train", {"loss": 0.5})
    with pytest.raises(DiskError, match=r"^/dev/full cannot be written: No space left on device\.$"):
        log.flush()
    log.close()  # what could not be written is dropped


def test_an_error_is_not_hidden_by_one_of_closing(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")

    def log_and_fail(error: Exception | None) -> None:
        with RunLog(tmp_path) as log:
            log.write(1, "train", {"loss": 0.5})
            if error:
                raise error

    with pytest.raises(KeyError):
        log_and_fail(KeyError("a mistake"))
    with pytest.raises(DiskError):
        log_and_fail(None)


def test_trimming_takes_back_what_lies_after_the_step_in_both_logs(tmp_path: Path) -> None:
    write(tmp_path, range(1, 31))
    trim(tmp_path, 15)
    assert [line["step"] for line in lines(tmp_path) if line["split"] == "train"] == list(range(1, 16))
    assert [line["step"] for line in lines(tmp_path) if line["split"] == "validation"] == [10]
    assert [point[1] for point in points(tmp_path, "train") if point[0] == "loss"] == list(range(1, 16))
    assert points(tmp_path, "validation") == [("loss", 10, 2.5)]


def test_trimming_takes_back_every_test_score(tmp_path: Path) -> None:
    write(tmp_path, range(1, 11), test=True)
    trim(tmp_path, 10)
    assert {line["split"] for line in lines(tmp_path)} == {"train", "validation"}
    assert points(tmp_path, "test") == []
    assert len(points(tmp_path, "train")) == 20


def test_trimming_to_before_the_start_leaves_nothing(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    log.add(0, "train", [summaries.text("configuration", "text")])
    log.close()
    write(tmp_path, range(1, 12))
    trim(tmp_path, -1)
    assert lines(tmp_path) == []
    for split in SPLITS:
        assert points(tmp_path, split) == []


def test_trimming_what_needs_no_trimming_changes_no_byte(tmp_path: Path) -> None:
    write(tmp_path, range(1, 12))
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    trim(tmp_path, 11)
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before


def large_event_file(folder: Path, records: int) -> Path:
    """Writes an event file with a record of 512 KiB for each step, all of equal size."""
    path = folder / "train" / "events.out.tfevents.1"
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for step in range(1, records + 1):
            summary = Summary(value=[summaries.text("page", "x" * (1 << 19))])
            writer.write(EventProto(step=step, summary=summary).SerializeToString())
    return path


@pytest.mark.parametrize("last_step", [0, 50, 99, 100])
def test_trimming_a_large_event_file_holds_one_record_at_a_time(tmp_path: Path, last_step: int) -> None:
    path = large_event_file(tmp_path, 100)
    data = path.read_bytes()
    record_bytes = len(data) // 100
    tracemalloc.start()
    trim(tmp_path, last_step)
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert record_bytes < most_bytes < 10 * record_bytes + (1 << 20) < len(data) / 5
    assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(data[: last_step * record_bytes]).digest()


def test_an_event_file_of_which_everything_stays_is_not_rewritten(tmp_path: Path) -> None:
    write(tmp_path, range(1, 12))
    (path,) = event_files(tmp_path, "train")
    before = path.stat()
    trim(tmp_path, 11)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    trim(tmp_path, 10)
    assert path.stat().st_ino != before.st_ino


def test_trimming_an_empty_folder_does_nothing(tmp_path: Path) -> None:
    trim(tmp_path, 5)
    assert files(tmp_path) == []


def test_trimming_leaves_no_scratch_files(tmp_path: Path) -> None:
    write(tmp_path, range(1, 31), test=True)
    before = files(tmp_path)
    trim(tmp_path, 15)
    assert files(tmp_path) == before


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_last_line_that_was_cut_short_goes(tmp_path: Path, cut: int) -> None:
    write(tmp_path, range(1, 6))
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    trim(tmp_path, 4)
    assert [line["step"] for line in lines(tmp_path)] == [1, 2, 3, 4]


def test_a_last_line_without_its_end_does_not_run_into_the_next(tmp_path: Path) -> None:
    write(tmp_path, range(1, 6))
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(path.read_bytes()[:-1])
    trim(tmp_path, 5)
    write(tmp_path, range(6, 8))
    assert [line["step"] for line in lines(tmp_path)] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("cut", [1, 4, 15, 60])
def test_a_last_record_that_was_cut_short_goes(tmp_path: Path, cut: int) -> None:
    write(tmp_path, range(1, 6))
    (path,) = event_files(tmp_path, "train")
    path.write_bytes(path.read_bytes()[:-cut])
    trim(tmp_path, 4)
    write(tmp_path, range(5, 8))
    assert [point[1] for point in points(tmp_path, "train") if point[0] == "loss"] == [1, 2, 3, 4, 5, 6, 7]


def test_an_event_file_that_was_never_written_to_is_no_obstacle(tmp_path: Path) -> None:
    write(tmp_path, range(1, 6))
    (path,) = event_files(tmp_path, "train")
    path.with_name("events.out.tfevents.1.host.1.0.v2").write_bytes(b"")
    trim(tmp_path, 3)
    assert [point[1] for point in points(tmp_path, "train") if point[0] == "loss"] == [1, 2, 3]


def test_there_is_no_fork_after_continuing_twice(tmp_path: Path) -> None:
    write(tmp_path, range(1, 26))
    trim(tmp_path, 20)
    write(tmp_path, range(21, 34))
    trim(tmp_path, 30)
    write(tmp_path, range(31, 41), test=True)
    assert len(event_files(tmp_path, "train")) == 3
    for tag in ("loss", "accuracy"):
        assert [step for name, step, _ in points(tmp_path, "train") if name == tag] == list(range(1, 41))
    assert [step for _, step, _ in points(tmp_path, "validation")] == [10, 20, 30, 40]
    assert [step for _, step, _ in points(tmp_path, "test")] == [40]
    assert [line["step"] for line in lines(tmp_path) if line["split"] == "train"] == list(range(1, 41))
