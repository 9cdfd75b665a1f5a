"""A run on records has the bits of a run on what was converted, from memory or not, resumed or not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfcore.data.sources import records
from tools.reliability.run_differences import differences

ROOT = Path(__file__).parents[2]
DATA = "--dataset=npz:data.npz"
TRAIN = (
    "--model=softmax", "--batch_size=30", "--steps=12", "--pixels=standardized",
    "--intra_op_threads=1", "--inter_op_threads=1",
)  # fmt: skip


FINGERPRINT = ["variables/about/.ATTRIBUTES/VARIABLE_VALUE"]  # the only difference between two data sets


@pytest.fixture(autouse=True)
def data(tmp_path: Path) -> None:
    """Writes random pictures of four classes."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 200), ("test", 40)):
        arrays[f"x_{part}"] = rng.integers(0, 256, (count, 12, 12, 3), np.uint8)
        arrays[f"y_{part}"] = np.arange(count) % 4
    np.savez(tmp_path / "data.npz", **arrays)


def test_pixels_from_memory_from_files_and_resumed(call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call("convert", DATA, "--format=records", "--shards=3", "--out=made")
    call("train", DATA, *TRAIN, "--run_dir=whole")
    call("train", "--dataset=records:made", *TRAIN, "--run_dir=memory")
    assert differences(tmp_path / "whole", tmp_path / "memory") == FINGERPRINT
    call("train", "--dataset=records:made", *TRAIN, "--run_dir=cut", "--stop_after_steps=5")
    monkeypatch.setattr(records, "IN_MEMORY_BYTES", 0)
    done = call("train", "--run_dir=cut")
    assert "fingerprint" not in done.stdout + done.stderr
    assert differences(tmp_path / "memory", tmp_path / "cut") == []


def test_files_of_pictures(call: Any, tmp_path: Path) -> None:
    call("convert", DATA, "--format=png", "--out=pictures")
    call("convert", "--dataset=folder:pictures", "--format=records", "--shards=3", "--out=made")
    for name, dataset in {"whole": "folder:pictures", "files": "records:made"}.items():
        call("train", f"--dataset={dataset}", "--image_size=9", *TRAIN, f"--run_dir={name}")
    assert differences(tmp_path / "whole", tmp_path / "files") == FINGERPRINT


def test_a_damaged_record_ends_the_run_in_one_line(call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "IN_MEMORY_BYTES", 0)
    call("convert", DATA, "--format=records", "--shards=1", "--out=made")
    shard = tmp_path / "made" / "train-00000-of-00001.arrayrecord"
    data = np.fromfile(shard, np.uint8)
    data[len(data) // 3] ^= 1
    data.tofile(shard)
    done = call("train", "--dataset=records:made", *TRAIN, "--pixels=unit", "--run_dir=run", status=1)
    assert done.stderr.count("\n") == 1
    assert "made/train-00000-of-00001.arrayrecord, record " in done.stderr
    assert "is damaged: its checksum is wrong" in done.stderr


@pytest.mark.thorough
def test_a_killed_command_goes_on(command: Any, tmp_path: Path) -> None:
    flags = (DATA, "--format=records", "--shards=200")
    arguments = [sys.executable, "-m", "tfcore", "convert", *flags, "--out=made"]
    with subprocess.Popen(arguments, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
        while len(list(tmp_path.glob("made/train-*"))) < 5:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    failed = command("train", "--dataset=records:made", *TRAIN, status=1)
    assert "made is an unfinished conversion" in failed.stderr
    failed = command("convert", *flags[:2], "--shards=3", "--out=made", status=1)
    assert "this one has --shards=3 (there: 200)" in failed.stderr
    command("convert", *flags, "--out=made")
    command("convert", *flags, "--out=whole")
    ours, theirs = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("made", "whole")
    )
    assert ours == theirs
