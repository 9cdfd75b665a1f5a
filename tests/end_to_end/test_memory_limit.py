"""A data set of twenty times a memory limit is trained on, and the peak stays below the limit."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support import record_sets

from tfcore.data.record_manifest import shard_names

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[2]
LIMIT_BYTES = 1 << 30
SIZE, COPIES, RECORDS = 224, 143, 1000
STEPS, BATCH_SIZE = 1000, 16
SMALL_PARENT = """
import pathlib, resource, subprocess, sys
status = subprocess.run(sys.argv[1:]).returncode
pathlib.Path("peak.txt").write_text(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(status)
"""  # a process starts with the peak of the one that starts it, which of the tests is large


def write(call: Any, folder: Path) -> None:
    """Writes records of 1,000 JPEGs, and names their shard 143 times in the manifest."""
    draw = np.random.default_rng(0)
    for part, count in (("train", RECORDS), ("test", 20)):
        for label in ("cat", "dog"):
            place = folder / "pictures" / part / label
            place.mkdir(parents=True)
            small = Image.fromarray(draw.integers(0, 256, (8, 8, 3), np.uint8))
            small.resize((SIZE, SIZE)).save(place / "0.jpg", quality=50)
            for number in range(1, count // 2):
                os.link(place / "0.jpg", place / f"{number}.jpg")
    call("convert", "--dataset=folder:pictures", "--format=records", "--shards=1", "--out=made")
    names = shard_names("train", COPIES)
    for name in names:
        os.link(folder / "made" / "train-00000-of-00001.arrayrecord", folder / "made" / name)
    labels = folder / "made" / "train-labels.npy"
    np.save(labels, np.tile(np.load(labels), COPIES))

    def copy(found: record_sets.Json) -> None:
        train = found["splits"]["train"]
        train["shards"] = [{**train["shards"][0], "file": name} for name in names]
        train["label_counts"] = [COPIES * count for count in train["label_counts"]]
        train["labels"]["records"] *= COPIES

    record_sets.change_manifest(folder / "made", copy)
    record_sets.adopt(folder / "made", lambda found: found["splits"]["train"]["labels"])


def run(folder: Path, *command: str) -> tuple[int, str, int]:
    """Runs a command that may write to so much memory, stacks included; returns status, output and peak in bytes."""
    limits = f'ulimit -d {LIMIT_BYTES >> 10} && ulimit -s 1024 && exec "$@"'
    with (folder / "output.txt").open("wb") as output:
        status = subprocess.run(
            [sys.executable, "-c", SMALL_PARENT, "sh", "-c", limits, "sh", sys.executable, *command],
            cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=output, stderr=output, check=False,
        ).returncode  # fmt: skip
    return status, (folder / "output.txt").read_text(), int((folder / "peak.txt").read_text()) * 1024


def test_a_data_set_of_twenty_times_the_memory_limit_trains(call: Any, tmp_path: Path) -> None:
    """It takes 21 GB decoded, of which 2.4 are read, more than twice the limit."""
    assert COPIES * RECORDS * SIZE * SIZE * 3 > 20 * LIMIT_BYTES < 20 * STEPS * BATCH_SIZE * SIZE * SIZE * 3 / 2
    write(call, tmp_path)
    status, output, _ = run(tmp_path, "-c", f"bytearray({LIMIT_BYTES})")
    assert (status, output.splitlines()[-1]) == (1, "MemoryError")
    sizes = (f"--batch_size={BATCH_SIZE}", f"--eval_batch_size={BATCH_SIZE}", f"--steps={STEPS}")
    split = ("--validation=200", "--validation_split=hashed", "--seed=1")
    status, output, peak_bytes = run(
        tmp_path, "-m", "tfcore", "train", "--model=softmax", "--dataset=records:made", *sizes, *split, "--run_dir=run"
    )
    assert status == 0, output
    assert f"finished after {STEPS:,} steps" in output
    assert peak_bytes < LIMIT_BYTES
    print(f"peak memory: {peak_bytes / 1e6:.0f} MB")
