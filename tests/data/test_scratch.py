"""The scratch folder: one process at a time, and nothing is left behind."""

import subprocess
import sys
from pathlib import Path

import pytest

from tfcore.data.scratch import scratch_folder

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys
from pathlib import Path
from tfcore.data.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "half").touch()
    print("held", flush=True)
    sys.stdin.read()
"""


def start(data_dir: Path) -> "subprocess.Popen[str]":
    """A process that has a scratch folder, or waits for one, until its input ends."""
    command = [sys.executable, "-c", HOLDER, str(data_dir)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def test_it_is_made_and_goes_with_what_is_in_it(tmp_path: Path) -> None:
    with scratch_folder(tmp_path / "new" / "data") as folder:
        (folder / "half").touch()
        assert folder.parent == tmp_path / "new" / "data"
    assert list((tmp_path / "new" / "data").iterdir()) == []


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), scratch_folder(tmp_path):
        raise KeyError("a mistake")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_goes_and_the_users_files_stay(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with start(tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        process.kill()
    (left,) = tmp_path.glob(".scratch-*")
    with scratch_folder(tmp_path) as folder:
        assert not left.exists()
        assert folder.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_another_process_is_waited_for_and_its_files_are_let_alone(tmp_path: Path) -> None:
    with start(tmp_path) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with start(tmp_path) as second:
            assert second.stdin is not None
            assert second.stderr is not None
            assert second.stdout is not None
            second.stdin.close()  # lets it release the folder
            assert second.stderr.readline() == f"Waiting for another process that works in {tmp_path}.\n"
            assert len(list(tmp_path.glob(".scratch-*/half"))) == 1
            first.communicate("")
            assert second.stdout.read() == "held\n"
    assert (first.returncode, second.returncode) == (0, 0)
    assert list(tmp_path.iterdir()) == []
