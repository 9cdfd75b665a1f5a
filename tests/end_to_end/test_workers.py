"""Several processes train one run: the examples and draws of one process, its losses within rounding, one end."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support import several

from tfcore import evaluate
from tfcore.training.checkpoints import steps_in
from tools.reliability.run_differences import differences

NET = """
from tfcore.layers import Activation, BatchNorm, Conv2D, Dropout, Flatten, Linear, MaxPool, Sequential


class Cnn(Sequential):
    def __init__(self, image_shape, classes, *, pixels, seed):
        super().__init__({
            "pixels": pixels,
            "conv": Conv2D(image_shape[2], 4, 3, name="conv", seed=seed, use_bias=False),
            "norm": BatchNorm(4, name="norm"),
            "relu": Activation("relu"),
            "pool": MaxPool(4),
            "dropout": Dropout(0.2, name="dropout"),
            "flatten": Flatten(),
            "logits": Linear(256, classes, name="logits", seed=seed),
        }, name="cnn")


class Mlp(Sequential):
    def __init__(self, image_shape, classes, *, pixels, seed):
        super().__init__({
            "pixels": pixels,
            "flatten": Flatten(),
            "hidden": Linear(3072, 8, name="hidden", seed=seed),
            "relu": Activation("relu"),
            "dropout": Dropout(0.2, name="dropout"),
            "logits": Linear(8, classes, name="logits", seed=seed),
        }, name="mlp")
"""
STEPS = 12
FLAGS = (
    f"--steps={STEPS}", "--batch_size=42", "--train_examples=400", "--test_examples=90", "--eval_batch_size=20",
    "--log_every_steps=1", "--precision=float32", "--optimizer=momentum", "--learning_rate=0.01", "--summaries=norms",
    "--observe_every_steps=5", "--noreport",
)  # fmt: skip
NETS = {
    "mlp": ("--model={net}:Mlp",),
    "cnn": ("--model={net}:Cnn", "--augment=flip,crop:4,mixup", "--microbatches=2", "--batch_size=84"),
    "xla": ("--model={net}:Mlp", "--xla=on"),
}
Train = Callable[..., pathlib.Path]


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Provides `train(net, count)`: the run folder of a whole run, which is trained once; never changed by tests."""
    net = tmp_path_factory.mktemp("net") / "net.py"
    net.write_text(NET, encoding="utf-8")
    runs: dict[tuple[Any, ...], pathlib.Path] = {}

    def run(name: str, count: int, *more: str, folder: pathlib.Path | None = None, again: str = "") -> pathlib.Path:
        place = (name, count, more, folder, again)
        if place not in runs:
            into = folder or tmp_path_factory.mktemp(f"{name}-{count}")
            flags = [flag.format(net=net) for flag in NETS[name]]
            several.assert_trained(several.train(into, count, *FLAGS, *flags, *more))
            runs[place] = into / "run"
        return runs[place]

    return run


def lines(run: pathlib.Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def losses(run: pathlib.Path, split: str = "train") -> np.ndarray:
    """The loss at each step, float64 `[steps]`; or at each evaluation of another split."""
    return np.array([line["loss"] for line in lines(run) if line["split"] == split and "loss" in line])


CASES = [
    ("mlp", 2),
    ("cnn", 3),
    pytest.param("mlp", 3, marks=pytest.mark.thorough),
    pytest.param("cnn", 2, marks=pytest.mark.thorough),
    pytest.param("xla", 2, marks=pytest.mark.thorough),
]


@pytest.mark.parametrize(("net", "count"), CASES)
def test_losses_are_those_of_one_process_within_rounding(train: Train, net: str, count: int) -> None:
    alone, together = train(net, 1), train(net, count)
    np.testing.assert_allclose(losses(together)[:10], losses(alone)[:10], rtol=1e-5)
    for split in ("validation", "test"):
        np.testing.assert_allclose(losses(together, split), losses(alone, split), rtol=1e-4)
    assert len(losses(alone)) == STEPS
    assert len(losses(alone, "validation")) >= 2


def test_the_same_number_of_workers_gives_the_same_bits(train: Train) -> None:
    assert differences(train("cnn", 3), train("cnn", 3, again="again")) == []


def test_workers_can_be_more_or_fewer_after_a_stop(train: Train, tmp_path: pathlib.Path) -> None:
    for count, stop in ((2, ("--stop_after_steps=4",)), (3, ("--stop_after_steps=8",)), (1, ())):
        run = train("mlp", count, *stop, folder=tmp_path)
    np.testing.assert_allclose(losses(run), losses(train("mlp", 1)), rtol=1e-5)


@pytest.mark.thorough
def test_local_batch_norm_saves_and_scores_the_mean_of_its_statistics(train: Train) -> None:
    run = train("cnn", 2, "--batch_norm=local", "--augment=")
    scored = json.loads((run / "result.json").read_text(encoding="utf-8"))["test"]["loss"]
    assert evaluate(run, split="test", checkpoint="last")["loss"] == pytest.approx(scored, rel=1e-6)
    assert abs(losses(run) - losses(train("cnn", 1, "--augment="))).max() > 1e-4  # each normalises its own part


def refused(done: several.Done) -> list[str]:
    """The one line that each worker ends with."""
    assert all(process.returncode for process in done)
    return [process.stderr.strip().splitlines()[-1] for process in done]


def test_other_settings_at_a_worker_are_told_before_the_first_step(tmp_path: pathlib.Path) -> None:
    done = several.train(tmp_path, 2, *FLAGS, "--model=softmax", of_worker={1: ("--learning_rate=0.02", "--seed=3")})
    chief, other = refused(done)
    told = "--learning_rate=0.02 (the chief has 0.01), --seed=3 (the chief has 0)"
    assert chief.startswith(f"error: Worker 1 was started with {told}")
    assert other.startswith("error: worker 1: Worker 1 was started with")
    assert [process.returncode for process in done] == [2, 2]
    assert not (tmp_path / "run").exists()


def test_other_data_at_a_worker_are_told_before_the_first_step(tmp_path: pathlib.Path) -> None:
    for number, value in enumerate((7, 8)):
        images, labels = np.full([40, 4, 4, 1], value, np.uint8), np.arange(40) % 2
        (tmp_path / f"worker-{number}").mkdir()
        arrays = {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels}
        np.savez(tmp_path / f"worker-{number}" / "data.npz", **arrays)
    flags = ("--dataset=npz:data.npz", "--model=softmax", "--steps=3", "--batch_size=6", "--noreport")
    chief, other = refused(several.train(tmp_path, 2, *flags))
    assert "Worker 1 has data " in chief
    assert "Worker 1 has data " in other


def test_a_worker_that_does_not_come_is_named(tmp_path: pathlib.Path) -> None:
    start = time.monotonic()
    done = several.train(tmp_path, 2, *FLAGS, "--model=softmax", "--join_timeout=3", present=1)
    (line,) = refused(done)
    assert line.startswith("error: worker 0: worker 1 at 127.0.0.1:")
    assert "did not come within 3 s" in line
    assert time.monotonic() - start < 30


def launch(folder: pathlib.Path, *flags: str, restarts: int = 0) -> "subprocess.Popen[str]":
    own = ["--workers=2", f"--restarts={restarts}"]
    command = [sys.executable, "-m", "tfcore", "launch", *own, "train", "--run_dir=run", *flags]
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[2])}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def process_of(launched: "subprocess.Popen[str]", number: int) -> int:
    """The process id of a worker."""
    for process in pathlib.Path(f"/proc/{launched.pid}/task/{launched.pid}/children").read_text().split():
        environment = pathlib.Path(f"/proc/{process}/environ").read_text()
        if f'"index": {number}}}' in environment:
            return int(process)
    raise AssertionError(f"There is no worker {number}.")


LONG = ("--model=softmax", "--steps=400", "--batch_size=40", "--train_examples=400", "--test_examples=90",
           "--summaries=none", "--noreport", "--log_every_steps=10", "--checkpoint_every_epochs=3",
           "--evaluate_every_epochs=20")  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    with launch(folder, *LONG) as launched:
        output, errors = launched.communicate(timeout=200)
    assert (launched.returncode, errors) == (0, ""), output
    return folder / "run"


def signalled(folder: pathlib.Path, number: int, what: signal.Signals, **given: int) -> tuple[int, str]:
    """Sends a signal to a worker that is training; returns the status of all and what they printed on errors."""
    with launch(folder, *LONG, **given) as launched:
        while not steps_in(folder / "run" / "checkpoints"):
            assert launched.poll() is None, launched.communicate()
            time.sleep(0.05)
        os.kill(process_of(launched, number), what)
        _, errors = launched.communicate(timeout=200 if given else 30)
    return launched.returncode, errors


@pytest.mark.parametrize(
    ("number", "what", "status", "told"),
    [
        (1, signal.SIGKILL, 1, "error: worker 1 was ended by SIGKILL"),
        (1, signal.SIGTERM, 143, "worker 1: Saving."),
        pytest.param(0, signal.SIGKILL, 1, "error: worker 0 was ended by SIGKILL", marks=pytest.mark.thorough),
        pytest.param(1, signal.SIGSTOP, 1, "error: worker 1 did not answer", marks=pytest.mark.thorough),
    ],
)
def test_all_workers_end_together_and_go_on_to_the_same_bits(
    tmp_path: pathlib.Path, undisturbed: pathlib.Path, number: int, what: signal.Signals, status: int, told: str
) -> None:
    ended, errors = signalled(tmp_path, number, what)
    assert ended == status
    assert errors.startswith(told)
    assert len(errors.splitlines()) == 1
    with launch(tmp_path, *LONG) as again:
        output, errors = again.communicate(timeout=200)
    assert (again.returncode, errors) == (0, "")
    assert "Resuming run at step" in output
    assert differences(tmp_path / "run", undisturbed) == []


@pytest.mark.thorough
def test_a_launch_may_start_again_by_itself(tmp_path: pathlib.Path, undisturbed: pathlib.Path) -> None:
    status, errors = signalled(tmp_path, 1, signal.SIGKILL, restarts=2)
    assert status == 0
    assert errors.startswith("error: worker 1 was ended by SIGKILL")
    assert errors.splitlines()[1:] == ["Starting all workers again, at most 2 more times."]
    assert differences(tmp_path / "run", undisturbed) == []
