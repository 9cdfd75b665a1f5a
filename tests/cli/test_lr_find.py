"""`tfcore lr_find`: the losses are those of a run with that schedule, and all that it leaves is the picture."""

import io
import json
import shlex
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfcore
from tfcore.cli import flags
from tfcore.cli.main import main
from tfcore.config import RunConfig
from tfcore.training.events import Event, Schedule

FLAGS = ("--model=softmax", "--dataset=shapes", "--train_examples=400", "--test_examples=50", "--batch_size=32")
OWN = """
import tensorflow as tf

class Own(tf.Module):
    def __init__(self, image_shape, classes, *, pixels, seed):
        super().__init__(name="own")
        self.pixels = pixels
        pixels_of_one = image_shape[0] * image_shape[1] * image_shape[2]
        self.weights = tf.Variable(tf.zeros([pixels_of_one, classes]), name="weights")

    def __call__(self, x, *, training, key=None):
        x = self.pixels(x, training=training, key=key)
        return tf.reshape(x, [tf.shape(x)[0], -1]) @ tf.cast(self.weights, x.dtype)

class Constant(Own):
    def __call__(self, x, *, training, key=None):
        return 0 * super().__call__(x, training=training, key=key)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ran(*more: str, status: int = 0) -> tuple[str, str]:
    """Runs the command; returns standard output and standard error."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        found = main(["lr_find", *FLAGS, "--out=rates.png", *more])
    assert found == status, err.getvalue()
    return out.getvalue(), err.getvalue()


def object_of(*more: str) -> dict[str, Any]:
    """Runs the command with --json, and returns the object, the only line of standard output."""
    (line,) = ran("--json", *more)[0].splitlines()
    return json.loads(line)


def trained(steps: int, **settings: Any) -> tuple[list[float], list[float]]:
    """Rates and losses of the first steps of a run, each step by itself."""
    config = RunConfig(
        model="softmax", dataset="shapes", train_examples=400, test_examples=50, batch_size=32, steps=steps,
        summaries="none", report=False, **settings,
    )  # fmt: skip
    seen = []
    look = Event("look", Schedule(1), lambda moment: seen.append(moment.observed))
    tfcore.train(config, run_dir="run", events=lambda _: [look], quietly=True)
    return [numbers["learning_rate"] for numbers in seen], [numbers["loss"] for numbers in seen]


def test_rates_losses_and_picture(folder: Path) -> None:
    found = object_of("--steps=200")
    rates, losses = np.array(found["rates"]), np.array(found["losses"])
    assert rates[0] == np.float32(1e-6)
    assert (np.diff(rates) > 0).all()
    np.testing.assert_allclose(rates, 1e-6 * 1e7 ** (np.arange(len(rates)) / 199), rtol=1e-5)
    assert len(losses) == len(rates) < 200
    assert found["diverged"]
    assert losses[-1] > 2 * losses[0]
    assert 1e-5 < found["steepest"] < 0.05
    assert 1e-5 < found["tenth_of_minimum"] < 0.05
    assert found["rises_again"]
    assert found["out"] == "rates.png"
    assert [path.name for path in folder.iterdir()] == ["rates.png"]
    with Image.open("rates.png") as image:
        assert image.format == "PNG"


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("more", "settings"),
    [
        ([], {}),
        (
            ["--augment=flip,mixup", "--optimizer=momentum", "--l2=0.01", "--clip_norm=1", "--seed=3"],
            {"augment": "flip,mixup", "optimizer": "momentum", "l2": 0.01, "clip_norm": 1.0, "seed": 3},
        ),
    ],
)
def test_the_losses_are_those_of_a_run_with_that_schedule(more: list[str], settings: dict[str, Any]) -> None:
    found = object_of("--steps=40", "--lowest=1e-4", "--highest=1e-2", *more)
    rise = {"schedule": "exponential", "learning_rate": 1e-4, "decay_factor": 1e-2 / 1e-4, "decay_steps": 39}
    rates, losses = trained(40, **rise, **settings)
    assert found["rates"] == rates
    assert found["losses"] == losses


@pytest.mark.thorough
def test_it_starts_from_the_given_weights() -> None:
    trained(30, learning_rate=0.003)
    found = object_of("--steps=20", "--init_from=run")
    assert found["losses"][0] < 0.97 * object_of("--steps=20", "--out=fresh.png")["losses"][0]


@pytest.mark.thorough
def test_people_get_the_rates_and_a_command_that_trains() -> None:
    flags_given = ["--augment=flip,cutout:4", "--steps=100", "--model_args="]
    lines = ran(*flags_given)[0].splitlines()
    found = object_of(*flags_given, "--out=again.png")
    assert lines[0].startswith(f"{len(found['rates'])} steps, from a rate of 1e-06 up to ")
    assert ", where training diverges: loss " in lines[0]
    assert lines[1].split()[:3] == ["steepest", "fall", f"{found['steepest']:.2g}"]
    assert lines[2].split()[:4] == ["minimum", "/", "10", f"{found['tenth_of_minimum']:.2g}"]
    assert "hints" in lines[3]
    assert lines[4].strip() == found["command"]
    assert lines[5] == "Written to rates.png"
    program, command, *words = shlex.split(found["command"])
    assert (program, command) == ("tfcore", "train")
    given = {**flags.parse("lr_find", [*FLAGS, *flags_given]).given, "learning_rate": float(f"{found['steepest']:.2g}")}
    assert flags.parse("train", words).given == given


@pytest.mark.thorough
def test_a_model_of_ones_own_is_tested(folder: Path) -> None:
    Path("own.py").write_text(OWN, encoding="utf-8")
    found = object_of("--model=own.py:Own", "--steps=100")
    assert found["steepest"] is not None
    assert "--model=own.py:Own" in found["command"]
    assert not (folder / "runs").exists()


@pytest.mark.thorough
def test_a_loss_that_does_not_fall_is_told() -> None:
    Path("own.py").write_text(OWN, encoding="utf-8")
    out, _ = ran("--model=own.py:Constant", "--steps=20")
    assert "The loss does not fall between 1e-06 and 10 by more than its noise: there is no rate to suggest." in out
    assert "tfcore train" not in out
    found = object_of("--model=own.py:Constant", "--steps=20", "--out=again.png")
    assert [found[name] for name in ("steepest", "tenth_of_minimum", "command")] == [None, None, None]
    assert len(found["losses"]) == 20
    assert Path("again.png").exists()


@pytest.mark.thorough
def test_a_rate_that_is_too_low_throughout_is_told() -> None:
    out, _ = ran("--steps=100", "--highest=0.0005")
    assert "The loss has not risen again at 0.0005: its minimum may be at a higher rate. Raise --highest." in out


def test_nan_ends_the_test_and_is_null_in_json() -> None:
    found = object_of("--steps=40", "--lowest=1e34", "--highest=1e38")
    assert found["diverged"]
    assert found["losses"][-1] is None
    assert None not in found["losses"][:-1]
    assert found["command"] is None


@pytest.mark.thorough
def test_the_steps_of_a_call_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    found = object_of("--steps=60")
    assert found["diverged"]
    monkeypatch.setattr("tfcore.training.loop._CALL_SECS", 0.0)  # a call for each step
    assert object_of("--steps=60", "--out=again.png") == {**found, "out": "again.png"}


@pytest.mark.thorough
def test_bfloat16_and_microbatches_are_tested() -> None:
    found = object_of("--precision=bfloat16", "--microbatches=4", "--steps=100")
    assert found["steepest"] is not None


def test_what_is_there_is_not_overwritten() -> None:
    Path("rates.png").write_text("mine")
    out, err = ran(status=1)
    assert out == ""
    assert err == "error: rates.png is there already. Name another place, or delete it first.\n"
    assert Path("rates.png").read_text() == "mine"


def test_what_train_refuses_is_refused_alike(folder: Path) -> None:
    _, err = ran("--validation=0.0001", status=2)
    assert "holds out none of 400 training examples" in err
    assert err.count("\n") == 1
    assert list(folder.iterdir()) == []


@pytest.mark.thorough
def test_no_graph_is_traced_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    traces = []
    run_steps = tfcore.training.loop.Loop._run_steps
    monkeypatch.setattr("tfcore.training.loop.Loop._run_steps", lambda *given: (traces.append(1), run_steps(*given))[1])
    object_of("--steps=60")
    assert len(traces) == 1
    assert tf.executing_eagerly()
