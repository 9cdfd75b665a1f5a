"""The commands as a user types them."""

import json
import pathlib
from typing import Any

import pytest

from tfcore.data import download

MY_MODEL = """
import tensorflow as tf
from tfcore.layers import Flatten, Linear

class Tiny(tf.Module):
    def __init__(self, image_shape, classes, *, pixels, seed):
        super().__init__()
        self.pixels, self.flatten = pixels, Flatten()
        self.bias = tf.Variable(tf.zeros([classes]), name="bias")
        self.logits = Linear(image_shape[0] * image_shape[1] * image_shape[2], classes, name="logits", seed=seed)

    def __call__(self, x, *, training, key=None):
        x = self.flatten(self.pixels(x, training=training), training=training)
        return self.logits(x, training=training) + self.bias
"""


def test_train_introduces_the_run_and_says_what_to_do_next(command: Any, tmp_path: pathlib.Path) -> None:
    done = command("train", "--model=mlp", "--hidden=8,4", "--epochs=0.5", "--run_dir=run")
    assert "Total parameters 24,670: trainable 24,670, non-trainable 0" in done.stdout
    assert "test accuracy" in done.stdout.splitlines()[-2]
    assert done.stdout.splitlines()[-1].endswith("tensorboard --logdir run")
    assert done.stderr == ""
    assert (tmp_path / "run" / "config.flags").is_file()


@pytest.mark.thorough
def test_a_run_without_a_name_gets_a_folder_of_its_own(command: Any, tmp_path: pathlib.Path) -> None:
    command("train", "--steps=3")
    (run,) = (tmp_path / "runs").iterdir()
    assert run.name.endswith("-softmax-shapes")


@pytest.mark.thorough
def test_the_saved_flags_repeat_the_run(call: Any, tmp_path: pathlib.Path) -> None:
    call("train", "--steps=30", "--seed=3", "--optimizer=momentum", "--nesterov", "--run_dir=one")
    call("train", "--flagfile=one/config.flags", "--run_dir=two")
    one, two = (json.loads((tmp_path / name / "result.json").read_text(encoding="utf-8")) for name in ("one", "two"))
    assert one["test"] == two["test"]


@pytest.mark.thorough
def test_eval_repeats_the_score_that_the_run_ended_with(command: Any, tmp_path: pathlib.Path) -> None:
    command("train", "--steps=150", "--batch_size=32", "--patience=5", "--evaluate_every_epochs=0.1", "--run_dir=run")
    result = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))
    done = command("eval", "--run_dir=run", "--json")
    scores = json.loads(done.stdout)
    assert {name: scores[name] for name in ("loss", "accuracy")} == result["test"]
    assert sum(map(sum, scores["confusion_matrix"])) == scores["examples"] == 2000
    best = json.loads(command("eval", "--run_dir=run", "--split=validation", "--checkpoint=best", "--json").stdout)
    assert best["step"] == result["best"]["step"]
    assert {name: best[name] for name in ("loss", "accuracy")} == result["best"]["validation"]


def test_eval_prints_tables(command: Any) -> None:
    command("train", "--steps=5", "--run_dir=run")
    text = command("eval", "--run_dir=run", "--split=train", "--checkpoint=last").stdout
    for words in ("9,000", "Per class", "hourglass", "precision", "Confusion matrix"):
        assert words in text


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("flags", "status", "words"),
    [
        (("--run_dir=nowhere",), 1, "nowhere is not a run folder"),
        (("--run_dir=run", "--checkpoint=7"), 1, "There is no checkpoint of step 7"),
        (("--run_dir=run", "--checkpoint=newest"), 2, "best, last or a step"),
        (("--run_dir=run", "--split=tset"), 2, "Did you mean 'test'"),
        (("--run_dir=run", "--split=validation"), 2, "no validation split"),
        (("--run_dir=run", "--checkpoint=best"), 1, "nothing was validated"),
    ],
)
def test_eval_refuses_in_one_line(call: Any, flags: tuple[str, ...], status: int, words: str) -> None:
    call("train", "--steps=2", "--validation=0", "--run_dir=run")
    done = call("eval", *flags, status=status)
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.thorough
def test_a_model_of_ones_own_trains_and_evaluates(call: Any, tmp_path: pathlib.Path) -> None:
    (tmp_path / "my_model.py").write_text(MY_MODEL, encoding="utf-8")
    done = call("train", "--model=my_model.py:Tiny", "--steps=20", "--run_dir=run")
    assert "Total parameters 30,740" in done.stdout
    call("eval", "--run_dir=run")


@pytest.mark.thorough
def test_without_a_network_a_missing_data_set_is_one_line(
    command: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # no server listens there
    done = command("train", "--dataset=cifar100", "--data_dir=data", "--run_dir=runs/one", status=1)
    published = download.PUBLISHED["cifar100"].address
    assert done.stderr.count("\n") == 1
    assert all(words in done.stderr for words in (published, "data", "--dataset=shapes"))
    assert not (tmp_path / "runs").exists()


@pytest.mark.thorough
def test_bfloat16_mean_squared_error_and_micro_batches_train(call: Any) -> None:
    flags = ("--precision=bfloat16", "--loss=mean_squared_error", "--microbatches=4", "--label_smoothing=0.1")
    done = call("train", "--model=mlp", *flags, "--epochs=4", "--learning_rate=0.003", "--json", "--run_dir=run")
    assert json.loads(done.stdout)["test"]["accuracy"] > 0.2
