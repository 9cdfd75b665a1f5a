"""Validation parts: one that holds out nothing is refused in new runs; one drawn by a key, and those of old runs."""

import json
import pathlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import tfcore
from tfcore.config import RunConfig
from tfcore.data import splits
from tfcore.data.dataset import Dataset, Split
from tfcore.errors import ConfigError
from tools.reliability.run_differences import differences

CONFIG = RunConfig(train_examples=5, steps=2, batch_size=2, validation=0, schedule="constant", report=False)


def dataset(examples: int) -> Dataset:
    split = Split(np.zeros((examples, 2, 2, 1), np.uint8), np.zeros(examples, np.int32))
    return Dataset("blank", split, split, ("only",))


@pytest.fixture
def old_run(tmp_path: pathlib.Path) -> pathlib.Path:
    """A run of five examples with a share of 0.1 and a patience, as it was made before such a share was refused."""
    folder = tmp_path / "run"
    tfcore.train(CONFIG, run_dir=folder, quietly=True)
    flags = (folder / "config.flags").read_text(encoding="utf-8")
    assert "--validation=0.0\n" in flags
    flags = flags.replace("--validation=0.0\n", "--validation=0.1\n--patience=1\n")
    (folder / "config.flags").write_text(flags, encoding="utf-8")
    return folder


@pytest.mark.thorough
def test_train_refuses_a_share_that_holds_out_nothing(command: Any, tmp_path: pathlib.Path) -> None:
    done = command("train", "--train_examples=5", "--steps=2", "--patience=1", "--run_dir=run", status=2)
    assert done.stderr.splitlines()[-1] == (  # the first line warns of classes without an example
        "error: --validation=0.1 holds out none of 5 training examples. Give a share of at least 0.2, or "
        "--validation=0 to train on all of them without validation."
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("examples", "amount", "message"),
    [
        (5, 0.1, r"--validation=0\.1 holds out none of 5 training examples\. Give a share of at least 0\.2, or --vali"),
        (7, 0.05, r"none of 7 training examples\. Give a share of at least 0\.15, or --validation=0"),
        (1, 0.3, r"none of 1 training examples\. Give --validation=0"),
        (5, 5, "must leave something to train on. Received 5, which takes 5 of 5"),
        (5, 100, "must leave something to train on. Received 100, which takes 100 of 5"),
        (5, 0.95, "must leave something to train on. Received 0.95, which takes 5 of 5"),
        (5, 1.5, "a share below 1 or a whole number of examples. Received 1.5"),
    ],
)
def test_train_refuses_an_amount_that_leaves_a_part_empty(
    examples: int, amount: float, message: str, tmp_path: pathlib.Path
) -> None:
    config = replace(CONFIG, validation=amount, train_examples=None)
    with pytest.raises(ConfigError, match=message):
        tfcore.train(config, run_dir=tmp_path / "run", data=dataset(examples), quietly=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.thorough
@pytest.mark.parametrize(("examples", "amount"), [(5, 0.2), (7, 0.15), (101, 0.01)])
def test_the_share_that_is_advised_holds_one_out(examples: int, amount: float, tmp_path: pathlib.Path) -> None:
    config = replace(CONFIG, validation=amount, train_examples=None)
    result = tfcore.train(config, run_dir=tmp_path / "run", data=dataset(examples), quietly=True)
    assert result["best"]["step"] == 2


@pytest.mark.thorough
def test_an_old_run_without_a_validation_part_is_scored(command: Any, old_run: pathlib.Path) -> None:
    done = command("eval", f"--run_dir={old_run}", "--json")
    assert json.loads(done.stdout.splitlines()[-1])["examples"] == 2000
    done = command("eval", f"--run_dir={old_run}", "--split=validation", status=2)
    assert done.stderr.splitlines()[-1] == (
        f"error: The run in {old_run} has no validation split: --validation=0.1 held out none of its 5 training "
        "examples. Score --split=test or --split=train."
    )


@pytest.mark.thorough
def test_an_old_run_without_a_validation_part_goes_on(old_run: pathlib.Path) -> None:
    config = replace(CONFIG, validation=0.1, patience=1, steps=4)
    assert tfcore.train(config, run_dir=old_run, quietly=True)["steps"] == 4


def test_a_hashed_part_is_drawn_scored_and_resumed(call: Any, tmp_path: pathlib.Path) -> None:
    flags = ("--model=softmax", "--dataset=shapes", "--train_examples=60", "--test_examples=10", "--validation=0.2")
    call("train", *flags, "--validation_split=hashed", "--steps=6", "--run_dir=whole")
    call("train", *flags, "--validation_split=hashed", "--steps=6", "--stop_after_steps=2", "--run_dir=cut")
    refused = call("train", "--run_dir=cut", "--validation_split=stratified", status=2)
    assert "another configuration: --validation_split=stratified (there: hashed)" in refused.stderr
    call("train", "--run_dir=cut")
    assert differences(tmp_path / "whole", tmp_path / "cut") == []
    call("train", *flags, "--steps=6", "--run_dir=by_class")
    assert differences(tmp_path / "whole", tmp_path / "by_class") != []
    assert "--validation_split=stratified\n" in (tmp_path / "by_class" / "config.flags").read_text()
    scores = json.loads((tmp_path / "whole" / "result.json").read_text())["best"]["validation"]
    again = json.loads(
        call("eval", "--run_dir=whole", "--split=validation", "--checkpoint=best", "--json").stdout.splitlines()[-1]
    )
    assert again["loss"] == pytest.approx(scores["loss"])


def test_a_run_without_the_setting_keeps_its_split(
    call: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ("--model=softmax", "--dataset=shapes", "--train_examples=60", "--test_examples=10", "--steps=6")
    call("train", *flags, "--run_dir=whole")
    call("train", *flags, "--stop_after_steps=2", "--run_dir=cut")
    config = tmp_path / "cut" / "config.flags"
    config.write_text(config.read_text().replace("--validation_split=stratified\n", ""))  # as earlier releases wrote it
    monkeypatch.setattr(splits, "LARGEST_STRATIFIED", 10)
    call("train", "--run_dir=cut")
    assert differences(tmp_path / "whole", tmp_path / "cut") == []
    call("train", *flags, "--run_dir=new")
    assert "--validation_split=hashed\n" in (tmp_path / "new" / "config.flags").read_text()
