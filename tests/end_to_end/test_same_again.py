"""The same command gives the same bytes with fast paths on, and trains with deterministic ops only."""

import pathlib
from typing import Any

import pytest

from tools.reliability import run_differences

pytestmark = pytest.mark.thorough

FLAGS = {
    "cnn": (
        "--model=mnist_cnn", "--filters=4,8", "--hidden=64", "--dropout=0.2,0.4", "--average_decay=0.9",
        "--train_examples=3000", "--test_examples=300", "--patience=100",
    ),
    "mlp": ("--model=mlp", "--hidden=32,16", "--xla=on", "--optimizer=nadam", "--clip_norm=2"),
}  # fmt: skip


@pytest.mark.parametrize("name", FLAGS)
def test_the_same_command_gives_the_same_bytes(command: Any, tmp_path: pathlib.Path, name: str) -> None:
    for run in ("one", "other"):
        command("train", *FLAGS[name], "--batch_size=8", "--steps=300", f"--run_dir={run}")
    assert run_differences.all_differences(tmp_path / "one", tmp_path / "other") == []


def test_pictures_in_files_train_where_ops_must_be_deterministic(command: Any, tmp_path: pathlib.Path) -> None:
    command("convert", "--dataset=shapes", "--train_examples=200", "--test_examples=50", "--format=png", "--out=p")
    flags = ("--dataset=folder:p", *FLAGS["cnn"][:4], "--batch_size=20", "--steps=30", "--deterministic")
    for run in ("one", "other"):
        command("train", *flags, f"--run_dir={run}")
    assert run_differences.all_differences(tmp_path / "one", tmp_path / "other") == []
    assert "--deterministic=true" in (tmp_path / "one" / "config.flags").read_text()
