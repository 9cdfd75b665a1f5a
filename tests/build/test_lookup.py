"""User files: each is run once, edits count for the next run, and equal file names do not clash."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest

import tfcore
from tfcore.build import lookup
from tfcore.cli.main import main
from tfcore.config import RunConfig
from tfcore.errors import ConfigError

EVERYTHING = """
import pathlib
import tensorflow as tf
from tfcore import losses
from tfcore.data.sources import shapes
from tfcore.layers import Flatten, Linear
from tfcore.optimizers import Momentum

with pathlib.Path("runs_of_the_file").open("a") as file:
    file.write("x")

class Net(tf.Module):
    def __init__(self, image_shape, classes, *, pixels, seed):
        super().__init__(name="net")
        self.pixels, self.flatten = pixels, Flatten()
        self.logits = Linear(image_shape[0] * image_shape[1] * image_shape[2], classes, name="logits", seed=seed)

    def __call__(self, x, *, training, key=None):
        return self.logits(self.flatten(self.pixels(x, training=training), training=training), training=training)

class Rule(Momentum):
    def __init__(self, parameters, learning_rate=0.125, *, momentum=0.5, **chain):
        super().__init__(parameters, learning_rate, momentum=momentum, **chain)

def loss(logits, labels):
    assert isinstance(Net, type)
    return losses.cross_entropy(logits, labels)

def data(folder):
    return shapes.shapes(folder)
"""
WITH_STRINGS = """
from __future__ import annotations
import dataclasses
from typing import ClassVar

VALUE = {value}

@dataclasses.dataclass
class Settings:
    shared: ClassVar[int] = VALUE
    own: int = VALUE
"""


def executions() -> int:
    return len(Path("runs_of_the_file").read_text())


@pytest.mark.thorough
def test_a_whole_run_runs_a_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(EVERYTHING)
    flags = ["--model=own.py:Net", "--loss=own.py:loss", "--optimizer=own.py:Rule", "--dataset=own.py:data"]
    train = ["train", *flags, "--train_examples=200", "--test_examples=50", "--run_dir=run", "--quiet"]
    assert main([*train, "--steps=3", "--schedule=constant"]) == 0
    assert executions() == 1
    config = RunConfig.from_flags(Path("run/config.flags").read_text())
    assert config.learning_rate == 0.125
    assert isinstance(tfcore.load("run").module, lookup.load(f"{tmp_path / 'own.py'}:Net"))
    assert executions() == 1


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / name / "same_stem.py" for name in ("a", "b")]
    for value, path in enumerate(paths):
        path.parent.mkdir()
        path.write_text(WITH_STRINGS.format(value=value))
    return paths


def test_two_files_of_one_stem_are_two_modules(two: list[Path]) -> None:
    first, second = (lookup.load(f"{path}:Settings") for path in two)
    assert (first.shared, second.shared) == (0, 1)
    assert first.__module__ != second.__module__
    assert "same_stem" not in sys.modules
    for cls, path in zip((first, second), two, strict=True):
        assert Path(sys.modules[cls.__module__].__file__ or "") == path.resolve()
        assert [item.name for item in dataclasses.fields(cls)] == ["own"]


def test_an_object_is_the_same_however_its_path_is_written(two: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    found = lookup.load(f"{two[0]}:Settings")
    monkeypatch.chdir(two[0].parent)
    assert lookup.load("same_stem.py:Settings") is found
    assert lookup.find("../a/same_stem.py:Settings", {}) is found


def test_an_edit_counts_for_the_next_run_and_not_within_one(two: list[Path]) -> None:
    name = f"{two[0]}:Settings"

    def start_a_run() -> Any:
        lookup.check("model", name, {})
        return lookup.load(name)

    before = start_a_run()
    assert start_a_run() is before
    two[0].write_text(WITH_STRINGS.format(value=7))  # as long as before, and most likely within the same second
    assert lookup.load(name) is before
    after = start_a_run()
    assert (before.shared, after.shared) == (0, 7)
    assert lookup.load(name) is after


def test_a_file_that_fails_is_run_again_once_it_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "mended.py"
    path.write_text("VALUE = nothing\n")
    modules = set(sys.modules)
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"mended\.py does not run: NameError"):
            lookup.load(f"{path}:f")
    assert set(sys.modules) == modules
    path.write_text("def f():\n    return 1\n")
    assert lookup.load(f"{path}:f")() == 1


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.py cannot be read: No such file or directory\.$"):
        lookup.load(f"{tmp_path / 'nowhere.py'}:f")
