"""--example_weights: what they change, a resumed run, and refusals in one line."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfcore
from tfcore.config import RunConfig
from tfcore.data.dataset import Dataset
from tfcore.data.sources.shapes import draw
from tools.reliability.run_differences import differences

SMALL = (
    "--model=softmax", "--dataset=npz:data.npz", "--test_examples=50", "--batch_size=30", "--steps=12",
    "--intra_op_threads=1", "--inter_op_threads=1", "--example_weights=weights.npy",
)  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    """Data of which half has no weight, and wrong labels."""
    train, test = draw("train", 300), draw("test", 60)
    weights = np.tile([2, 0], 150).astype(np.float32)
    labels = np.where(weights > 0, train.labels, (train.labels + 1) % 10)
    arrays = {"x_train": train.images, "y_train": labels, "x_test": test.images, "y_test": test.labels}
    np.savez(tmp_path / "data.npz", **arrays)
    np.savez(tmp_path / "with_weights.npz", **arrays, train_weights=weights)
    np.save(tmp_path / "weights.npy", weights)
    return Dataset("mine", train, test, tuple("0123456789"), weights)


@pytest.mark.usefixtures("data")
def test_a_resumed_run_equals_an_uninterrupted_one(call: Any, tmp_path: Path) -> None:
    flags = (*SMALL, "--augment=mixup", "--microbatches=2", "--train_examples=250")
    done = call("train", *flags, "--run_dir=whole")
    assert "with weights of the training examples" in done.stdout
    call("train", *flags, "--run_dir=cut", "--stop_after_steps=5")
    shutil.copytree(tmp_path / "cut", tmp_path / "other")
    call("train", "--run_dir=cut")
    assert differences(tmp_path / "whole", tmp_path / "cut") == []
    np.save(tmp_path / "weights.npy", np.arange(300))
    done = call("train", "--run_dir=other")
    assert "fingerprint of the weights of the examples" in done.stdout
    (tmp_path / "weights.npy").unlink()  # scores are without them
    call("eval", "--run_dir=other")


@pytest.mark.thorough
def test_the_file_the_array_of_an_npz_and_those_of_python_are_the_same(
    call: Any, tmp_path: Path, data: Dataset
) -> None:
    call("train", *SMALL, "--run_dir=file")
    call("train", *SMALL[:-1], "--dataset=npz:with_weights.npz", "--run_dir=array")
    call("train", *SMALL[:-1], "--run_dir=without")
    config = RunConfig(model="softmax", batch_size=30, steps=12, intra_op_threads=1, inter_op_threads=1, report=False)
    labelled = Dataset(data.name, *npz_splits(tmp_path), data.class_names, data.train_weights)
    tfcore.train(config, run_dir="python", data=labelled, quietly=True)
    file, array, without, python = (
        tfcore.load(tmp_path / run).module.logits.weights.numpy() for run in ("file", "array", "without", "python")
    )
    np.testing.assert_array_equal(file, array)
    np.testing.assert_array_equal(file, python)
    assert np.abs(file - without).max() > 1e-4


def npz_splits(folder: Path) -> Any:
    from tfcore.data.sources.npz import npz

    found = npz(folder / "data.npz", test_share=0.1, seed=0).take(None, 50)
    return found.train, found.test


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(7), "--example_weights=weights.npy must hold one number for each of 300 training examples."),
        (np.full(300, -1.0), "--example_weights=weights.npy must be finite and at least 0. Received -1.0 at index 0."),
        (np.zeros(300), "--example_weights=weights.npy must not all be 0."),
        (np.array(["a"] * 300), "weights.npy must hold numbers. Received <U1 of shape [300]."),
    ],
)
def test_what_does_not_fit_is_one_line(call: Any, tmp_path: Path, weights: np.ndarray, message: str) -> None:
    np.save(tmp_path / "weights.npy", weights)
    done = call("train", *SMALL, "--run_dir=run", status=1)
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.thorough
@pytest.mark.usefixtures("data")
def test_a_run_that_diverges_is_replayed_with_its_weights(call: Any) -> None:
    flags = ("--train_examples=250", "--learning_rate=1e38", "--optimizer=gradient_descent", "--pixels=raw")
    done = call("train", *SMALL, *flags, "--run_dir=run", status=1)
    assert "in step 1, in the " in done.stderr + done.stdout
