"""Run folders written without training, for tests of loading, exporting and predicting."""

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfcore.architecture import Architecture
from tfcore.build.model import build_model
from tfcore.modules import named_parameters, named_variables
from tfcore.training.checkpoints import Checkpoints

PLAN = Architecture("mlp", (4, 5, 3), ("cat", "dog", "emu"), "standardized", sizes={"hidden": (6,)})
MakeRun = Callable[..., pathlib.Path]


@pytest.fixture
def make_run(tmp_path: pathlib.Path) -> MakeRun:
    """Provides `make_run(steps, best=…)`: writes a run with random weights and averages at every step."""

    def make(
        steps: tuple[int, ...] = (10, 20),
        *,
        plan: Architecture = PLAN,
        best: int = 10,
        flags: str = "",
        cls: Any = None,
    ) -> pathlib.Path:
        folder = tmp_path / "run"
        folder.mkdir()
        (folder / "config.flags").write_text(f"--model={plan.model}\n{flags}", encoding="utf-8")
        (folder / "architecture.json").write_text(plan.to_json(), encoding="utf-8")
        for step in steps:
            checkpoints = Checkpoints(folder / "checkpoints", _state(plan, step, best, cls), keep=None)
            checkpoints.save(step)
        return folder

    return make


def _state(plan: Architecture, step: int, best: int, cls: Any) -> dict[str, tf.Variable]:
    module, generator = build_model(plan, seed=step, cls=cls), np.random.default_rng(step)
    for variable in named_variables(module).values():
        variable.assign(generator.uniform(0.2, 1, variable.shape))
    averages = {path: tf.Variable(variable + 1) for path, variable in named_parameters(module).items()}
    return {
        **{f"model.{path}": variable for path, variable in named_variables(module).items()},
        **{f"optimizer.average.{path}": variable for path, variable in averages.items()},
        "optimizer.step": tf.Variable(step, dtype=tf.int64),
        "early_stopping.best_step": tf.Variable(best, dtype=tf.int64),
    }


def weights_at(step: int, plan: Architecture = PLAN, *, average: bool = False) -> dict[str, np.ndarray]:
    """Returns the weights that `make_run` wrote into the checkpoint of a step."""
    state = {name: variable.numpy() for name, variable in _state(plan, step, 0, None).items()}
    found = {name.removeprefix("model."): value for name, value in state.items() if name.startswith("model.")}
    if average:
        start = "optimizer.average."
        found |= {name.removeprefix(start): value for name, value in state.items() if name.startswith(start)}
    return found


@pytest.fixture
def expected_weights() -> Callable[..., dict[str, np.ndarray]]:
    """Provides `expected_weights(step, average=…)`: the weights that `make_run` wrote."""
    return weights_at
