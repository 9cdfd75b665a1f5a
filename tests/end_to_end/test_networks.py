"""Convolutional networks end to end: ranking, averages, initial weights, kept checkpoints, printed lines."""

import json
import pathlib
import re
from typing import Any

import numpy as np
import pytest

from tfcore import History
from tfcore.training.checkpoints import steps_in

pytestmark = pytest.mark.thorough

SMALL = ("--model=cifar_cnn", "--filters=4,6", "--hidden=8", "--train_examples=1000", "--test_examples=200")


def accuracy(call: Any, *flags: str) -> float:
    return float(json.loads(call("train", *flags, "--json").stdout)["test"]["accuracy"])


def test_shapes_ranks_the_models(call: Any) -> None:
    softmax = accuracy(call, "--model=softmax", "--epochs=5")
    mlp = accuracy(call, "--model=mlp", "--hidden=120,60", "--epochs=6")
    sizes = ("--filters=8,16,16", "--hidden=32", "--dropout=0.1", "--batch_size=32", "--learning_rate=0.003")
    cnn = accuracy(call, "--model=cifar_cnn", *sizes, "--epochs=3")
    assert softmax < 0.5 < cnn
    assert softmax + 0.05 < mlp < cnn - 0.2
    assert cnn > 0.9


def test_averages_are_scored_beside_the_weights(call: Any, tmp_path: pathlib.Path) -> None:
    done = call("train", *SMALL, "--average_decay=0.9", "--epochs=2", "--run_dir=run", "--json")
    result = json.loads(done.stdout)
    assert result["test_average"] != result["test"]
    assert re.search(r"averaged \d\.\d{4} \d\.\d{4}", done.stderr)
    assert {"average_loss", "average_accuracy"} <= set(History(tmp_path / "run").names("validation"))
    raw, averaged = (
        json.loads(call("eval", "--run_dir=run", "--json", *flags).stdout) for flags in ((), ("--average",))
    )
    assert raw["loss"] == result["test"]["loss"]
    assert averaged["loss"] == result["test_average"]["loss"]


def test_a_run_starts_from_the_weights_of_another(call: Any, tmp_path: pathlib.Path) -> None:
    call("train", *SMALL, "--epochs=3", "--learning_rate=0.01", "--run_dir=first")
    call("export", "--run_dir=first", "--format=npz", "--out=first.npz")
    for number, path in enumerate(("first", "first.npz")):
        flags = (*SMALL, f"--init_from={path}", "--steps=1", "--learning_rate=1e-12", f"--run_dir=run{number}")
        done = call("train", *flags)
        assert f"Starting from the weights of {path}" in done.stdout
    first, *others = (
        json.loads((tmp_path / name / "result.json").read_text(encoding="utf-8"))["test"]["loss"]
        for name in ("first", "run0", "run1")
    )
    np.testing.assert_allclose(others, first, rtol=0.02)  # one step moves the moving statistics


def test_weights_that_do_not_fit_are_all_named_and_nothing_is_left(call: Any, tmp_path: pathlib.Path) -> None:
    call("train", *SMALL, "--steps=1", "--run_dir=first")
    done = call("train", *SMALL, "--hidden=9", "--init_from=first", "--steps=1", "--run_dir=run", status=1)
    assert done.stderr.count("\n") == 1
    for name in ("hidden_1.weights", "hidden_1.biases", "hidden_norm_1.scale", "logits.weights"):
        assert name in done.stderr
    assert "conv_1" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_all_checkpoints_are_kept_and_lines_are_printed_as_asked(call: Any, tmp_path: pathlib.Path) -> None:
    flags = ("--epochs=6", "--batch_size=90", "--checkpoint_every_epochs=2", "--keep_checkpoints=0")
    done = call("train", "--train_examples=1000", *flags, "--print_every_epochs=4", "--run_dir=run")
    assert re.findall(r"^epoch (\d+):  train loss .*  validation loss", done.stdout, re.MULTILINE) == ["4", "6"]
    assert {20, 40, 60} <= set(steps_in(tmp_path / "run" / "checkpoints"))
    assert History(tmp_path / "run").curve("train", "epoch_accuracy").steps.tolist() == [10, 20, 30, 40, 50, 60]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--model=softmax", "--filters=3"), "--model=softmax takes no --filters"),
        (("--model=mnist_cnn", "--pooling=median"), "`pooling` must be one of max, average, sum"),
        (("--model=mlp", "--activation=rleu"), "Did you mean 'relu'"),
        (("--model=mnist_cnn", "--filters=" + ",".join(["2"] * 16)), "too small for 16 convolutions"),
        (("--model=cifar_cnn", "--dropout=1"), "`dropout` must be at least 0 and below 1"),
        (("--image_shape=28,28,1",), "--dataset=shapes takes no --image_shape"),
        (("--train_examples=10001",), "10000"),
        (("--rho=0.5",), "--rho belongs to --optimizer=adadelta or rmsprop"),
    ],
)
def test_what_cannot_be_meant_is_one_line(call: Any, tmp_path: pathlib.Path, flags: Any, words: str) -> None:
    done = call("train", *flags, "--run_dir=runs/one", status=2)
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()
