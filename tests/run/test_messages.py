"""The messages of a run, with and without `quiet`."""

from dataclasses import replace
from pathlib import Path

import pytest

from tfcore.build.configuration import resolve
from tfcore.config import RunConfig
from tfcore.run import messages
from tfcore.run.session import Session
from tfcore.terminal import tables
from tfcore.training.run_folder import RunFolder

CONFIG = RunConfig(train_examples=200, test_examples=50, steps=4, batch_size=50, batch_accuracy_every_steps=1)
FIRST = ["tfcore:", "device:", "runtime:", "data:", "plan:", "run"]
LAST = ["best", "finished", "test", "Look"]


def said(path: Path, capsys: pytest.CaptureFixture[str], *, quiet: bool, pause_step: int | None = None) -> list[str]:
    """Returns the lines that one process prints for its part of a run."""
    with RunFolder(path) as folder:
        session = Session(resolve(CONFIG), folder, tables.console(to_stderr=False), quiet=quiet)
        session.run(pause_step=pause_step)
    return capsys.readouterr().out.splitlines()


def test_a_run_says_on_what_it_computes_and_how_it_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(tmp_path / "run", capsys, quiet=False)
    words = [line.split()[0] for line in lines]
    assert words[: len(FIRST)] == FIRST
    assert words[-len(LAST) :] == LAST
    assert lines[1].startswith("device: CPU, ")
    assert sum(line.startswith("Step ") for line in lines) == 4


def test_a_run_says_where_its_weights_come_from_and_which_do_not() -> None:
    assert messages.started_from("w.npz", ()) == "Starting from the weights of w.npz."
    assert messages.started_from("w.npz", ("a.biases", "b.weights")) == (
        "Starting from the weights of w.npz. It has no a.biases, b.weights, which keep their initial values."
    )


@pytest.mark.thorough
def test_a_quiet_run_says_how_it_ended_and_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run"
    (line,) = said(path, capsys, quiet=True, pause_step=2)
    assert line == f"Stopped and saved at step 2 of 4. Resume with --run_dir={path}"
    (path / "checkpoints" / "step-0000000001").mkdir()
    (path / "checkpoints" / "step-0000000003").mkdir()  # the newest, and empty
    warning, *lines = said(path, capsys, quiet=True)
    assert warning.startswith("warning: The checkpoint ")
    assert [line.split()[0] for line in lines] == LAST


OWN = """
import tensorflow as tf
from tfcore.layers import Conv2D, GlobalAveragePool, Linear, Sequential

class Widen(tf.Module):
    def __call__(self, x, *, training, key=None):
        return tf.cast(x, tf.float32)

class Nothing(tf.Module):
    def __call__(self, x, *, training, key=None):
        return x

class Plain(Sequential):
    kind = Nothing

    def __init__(self, image_shape, classes, *, pixels, seed):
        super().__init__({
            "pixels": pixels, "conv": Conv2D(image_shape[2], 4, 3, name="conv", seed=seed), "middle": self.kind(),
            "pool": GlobalAveragePool(), "logits": Linear(4, classes, name="logits", seed=seed),
        })

class Widened(Plain):
    kind = Widen

class Inside(Plain):
    def __call__(self, x, *, training, key=None):
        return super().__call__(tf.cast(x, tf.float32), training=training, key=key)

class Casting(Plain):
    def __call__(self, x, *, training, key=None):
        x = self.conv(self.pixels(x, training=training), training=training)
        return self.logits(tf.cast(self.pool(x, training=training), tf.float32), training=training)
"""


@pytest.mark.parametrize(
    ("model", "precision", "first", "warning"),
    [
        ("Plain", "bfloat16", "1 convolution and 1 product in bfloat16, 0 in float32 (", None),
        ("Plain", "float32", "1 convolution and 1 product in float32 (as configured)", None),
        ("Inside", "bfloat16", "1 convolution and 1 product in bfloat16, 0 in float32 (", None),
        (
            "Widened", "bfloat16", "1 convolution in bfloat16, 1 product in float32 (",
            "1 of 2 products compute in another type: layer 'middle' (Widen) is the first to return float32.",
        ),
        (
            "Casting", "bfloat16", "1 convolution in bfloat16, 1 product in float32 (",
            "1 of 2 products compute in another type: layer 'logits' (Linear) is the first to return float32.",
        ),
    ],
)  # fmt: skip
def test_the_first_line_counts_the_products_as_traced(
    tmp_path: Path, model: str, precision: str, first: str, warning: str | None
) -> None:
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    config = replace(CONFIG, model=f"{tmp_path / 'own.py'}:{model}", precision=precision, report=False)
    with RunFolder(tmp_path / "run") as folder:
        session = Session(resolve(config), folder, tables.console(to_stderr=False))
        lines = [str(line) for line in messages.introduction(session.parts, folder.path)]
    assert lines[0].startswith(f"tfcore: {config.model} on shapes, {first}")
    warnings = [line for line in lines if line.startswith("warning: ")]
    assert warnings == ([f"warning: --precision=bfloat16, but {warning}"] if warning else [])
