"""Runs with methods whose state or gradients differ from the usual: resumed to the bit, and scored at their weights."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import tfcore
from tfcore.build.configuration import resolve
from tfcore.config import RunConfig
from tfcore.run import messages
from tfcore.run.parts import Parts
from tfcore.run.session import Session
from tfcore.training.run_folder import RunFolder
from tools.reliability.run_differences import differences

COMMON: dict[str, Any] = {
    "model": "mlp", "hidden": (8,), "train_examples": 600, "test_examples": 100, "batch_size": 60,
    "microbatches": 2, "steps": 24, "log_every_steps": 7, "patience": 20, "l2": 1e-4, "sam_radius": 0.05,
    "xla": "off", "report": False, "summaries": "none",
}  # fmt: skip
CONFIGS: dict[str, dict[str, Any]] = {
    "schedule_free_adamw": {"optimizer": "schedule_free_adamw", "schedule": "constant", "warmup_steps": 5},
    "adafactor": {"optimizer": "adafactor", "beta1": 0.5},
}


def train(path: Path, pause_step: int | None = None, **given: Any) -> Session:
    """Runs one process's part of a run."""
    with RunFolder(path) as folder:
        session = Session(resolve(RunConfig(**COMMON | given)), folder, Console(quiet=True))
        session.run(pause_step=pause_step)
    return session


def warned_of_schedule(parts: Parts) -> list[str]:
    lines = (str(line) for line in messages.introduction(parts, Path("run")))
    return [line for line in lines if "averages its weights" in line]


@pytest.mark.parametrize("name", ["schedule_free_adamw", pytest.param("adafactor", marks=pytest.mark.thorough)])
def test_stopped_and_resumed_equals_uninterrupted(tmp_path: Path, name: str) -> None:
    train(tmp_path / "whole", **CONFIGS[name])
    train(tmp_path / "stopped", pause_step=11, **CONFIGS[name])
    train(tmp_path / "stopped", **CONFIGS[name])
    assert differences(tmp_path / "whole", tmp_path / "stopped") == []


@pytest.mark.thorough
def test_the_average_is_scored_saved_and_loaded(tmp_path: Path) -> None:
    run = tmp_path / "run"
    given: dict[str, Any] = CONFIGS["schedule_free_adamw"] | {"patience": None, "learning_rate": 0.01}
    parts = train(run, **given).parts
    scored = json.loads((run / "result.json").read_text(encoding="utf-8"))["test"]["loss"]
    assert tfcore.evaluate(run)["loss"] == pytest.approx(scored, rel=1e-6)
    assert parts.evaluation(parts.evaluation_batches("test")).loss == scored
    with parts.step.optimizer.at_gradient_point():
        assert parts.evaluation(parts.evaluation_batches("test")).loss != pytest.approx(scored, rel=1e-4)
    assert not warned_of_schedule(parts)
    (line,) = warned_of_schedule(replace(parts, config=replace(parts.config, schedule="cosine")))
    assert line.startswith("warning: schedule_free_adamw averages")
    assert line.endswith("its schedule is constant, best with --warmup_steps. Received --schedule=cosine.")
