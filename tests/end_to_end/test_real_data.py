"""Training on the published files reaches the expected accuracy."""

import json
import pathlib
import re
from typing import Any

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.thorough
@pytest.mark.usefixtures("real_data")
def test_the_softmax_recipe_prints_ten_lines_and_its_accuracy(command: Any) -> None:
    done = command("train", f"--flagfile={ROOT / 'recipes' / 'softmax_cifar10.flags'}", "--run_dir=run")
    steps = re.findall(r"^Step (\d+): training accuracy 0\.\d{4}$", done.stdout, re.MULTILINE)
    assert [int(step) for step in steps] == list(range(0, 1000, 100))
    (accuracy,) = re.findall(r"test accuracy (0\.\d{4})", done.stdout)
    assert 0.20 < float(accuracy) < 0.33  # after a thousand large steps; varies by a point or two


@pytest.mark.thorough
@pytest.mark.usefixtures("real_data")
def test_softmax_learns_cifar10_with_the_defaults(command: Any) -> None:
    done = command("train", "--model=softmax", "--dataset=cifar10", "--epochs=3", "--json", "--run_dir=run")
    assert json.loads(done.stdout)["test"]["accuracy"] > 0.37


@pytest.mark.thorough
@pytest.mark.usefixtures("real_data")
def test_the_mlp_learns_mnist(command: Any) -> None:
    flags = (f"--flagfile={ROOT / 'recipes' / 'mlp_mnist.flags'}", "--epochs=4", "--json", "--run_dir=run")
    assert json.loads(command("train", *flags).stdout)["test"]["accuracy"] > 0.95
