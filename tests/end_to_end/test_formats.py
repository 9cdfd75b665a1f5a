"""Data sets in the formats of others, through the commands: each trains as the same pictures in memory do."""

import io
import json
import pathlib
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support import shard_files

TRAIN, TEST = shard_files.some(24), shard_files.some(8, first=100)
FLAGS = ("--model=softmax", "--batch_size=8", "--augment=flip", "--steps=2")


def pixels(pairs: shard_files.Pictures) -> np.ndarray:
    """The decoded pictures, uint8 [N, H, W, C]."""
    return np.stack([np.asarray(Image.open(io.BytesIO(picture))) for picture, _ in pairs])


def labels(pairs: shard_files.Pictures) -> np.ndarray:
    return np.array([label for _, label in pairs])


def result(run: str) -> dict[str, Any]:
    """The test scores of a run."""
    return json.loads(pathlib.Path(run, "result.json").read_text())["test"]


@pytest.fixture(scope="module")
def in_memory() -> dict[str, Any]:
    """The scores of the run on arrays; the first test adds them."""
    return {}


@pytest.mark.sampled(6)
@pytest.mark.parametrize("form", shard_files.READERS)
def test_a_format_trains_as_the_same_pixels_in_memory(call: Any, in_memory: dict[str, Any], form: str) -> None:
    if not in_memory:
        arrays = {"x_train": pixels(TRAIN), "y_train": labels(TRAIN), "x_test": pixels(TEST), "y_test": labels(TEST)}
        np.savez("set.npz", **arrays)
        call("train", "--dataset=npz:set.npz", *FLAGS, "--run_dir=memory")
        in_memory.update(result("memory"))
    shard_files.write(form, pathlib.Path("set"), {"train": TRAIN, "test": TEST})
    call("train", f"--dataset={shard_files.READERS[form]}:set", *FLAGS, "--run_dir=run")
    assert result("run") == in_memory
