"""A run's folder: one process at a time, no change to the user's files, no files left by a failed start."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from tfcore.errors import ConfigError, RunError
from tfcore.training.run_folder import RunFolder, new_folder, read_config

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys
from pathlib import Path
from tfcore.training.run_folder import RunFolder
with RunFolder(Path(sys.argv[1])) as folder:
    folder.write_config("--seed=1")
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holding_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Starts another process that holds the folder until its input ends."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process


def entries(path: Path) -> list[str]:
    return sorted(entry.relative_to(path).as_posix() for entry in path.rglob("*"))


def test_a_folder_in_use_is_refused_and_free_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with holding_process(path) as process:
        with pytest.raises(RunError, match="is in use by another process"), RunFolder(path):
            pass
        process.communicate("")
        assert process.returncode == 0
    with RunFolder(path) as folder:
        assert read_config(folder.path) == "--seed=1"


def test_the_lock_of_a_killed_process_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with holding_process(path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    with RunFolder(path) as folder:
        assert folder.is_started


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(RunError, match=r"holds files but no run .* Name another --run_dir"), RunFolder(tmp_path):
        pass
    assert entries(tmp_path) == ["thesis.tex"]
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_what_a_start_left_that_was_killed_in_writing_its_configuration_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".unfinished-config.flags").write_text("--mod")
    with RunFolder(tmp_path) as folder:
        assert not folder.is_started
        folder.write_config("--seed=1\n")
    assert set(entries(tmp_path)) - {".lock"} == {"config.flags"}


@pytest.mark.parametrize("below", ["file", "file/run", "file/deep/run"])
def test_a_place_that_is_or_lies_below_a_file_is_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match="cannot be written") as caught, RunFolder(tmp_path / below):
        pass
    assert "\n" not in str(caught.value)
    assert entries(tmp_path) == ["file"]


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"`run_dir` must be UTF-8 text"):
        RunFolder(tmp_path / "caf\udce9")
    assert entries(tmp_path) == []


def test_what_a_failing_start_made_is_gone_again(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="bad data"), RunFolder(tmp_path / "runs" / "deep" / "run"):
        raise ValueError("bad data")
    assert entries(tmp_path) == []


def test_what_was_there_before_a_failing_start_stays(tmp_path: Path) -> None:
    (tmp_path / "runs" / "empty").mkdir(parents=True)
    for path in (tmp_path / "runs" / "empty", tmp_path / "runs" / "new"):
        with pytest.raises(ValueError, match="bad data"), RunFolder(path):
            raise ValueError("bad data")
    assert entries(tmp_path) == ["runs", "runs/empty"]


def test_a_start_that_was_killed_over_its_configuration_is_no_obstacle(tmp_path: Path) -> None:
    for name in (".lock", ".unfinished-config.flags"):
        (tmp_path / name).write_text("half")
    with RunFolder(tmp_path):
        pass
    assert entries(tmp_path) == []


def test_a_folder_that_vanished_does_not_hide_why_the_run_ended(tmp_path: Path) -> None:
    def lose() -> None:
        with RunFolder(tmp_path / "run") as folder:
            shutil.rmtree(folder.path)
            raise ValueError("bad data")

    with pytest.raises(ValueError, match="bad data"):
        lose()
    assert entries(tmp_path) == []


def test_a_started_run_stays_whatever_happens_then(tmp_path: Path) -> None:
    def failing_later() -> None:
        with RunFolder(tmp_path / "run") as folder:
            folder.write_config("--seed=1\n")
            raise ValueError("later")

    with pytest.raises(ValueError, match="later"):
        failing_later()
    assert (tmp_path / "run" / "config.flags").read_text() == "--seed=1\n"


def test_another_run_in_the_same_parent_stays(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "runs" / "mine"):
        (tmp_path / "runs" / "other").mkdir()
    assert entries(tmp_path) == ["runs", "runs/other"]


def test_config_and_result_come_back(tmp_path: Path) -> None:
    result = {"status": "finished", "steps": 10, "test": {"loss": 0.1, "accuracy": 1 / 3}}
    with RunFolder(tmp_path / "run") as folder:
        assert not folder.is_started
        assert folder.read_result() == {}
        folder.write_config("--data_dir=/größe\n")
        folder.write_result(result)
        assert folder.is_started
    with RunFolder(tmp_path / "run") as folder:
        assert read_config(folder.path) == "--data_dir=/größe\n"
        assert folder.read_result() == result
    assert set(entries(tmp_path / "run")) - {".lock"} == {"config.flags", "result.json"}


def test_a_later_result_replaces_the_earlier(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run") as folder:
        folder.write_config("")
        folder.write_result({"status": "interrupted"})
        folder.write_result({"status": "finished"})
        assert folder.read_result() == {"status": "finished"}


@pytest.mark.parametrize(
    "damage", [b"", b'{"status": "fin', b"\xff\xfe", b"[]", b"null", b"[" * 10**5, bytes(2**24 + 1)], ids=len
)
def test_a_damaged_result_is_reported_with_what_to_do(tmp_path: Path, damage: bytes) -> None:
    with RunFolder(tmp_path / "run") as folder:
        folder.write_config("")
        (folder.path / "result.json").write_bytes(damage)
        with pytest.raises(RunError, match=r"result\.json cannot be read: .* Delete it") as caught:
            folder.read_result()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "result.json")
    make(tmp_path / "config.flags")
    with pytest.raises(RunError, match=r"result\.json cannot be read: it is no regular file\. Delete it"):
        RunFolder(tmp_path).read_result()
    with pytest.raises(RunError, match=r"is not a run folder: it has no readable config\.flags"):
        read_config(tmp_path)


def test_a_result_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run") as folder:
        folder.write_config("")
        (folder.path / "result.json").mkdir()
        with pytest.raises(RunError, match=r"result\.json cannot be written"):
            folder.write_result({})


@pytest.mark.parametrize("text", [None, b"\xff\xfe\xff"])
def test_a_folder_without_a_readable_config_is_no_run(tmp_path: Path, text: bytes | None) -> None:
    if text is not None:
        (tmp_path / "config.flags").write_bytes(text)
    with pytest.raises(RunError, match=r"is not a run folder: it has no readable config\.flags"):
        read_config(tmp_path)


def test_new_folders_are_named_by_time_and_do_not_collide(tmp_path: Path) -> None:
    now = datetime(2026, 1, 31, 9, 59, 59)
    names = []
    for _ in range(3):
        path = new_folder(tmp_path, "mlp-mnist", now)
        path.mkdir()
        names.append(path.name)
    stem = "20260131-095959-mlp-mnist"
    assert names == [stem, f"{stem}-2", f"{stem}-3"]
