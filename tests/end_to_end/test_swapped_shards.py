"""A shard that was swapped for another between two starts is told when the run is resumed."""

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support import shard_files

TRAIN = ("--model=softmax", "--batch_size=4", "--steps=6", "--validation=0", "--noreport", "--run_dir=run")


def black() -> bytes:
    """A PNG of the size of the others, in fewer bytes."""
    file = io.BytesIO()
    Image.new("RGB", (4, 5)).save(file, "png")
    return file.getvalue()


@pytest.mark.sampled(3)
@pytest.mark.parametrize("form", shard_files.READERS)
def test_a_swapped_shard_is_told(form: str, call: Any, tmp_path: Path) -> None:
    splits = {"train": shard_files.some(12), "test": shard_files.some(4, 50)}
    shard_files.write(form, tmp_path / "data", splits)
    dataset = f"--dataset={shard_files.READERS[form]}:data"
    call("train", dataset, *TRAIN, "--stop_after_steps=2")
    splits["train"][0] = (black(), 0)
    shard_files.write(form, tmp_path / "data", splits)
    resumed = call("train", "--run_dir=run")
    assert "fingerprint of the training data" in resumed.stdout
    assert "later steps use other examples" in resumed.stdout
