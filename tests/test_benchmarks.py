"""The tables show the figures, the page shows the recorded ones, and a tiny round runs."""

import json
import math
import os
import pathlib
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import compare, inputs, looks
from benchmarks.peers import keras_models
from benchmarks.sides import CASES
from benchmarks.tables import Results, table
from tfcore.build.configuration import resolve, with_given
from tfcore.build.model import build_model, plan_model
from tfcore.cli import flags
from tfcore.config import RunConfig
from tfcore.data.dataset import Dataset, Split
from tfcore.losses import cross_entropy

MIB = 2**20
UNRECORDED = {"resnet20", "airbench94_500", "airbench94_1000", "wrn_16_4", "vit", "mobilenet"}  # newer than the record
SOFTMAX_RATES = {  # two rounds, the second on a machine half as fast
    "tfcore": (600.0, 300.0),
    "Keras fit": (100.0, 50.0),
    "Keras steps_per_execution": (200.0, 110.0),
    "PyTorch float32": (150.0, 75.0),
    "PyTorch bfloat16": (400.0, 200.0),
    "JAX epoch in scan": (300.0, 150.0),
}


def committed() -> dict[str, Any]:
    """The recorded figures."""
    return json.loads(compare.FIGURES.read_text(encoding="utf-8"))


def figures(name: str, rate: float) -> dict[str, Any]:
    """Made-up figures of one side."""
    return {
        "steps_per_sec": rate,
        "precision": "bfloat16" if "bfloat16" in name else "float32",
        "losses": [2.0, 1.5],
        "peak_memory_bytes": (500 + len(name)) * MIB,
        "import_memory_bytes": 100 * MIB,
    }


@pytest.fixture
def softmax() -> list[dict[str, dict[str, dict[str, Any]]]]:
    """Two rounds of one case in which compiled PyTorch did not run."""
    made = []
    for number in range(2):
        sides = {side: figures(side, rates[number]) for side, rates in SOFTMAX_RATES.items()}
        made.append({"softmax": {**sides, "PyTorch compiled": {"not_run": "there is no g++"}}})
    return made


def rows(text: str, *cells: str) -> list[str]:
    """The rows of a table that begin with `cells`."""
    return [line for line in text.splitlines() if line.startswith("| " + " | ".join(cells) + " |")]


def shown(rounds: list[Any]) -> str:
    """The tables of `rounds`."""
    return table({"date": "1970-01-01", "machine": "m", "versions": ["Keras 3"], "command": "c", "rounds": rounds})


def test_the_summary_names_the_fastest_peer_at_its_best_and_at_equal_precision(softmax: list[Any]) -> None:
    (summary,) = [line for line in rows(shown(softmax), "softmax") if "(6.0)" in line]
    assert summary == (
        "| softmax | 6.00 (6.0), Keras fit | 2.86, Keras steps_per_execution | 1.50 (2.0), PyTorch bfloat16 "
        "| 2.00 (1.0), JAX epoch in scan |"
    )


def test_at_equal_precision_tfcore_is_the_side_that_computed_in_float32() -> None:
    rates = {"tfcore": 90.0, "tfcore float32": 30.0, "Keras fit": 20.0, "Keras mixed_bfloat16": 45.0}
    sides = {name: figures(name, rate) for name, rate in rates.items()}
    sides["tfcore"]["precision"] = "bfloat16"
    (summary,) = [line for line in rows(shown([{"mnist_cnn": sides}]), "mnist_cnn") if "(3.0)" in line]
    assert summary == (
        "| mnist_cnn | 4.50 (3.0), Keras fit | 2.00, Keras mixed_bfloat16 | 2.00 (1.5), Keras mixed_bfloat16 "
        "| 1.50 (1.0), Keras fit |"
    )


def test_a_case_may_have_no_goal_against_the_defaults_of_keras() -> None:
    sides = {name: figures(name, rate) for name, rate in {"tfcore": 30.0, "Keras fit": 10.0}.items()}
    (summary,) = [line for line in rows(shown([{"vit": sides}]), "vit") if "(1.3)" in line]
    assert summary == "| vit | 3.00, Keras fit | 3.00, Keras fit | 3.00 (1.3), Keras fit | 3.00 (1.0), Keras fit |"


def test_a_ratio_is_the_median_of_the_rounds_and_not_the_ratio_of_the_medians(softmax: list[Any]) -> None:
    softmax.append({"softmax": {name: dict(side) for name, side in softmax[0]["softmax"].items()}})
    for figures, own, other in zip(softmax, (1000.0, 300.0, 320.0), (100.0, 30.0, 5.0), strict=True):
        figures["softmax"]["tfcore"]["steps_per_sec"] = own
        figures["softmax"]["Keras fit"]["steps_per_sec"] = other
    assert Results(softmax, "softmax").ratio("tfcore", "Keras fit") == 10.0  # of 10, 10, 64; medians: 320 / 30


def test_the_fastest_peer_is_the_one_with_the_least_ratio(softmax: list[Any]) -> None:
    """One fast round of one side must not hide the other side."""
    softmax.append({"softmax": {name: dict(side) for name, side in softmax[0]["softmax"].items()}})
    rates = {"tfcore": (100.0, 100.0, 400.0), "Keras fit": (10.0, 60.0, 70.0), "PyTorch bfloat16": (50.0, 50.0, 55.0)}
    for name, by_round in rates.items():
        for figures, rate in zip(softmax, by_round, strict=True):
            figures["softmax"][name]["steps_per_sec"] = rate
    result = Results(softmax, "softmax")
    assert result.fastest(["Keras fit", "PyTorch bfloat16"], "tfcore") == "PyTorch bfloat16"  # 5.7 and 2.0 times


def test_every_side_has_a_row_and_says_why_it_did_not_run(softmax: list[Any]) -> None:
    text = shown(softmax)
    assert rows(text, "softmax", "Keras fit") == [
        "| softmax | Keras fit | float32 | 100.0, 50.0 | 6.00 | 2.000 → 1.500 |"
    ]
    assert rows(text, "softmax", "PyTorch compiled") == [
        "| softmax | PyTorch compiled | - | not run: there is no g++ | - | - |"
    ]


def test_memory_is_that_of_each_librarys_leanest_setting_above_its_import(softmax: list[Any]) -> None:
    text = shown(softmax)
    assert rows(text, "tfcore") == [f"| tfcore | {400 + len('tfcore')} |"]
    assert rows(text, "Keras") == [f"| Keras | {400 + len('Keras fit')} |"]
    assert rows(text, "JAX") == [f"| JAX | {400 + len('JAX epoch in scan')} |"]


def configured(case: str) -> RunConfig:
    """The configuration of tfcore's side at its defaults."""
    return resolve(with_given(flags.parse("benchmark", CASES[case].sides[0].arguments[2:]).given))


def network(config: RunConfig, image_shape: tuple[int, int, int]) -> tf.Module:
    """The configured network for pictures of a shape and ten classes."""
    pictures = Split(np.zeros((1, *image_shape), np.uint8), np.zeros(1, np.int32))
    return build_model(plan_model(config, Dataset("pictures", pictures, pictures, tuple("0123456789"))))


@pytest.fixture
def in_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder in which compare.py runs its sides, from which --model=benchmarks/networks.py is a path."""
    monkeypatch.chdir(compare.ROOT)


@pytest.mark.sampled(2)
@pytest.mark.usefixtures("in_root")
@pytest.mark.parametrize("case", keras_models.CASES)
def test_the_peers_networks_have_as_many_parameters(case: str) -> None:
    """And the same optimizer settings as in the flags of tfcore's side."""
    built, config = keras_models.CASES[case](), configured(case)
    variables = network(config, built.model.input_shape[1:]).variables
    assert sum(int(tf.size(variable)) for variable in variables) == built.model.count_params()
    trainable = sum(int(tf.size(variable)) for variable in variables if variable.trainable)
    assert trainable == sum(math.prod(weights.shape) for weights in built.model.trainable_weights)
    assert (config.dataset, config.batch_size) == (built.dataset, built.batch_size)
    keras_settings = built.optimizer.get_config()
    assert keras_settings["learning_rate"] == pytest.approx(config.learning_rate)
    if case in ("mlp", "cifar_cnn"):
        assert keras_settings["epsilon"] == config.epsilon
    if case == "mnist_cnn":
        assert (keras_settings["rho"], keras_settings["epsilon"]) == (0.95, 1e-7)
    if config.optimizer == "momentum":
        assert (keras_settings["momentum"], keras_settings["nesterov"]) == (config.momentum, False)


@pytest.mark.sampled(2)
@pytest.mark.usefixtures("in_root")
@pytest.mark.parametrize("case", ["resnet20", "airbench94_500", "wrn_16_4", "vit", "mobilenet"])
def test_the_published_networks_learn(case: str) -> None:
    side = 25 if case == "airbench94_500" else 8  # the smallest for its pools
    random = np.random.default_rng(0)
    images = tf.constant(random.integers(0, 256, (6, side, side, 3), np.uint8))
    labels, losses = tf.constant(random.integers(0, 10, 6, np.int32)), []
    config = configured(case)
    model = network(config, images.shape[1:])
    variables = model.trainable_variables
    for _ in range(3):
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            loss = tf.reduce_mean(cross_entropy(logits, labels))
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            variable.assign_sub(config.learning_rate * gradient)
        losses.append(float(loss))
    assert logits.shape == (6, 10)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("case", CASES)
def test_sides_are_in_the_order_that_the_tables_need(case: str) -> None:
    sides = CASES[case].sides
    assert len({side.name for side in sides}) == len(sides)
    assert sides[0].library == "tfcore"
    assert not any(flag.startswith("--precision") for flag in sides[0].arguments)
    if CASES[case].goals:
        flags = CASES[case].first("Keras").arguments
        assert not [
            flag for flag in flags if flag.startswith(("--tf_data", "--mixed_bfloat16", "--steps_per_execution"))
        ]


def test_an_unknown_case_is_refused() -> None:
    done = subprocess.run([sys.executable, compare.__file__, "nothing"], check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "no such case: nothing" in done.stderr


@pytest.mark.thorough
def test_a_tiny_round_runs_both_and_both_learn(real_data: pathlib.Path) -> None:
    before = compare.FIGURES.read_bytes(), compare.PAGE.read_bytes()
    command = [sys.executable, compare.__file__, "softmax", "--tiny"]
    environment = {**os.environ, "TFCORE_DATA_DIR": str(real_data)}
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    losses = re.findall(r"loss (\d\.\d+) → (\d\.\d+)", done.stdout)
    assert len(losses) == 2
    assert all(1 < float(last) < float(first) < 3 for first, last in losses)
    assert re.search(r"softmax: tfcore is \d+\.\d\d times as fast as Keras fit\.", done.stdout)
    assert (compare.FIGURES.read_bytes(), compare.PAGE.read_bytes()) == before


def test_the_page_shows_the_table_of_the_figures() -> None:
    report = committed()
    assert set(report["rounds"][0]) == set(CASES) - UNRECORDED
    page = compare.PAGE.read_text(encoding="utf-8")
    assert compare.BEGIN + table(report) + compare.END in page


def test_every_side_of_every_case_has_its_rate_and_learnt() -> None:
    report = committed()
    for case in set(CASES) - UNRECORDED:
        result = Results(report["rounds"], case)
        assert result.ran == [side.name for side in CASES[case].sides]
        for name in result.ran:
            assert min(result.rates(name)) > 0
            loss = result.loss(name)
            assert loss is None or loss[1] < loss[0], (case, name)


def test_looks_are_measured_on_the_runs_of_the_tutorial() -> None:
    page = (looks.ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    commands = re.findall(r"^    (?:\$ )?python train\.py (.*) --run_dir=runs/(\w+)$", page, re.MULTILINE)
    on_cifar10 = {name: tuple(arguments.split()) for arguments, name in commands if "--dataset=cifar10" in arguments}
    assert on_cifar10 == {
        name: (arguments[0], "--dataset=cifar10", *arguments[1:]) for name, arguments in looks.RUNS.items()
    }


@pytest.mark.thorough
def test_all_readers_of_pictures_give_batches_of_the_same_shape(tmp_path: pathlib.Path) -> None:
    inputs.draw(tmp_path, 300)
    for side in ("tfcore, folder", "tf.data by hand", "keras, whole pictures"):
        images, labels = next(inputs.SIDES[side](tmp_path, tmp_path))
        assert math.prod(images.shape) == inputs.BATCH * inputs.SIZE**2 * 3
        assert math.prod(labels.shape) == inputs.BATCH
        assert len(np.unique(labels)) > 20
