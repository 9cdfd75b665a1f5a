"""`tfcore benchmark --try_all`: every setting is measured in its own process, and the rule's choice is marked."""

import io
import json
import pathlib

import numpy as np
import pytest
from rich.console import Console

from tfcore import machine
from tfcore.bench.try_all import Comparison, Setting, Tried
from tfcore.cli.main import main
from tfcore.config import RunConfig

FAST, SLOW = Setting("float32", "on", "one"), Setting("float32", "off", "all")
FAILED = Setting("bfloat16", "off", "all")
TRIED = [Tried(FAST, 200.0), Tried(SLOW, 150.0), Tried(FAILED, 0.0, "it does not compute in bfloat16")]


def test_the_rules_choice_is_compared_with_the_best() -> None:
    assert Comparison(TRIED, FAST).share_of_best == 1
    assert Comparison(TRIED, SLOW).share_of_best == 0.75
    figures = Comparison(TRIED, SLOW).figures()
    assert figures["chosen"] == {"precision": "float32", "xla": "off", "threads": "all"}
    assert [row["examples_per_sec"] for row in figures["tried"]] == [200.0, 150.0, 0.0]


def test_the_table_marks_the_choice_and_says_what_failed() -> None:
    console = Console(file=io.StringIO(), width=120)
    console.print(Comparison(TRIED, SLOW).table())
    lines = console.file.getvalue().splitlines()
    (chosen,) = (line for line in lines if "chosen by the rule" in line)
    assert "off" in chosen
    assert "75%" in chosen
    assert any("it does not compute in bfloat16" in line for line in lines)


@pytest.mark.parametrize("threads", ["one", "all"])
def test_a_setting_is_what_a_run_under_it_has(threads: str) -> None:
    setting = Setting("bfloat16", "on", threads)
    config = setting.applied_to(RunConfig())
    figures = {name: getattr(config, name) for name in ("precision", "xla", "intra_op_threads", "inter_op_threads")}
    assert Setting.of(figures) == (setting if machine.processors() > 1 else Setting("bfloat16", "on", "all"))


def test_threads_that_tensorflow_chooses_are_all() -> None:
    figures = {"precision": "float32", "xla": "off", "intra_op_threads": 0, "inter_op_threads": 0}
    assert Setting.of(figures) == SLOW


def test_it_measures_training_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "--try_all", "--figures=evaluation"]) == 2
    assert "--try_all measures training alone: leave out --figures" in capsys.readouterr().err


OWN = """
import tensorflow as tf
from tfcore.layers import Flatten, Linear, Sequential

class Tall(Sequential):
    def __init__(self, image_shape, classes, *, pixels, seed):
        rows = image_shape[0] * image_shape[1] * image_shape[2]
        super().__init__({
            "pixels": pixels, "flatten": Flatten(),
            "hidden": Linear(rows, 20, name="hidden", seed=seed),
            "logits": Linear(20, classes, name="logits", seed=seed),
        })
"""


@pytest.mark.thorough
def test_every_setting_of_a_network_of_ones_own_is_tried(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "processors", lambda: 1)  # half of the settings
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    images, labels = np.random.default_rng(0).integers(0, 256, (250, 8, 8), np.uint8), np.arange(250) % 10
    arrays = {"x_train": images[50:], "y_train": labels[50:], "x_test": images[:50], "y_test": labels[:50]}
    np.savez(tmp_path / "data.npz", **arrays)
    flags = [f"--dataset=npz:{tmp_path / 'data.npz'}", "--batch_size=50", "--secs=0.02", "--json"]
    assert main(["benchmark", "--try_all", f"--model={tmp_path / 'own.py'}:Tall", *flags]) == 0
    answer = capsys.readouterr()
    found = json.loads(answer.out.splitlines()[-1])
    settings = {(row["precision"], row["xla"], row["threads"]) for row in found["tried"]}
    assert len(settings) == len(found["tried"]) == 4
    assert all(row["examples_per_sec"] > 0 and not row["error"] for row in found["tried"])
    assert 0 < found["share_of_best"] <= 1
    assert found["chosen"]["precision"] == "float32"  # two small products
    assert "chosen by the rule" in answer.err
