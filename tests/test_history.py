"""The curves of a run as arrays."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import tfcore
from tfcore.errors import ConfigError, RunError
from tfcore.history import History

LINES = """\
{"step": 100, "split": "train", "loss": 2.5, "learning_rate": 1}
{"step": 150, "split": "validation", "loss": 2.25, "accuracy": 0.5}
{"step": 200, "split": "train", "loss": null, "learning_rate": 0.5, "gradient_norm": 3.0}
{"step": 200, "split": "test", "loss": 2.0}
"""


def run_of(folder: Path, lines: str | bytes | None = LINES) -> Path:
    (folder / "config.flags").touch()
    if lines is not None:
        (folder / "metrics.jsonl").write_bytes(lines.encode() if isinstance(lines, str) else lines)
    return folder


def test_curves_come_as_steps_and_values(tmp_path: Path) -> None:
    history = tfcore.History(str(run_of(tmp_path)))
    assert history.splits == ("train", "validation", "test")
    assert history.names("train") == ("loss", "learning_rate", "gradient_norm")
    steps, losses = history.curve("train", "loss")
    assert (steps.dtype, losses.dtype) == (np.int64, np.float64)
    np.testing.assert_array_equal(steps, [100, 200])
    np.testing.assert_array_equal(losses, [2.5, np.nan])
    assert history.curve("train", "learning_rate").values.dtype == np.float64
    assert history.curve("train", "gradient_norm").steps.tolist() == [200]
    assert history.curve("validation", "accuracy").values.tolist() == [0.5]


def test_a_line_may_have_the_norms_of_a_thousand_layers(tmp_path: Path) -> None:
    norms = {f"gradient_norm/block_{number}.first.second.third.weights": 1.0 for number in range(3000)}
    history = History(run_of(tmp_path, json.dumps({"step": 1, "split": "train", **norms}) + "\n"))
    assert len(history.names("train")) == 3000


@pytest.mark.parametrize("lines", [None, "", '{"step": 1, "spl'])
def test_a_run_that_has_logged_nothing_has_no_curves(tmp_path: Path, lines: str | None) -> None:
    assert History(run_of(tmp_path, lines)).splits == ()


def test_a_last_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    history = History(run_of(tmp_path, LINES + '{"step": 300, "split": "train", "loss": 1'))
    assert history.curve("train", "loss").steps.tolist() == [100, 200]


def test_an_unknown_name_is_told_with_the_nearest(tmp_path: Path) -> None:
    history = History(run_of(tmp_path))
    with pytest.raises(ConfigError, match="Did you mean 'train'"):
        history.names("trian")
    with pytest.raises(ConfigError, match="Did you mean 'loss'"):
        history.curve("validation", "los")


@pytest.mark.parametrize(
    "line", ["nonsense", "[1]", '"x"', '{"split": "train"}', '{"step": 1}', '{"step": 1, "split": "x", "loss": "high"}',
             '{"step": null, "split": "x"}', '{"step": 1, "split": "x", "loss": [1]}', "[" * 60_000,
             '{"step": 1e999, "split": "x"}', '{"step": 1' + "0" * 30 + ', "split": "x"}', "é", "9" * 5_000,
             '{"step": 1, "split": "x", "loss": 1' + "0" * 400 + "}", "\0" * 70_000],
    ids=lambda line: line[:40],
)  # fmt: skip
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(RunError, match=r"^Line 5 of .*metrics\.jsonl cannot be read: ") as caught:
        History(run_of(tmp_path, f"{LINES}{line}\n{LINES}"))
    assert "\n" not in str(caught.value)


def test_what_is_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"^Line 1 of .*metrics\.jsonl cannot be read"):
        History(run_of(tmp_path, b"\xff\xfe\n"))


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_what_is_no_file_is_named(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(run_of(tmp_path, None) / "metrics.jsonl")
    with pytest.raises(RunError, match=r"metrics\.jsonl cannot be read: it is no regular file\."):
        History(tmp_path)


def test_what_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"nowhere is not a run folder: it has no config\.flags\."):
        History(tmp_path / "nowhere")
