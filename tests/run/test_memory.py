"""The estimate of a step's memory, and the warning about a batch that does not fit."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tfcore import machine
from tfcore.build.configuration import resolve
from tfcore.config import RunConfig
from tfcore.modules import LayerRow
from tfcore.run import memory
from tfcore.run.memory import step_bytes, warning
from tfcore.run.parts import Parts, build_parts
from tfcore.run.session import Session
from tfcore.terminal import tables
from tfcore.training.run_folder import RunFolder

ROWS = [LayerRow("conv", "Conv2D", (None, 8, 8, 4), 100, 0), LayerRow("norm", "BatchNorm", (None, 10), 20, 7)]

CONFIG = resolve(
    RunConfig(train_examples=100, test_examples=20, batch_size=64, steps=2, summaries="none", report=False)
)


@pytest.fixture(scope="module")
def parts() -> Parts:
    return build_parts(CONFIG)


@pytest.mark.parametrize(("examples", "number_bytes"), [(1, 4), (32, 4), (32, 2)])
def test_a_step_takes_outputs_and_gradients(examples: int, number_bytes: int) -> None:
    assert step_bytes(ROWS, examples=examples, number_bytes=number_bytes) == examples * 266 * number_bytes + 4 * 120


@pytest.mark.parametrize(
    ("available_mb", "microbatches", "advice"),
    [(150, 1, None), (110, 1, None), (60, 1, "; lower --batch_size or use --microbatches=2"),
     (20, 1, "; lower --batch_size or use --microbatches=5"), (60, 2, None),
     (20, 2, "; lower --batch_size or use --microbatches=5"), (0, 1, "; lower --batch_size")],
)  # fmt: skip
def test_a_batch_that_will_not_fit_is_one_line_with_what_would(
    parts: Parts, available_mb: int, microbatches: int, advice: str | None
) -> None:
    config = replace(CONFIG, batch_size=90_000, microbatches=microbatches)
    line = warning(replace(parts, config=config, layers=tuple(ROWS)), available_mb * 10**6)
    gigabytes = {1: "0.1", 2: "0.0"}[microbatches]
    start = f"warning: a batch of 90,000 needs about {gigabytes} GB, {available_mb / 1000:.1f} GB are free"
    assert line == ("" if advice is None else start + advice)


def test_no_line_where_the_free_memory_is_unknown_or_a_gpus(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    assert warning(parts, None) == ""
    monkeypatch.setattr(machine, "available_bytes", lambda: 1000)
    assert memory.free_bytes() == 1000
    assert warning(parts, 1000).startswith("warning: a batch of 64 needs about")
    monkeypatch.setattr(machine, "has_gpu", lambda: True)
    assert memory.free_bytes() is None


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("available", "warned"), [(10**12, False), (1000, True)])
def test_a_run_is_warned_before_its_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], available: int, warned: bool
) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda: available)
    with RunFolder(tmp_path / "run") as folder:
        Session(CONFIG, folder, tables.console(to_stderr=False)).run()
    printed = capsys.readouterr().out
    assert bool(re.search(r"^warning: a batch of 64 needs about.*^epoch", printed, re.M | re.S)) is warned
