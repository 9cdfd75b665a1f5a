"""Errors in users' files: one line with file and line, and the layers before the one that failed."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tfcore.build import user_code
from tfcore.cli.main import main
from tfcore.errors import ConfigError, DataError

MODEL = """import tensorflow as tf
from tfcore.layers import Flatten, Linear

class Net(tf.Module):
    def __init__(self, image_shape, classes, *, pixels, seed):
        super().__init__()
        self.pixels, self.flatten = pixels, Flatten()
        self.hidden = Linear(3072, 20, name="hidden", seed=seed)
        self.logits = Linear(20, classes, name="logits", seed=seed)

    def __call__(self, x, *, training, key=None):
        x = self.flatten(self.pixels(x, training=training), training=training)
        x = self.hidden(x, training=training)
        return self.logits(x, training=training)

def data(folder):
    return inner(folder)

def inner(folder):
    return 1 / len(folder.parts[:0])

class Other:
    def __init__(self, image_shape, classes):
        pass
"""
PARTS = """from tfcore.optimizers import Optimizer

def loss(logits, labels):
    return {}["no"]

class Rule(Optimizer):
    @staticmethod
    def _rule(gradient, slots, minus_rate, settings):
        return slots["no"], {}

    def __init__(self, parameters, learning_rate, **chain):
        super().__init__(parameters, learning_rate, slots={}, **chain)
"""
CASES = [  # what stands there, what it becomes, the name, what is said, whether there is a table
    (
        "Linear(20, classes", "Linear(30, classes", "model=own.py:Net",
        "error: The model breaks in logits (Linear), which was given (N, 20): Layer 'logits' takes x of shape "
        "[N, …, 30]. Received (None, 20). For pictures, put layers.Flatten() first (own.py, line 14).\n", True,
    ),
    (
        "x = self.hidden(x,", "x = self.hiden(x,", "model=own.py:Net",
        "error: The model breaks in net (Net), which was given (N, 32, 32, 3): AttributeError: 'Net' object has no "
        "attribute 'hiden' (own.py, line 13).\n", True,
    ),
    (
        "x = self.hidden(x,", "x = self.hiden(x,) if training else self.hidden(x,", "model=own.py:Net",
        "'Net' object has no attribute 'hiden' (own.py, line 13).\n", True,
    ),
    (
        "Linear(20, classes", "Linear(20, 7", "model=own.py:Net",
        "error: The model must return logits [N, 10], one for each class. Received (N, 7).\n", True,
    ),
    (
        "super().__init__()", "super().__init__(); 1 / 0", "model=own.py:Net",
        "error: --model=own.py:Net raises an error: ZeroDivisionError: division by zero (own.py, line 6).\n", False,
    ),
    (
        "import tensorflow", "import numpy; numpy.nothing\\nimport tensorflow", "model=own.py:Net",
        "error: own.py does not run: AttributeError: module 'numpy' has no attribute 'nothing' (own.py, line 1).\n",
        False,
    ),
    (
        "", "", "model=own.py:Other",
        "error: --model=own.py:Other must be a tf.Module, whose variables can be found. Received Other.\n", False,
    ),
    (
        "", "", "dataset=own.py:data",
        "error: --dataset=own.py:data raises an error: ZeroDivisionError: division by zero (own.py, line 20).\n", False,
    ),
]  # fmt: skip


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("old", "new", "flag", "line", "has_table"), CASES)
def test_a_mistake_is_one_line_and_nothing_is_left(
    old: str, new: str, flag: str, line: str, has_table: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(MODEL.replace(old, new.replace("\\n", "\n")) if old else MODEL)
    assert main(["train", f"--{flag}", "--train_examples=50", "--run_dir=run"]) == 2
    printed = capsys.readouterr().err
    *table, last = printed.splitlines(keepends=True)
    assert last.endswith(line)
    assert [word in printed for word in ("The layers before", "flatten", "(N, 3072)")] == [has_table] * 3
    assert bool(table) is has_table
    assert not Path("run").exists()


@pytest.mark.parametrize("flags", [["--loss=own.py:loss"], ["--optimizer=own.py:Rule", "--learning_rate=1"]])
def test_a_mistake_that_training_runs_into_is_one_line(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(PARTS)
    assert main(["train", *flags, "--train_examples=50", "--steps=2", "--run_dir=run", "--summaries=none"]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.fullmatch(r"error: Your own code raises an error: KeyError: 'no' \(own\.py, line [49]\)\.", last)


def test_a_mistake_of_tfcores_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfcore.cli.flags.parse", int)
    with pytest.raises(TypeError):
        main(["train"])


def raising(error: Exception) -> Callable[[], None]:
    def call() -> None:
        with user_code.telling("--model=a.py:B"):
            raise error

    return call


def test_our_own_errors_pass() -> None:
    for error in (DataError("bad"), MemoryError()):
        with pytest.raises(type(error)) as caught:
            raising(error)()
        assert caught.value is error
    with pytest.raises(ConfigError, match=r"--model=a\.py:B raises an error: KeyError: 1 \(.*test_user_code\.py, line"):
        raising(KeyError(1))()


def test_without_a_line_of_user_code_there_is_no_place() -> None:
    assert user_code.place(None) == ""
    assert user_code.place(KeyError(1)) == ""
