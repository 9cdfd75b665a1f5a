"""Divergence: the step, the variable and the examples are found by replaying the last steps."""

import json
import pathlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

from tfcore.build.configuration import resolve
from tfcore.config import RunConfig
from tfcore.data.sources.shapes import shapes
from tfcore.layers import Flatten, Linear
from tfcore.modules import named_variables
from tfcore.run.parts import Parts
from tfcore.run.session import Session
from tfcore.training.checkpoints import steps_in
from tfcore.training.divergence import DivergedError
from tfcore.training.events import Event, Schedule
from tfcore.training.run_folder import RunFolder

BATCH, LOG_EVERY = 20, 50
CONFIG = RunConfig(
    model="mlp", batch_size=BATCH, steps=600, validation=0, log_every_steps=LOG_EVERY,
    checkpoint_every_epochs=0.06,
)  # fmt: skip
PICTURES = shapes(pathlib.Path()).train.images.reshape(10_000, -1).sum(axis=1, dtype=np.int64)
BRIGHTEST = int(PICTURES.argmax())
LIMIT = int(np.sort(PICTURES)[-2]) + 1


class Fragile(tf.Module):
    """Linear model that diverges in one of three ways, two of them on the brightest picture."""

    way = ""

    def __init__(self, image_shape: Any, classes: int, *, pixels: tf.Module, seed: int) -> None:
        super().__init__()
        self.pixels, self.flatten = pixels, Flatten()
        self.logits = Linear(image_shape[0] * image_shape[1] * image_shape[2], classes, name="logits", seed=seed)
        self.scale = tf.Variable(1.0, name="scale")

    def __call__(self, x: tf.Tensor, *, training: bool, key: Any = None) -> tf.Tensor:  # noqa: ARG002
        """Logits [N, classes]."""
        too_bright = tf.reduce_sum(tf.cast(x, tf.int32), axis=[1, 2, 3]) >= LIMIT  # [N]
        zero = tf.where(too_bright, 0.0, 1.0)[:, tf.newaxis]
        logits = self.scale * self.logits(
            self.flatten(self.pixels(x, training=training), training=training), training=training
        )
        if self.way == "forward":
            return logits / zero
        if self.way == "backward":  # the derivative of the square root is infinite at 0
            return logits + self.scale * tf.sqrt(zero * tf.square(self.scale))
        if self.way == "update":  # a gradient so steep that its product with a large rate is infinite
            return logits * (1000 * self.scale - 999)
        return logits


def trained(folder: pathlib.Path, config: RunConfig = CONFIG, **settings: Any) -> dict[str, Any]:
    """Trains until it diverges; returns result.json with the text of the error under `error`."""
    with RunFolder(folder) as held:
        session = Session(resolve(config), held, Console(quiet=True), model=Fragile, **settings)
        with pytest.raises(DivergedError) as caught:
            session.run()
    assert "\n" not in str(caught.value)
    return {**json.loads((folder / "result.json").read_text()), "error": str(caught.value)}


def first_step_with(folder: pathlib.Path, example: int) -> int:
    """Returns the number of steps completed after the first batch that holds the example."""
    with RunFolder(folder) as held:
        batches = Session(resolve(CONFIG), held, Console(quiet=True), model=Fragile).parts.training_batches()
    return next(step + 1 for step in range(CONFIG.steps or 0) if example in batches.numbers(step))


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("way", "where"), [("forward", "in the output of fragile"), ("backward", "in the gradient of scale")]
)
def test_step_place_and_examples_are_found(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, way: str, where: str
) -> None:
    monkeypatch.setattr(Fragile, "way", way)
    bad_step = first_step_with(tmp_path / "none", BRIGHTEST)
    result = trained(tmp_path / "run")
    found = result["first_bad"]
    assert result["status"] == "failed"
    assert result["steps"] == -(-bad_step // LOG_EVERY) * LOG_EVERY  # the point at which it was noticed
    assert (found["step"], found["where"]) == (bad_step, where)
    assert BRIGHTEST in found["examples"]
    assert len(found["examples"]) == BATCH
    kept = steps_in(tmp_path / "run" / "checkpoints")
    assert 0 < found["checkpoint"] == kept[-1] < bad_step  # the last finite one, and none after it
    assert f"in step {bad_step}, {where}" in result["error"]
    assert f"The checkpoint of step {kept[-1]} is kept." in result["error"]
    if way == "forward":
        assert_that_the_log_ends_with_the_way_there(tmp_path / "run" / "metrics.jsonl", bad_step)


def assert_that_the_log_ends_with_the_way_there(log: pathlib.Path, bad_step: int) -> None:
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    tail = [line for line in lines if line.keys() == {"step", "split", "total_loss", "gradient_norm"}]
    assert tail == lines[-len(tail) :]
    assert [line["step"] for line in tail] == list(range(tail[0]["step"], bad_step + 1))
    assert len(tail) > 1
    assert tail[-1]["total_loss"] is None  # JSON has no infinity
    assert all(line["total_loss"] > 0 and line["gradient_norm"] > 0 for line in tail[:-1])


@pytest.mark.thorough
def test_without_a_checkpoint_the_replay_begins_at_the_start(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fragile, "way", "forward")
    result = trained(tmp_path / "run", replace(CONFIG, checkpoint_every_epochs=10.0))
    assert result["first_bad"]["checkpoint"] == 0
    assert result["first_bad"]["step"] == first_step_with(tmp_path / "none", BRIGHTEST)
    assert "is kept" not in result["error"]


def spoiling(name: str, value: float, step: int) -> Any:
    """Returns events that write NaN into a variable, which no training step does."""

    def events(parts: Parts) -> list[Event]:
        variables = {**named_variables(parts.model), **parts.step.optimizer.variables}
        return [Event("spoil", Schedule(step), lambda _: variables[name].assign(variables[name] * value))]

    return events


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("name", "shown"), [("logits.weights", "logits.weights"), ("v.scale", "the optimizer's v")])
def test_a_state_with_bad_numbers_is_never_saved(tmp_path: pathlib.Path, name: str, shown: str) -> None:
    """A cause that the replay does not reproduce is not reported."""
    config = replace(CONFIG, checkpoint_every_epochs=0.02, log_every_steps=1000)
    result = trained(tmp_path / "run", config, events=spoiling(name, float("nan"), 20))
    assert steps_in(tmp_path / "run" / "checkpoints") == [10]
    assert f"NaN or infinity in {shown}" in result["error"]
    assert "does not reproduce results bit for bit" in result["error"]
    assert "first_bad" not in result


@pytest.mark.thorough
def test_an_update_that_overflows_is_told_from_what_led_to_it(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fragile, "way", "update")
    config = replace(CONFIG, optimizer="gradient_descent", learning_rate=3e38, schedule="constant", log_every_steps=1)
    found = trained(tmp_path / "run", config)["first_bad"]
    assert (found["step"], found["where"]) == (1, "in the update of scale")


@pytest.mark.thorough
def test_the_command_says_it_in_one_line(command: Any) -> None:
    done = command(
        "train", "--model=mlp", "--hidden=4", "--xla=off", "--optimizer=gradient_descent", "--learning_rate=1e25",
        "--steps=30", "--log_every_steps=10", "--run_dir=run", status=1,
    )  # fmt: skip
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: The training loss is ")
    assert "Replaying the run from step 0" in done.stdout
    assert "step 1: total loss" in done.stdout
