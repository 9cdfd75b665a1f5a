"""Phases of a run as planned from its configuration."""

import pytest

from tfcore.build.phases import PhasePlan, plan_phases
from tfcore.config import RunConfig
from tfcore.errors import ConfigError

PATHS = ("conv.weights", "conv.biases", "logits.weights")


def plan(examples: int = 100, **given: object) -> tuple[PhasePlan, ...]:
    config = RunConfig(**({"batch_size": 8, "steps": 100} | given))  # type: ignore[arg-type]
    return plan_phases(config, PATHS, examples=examples)


def test_a_run_is_one_phase_by_default() -> None:
    assert plan() == plan(freeze="conv") == (PhasePlan(0),)


def test_parameters_are_frozen_in_the_step_in_which_their_epochs_end() -> None:
    found = plan(freeze_after="biases:0.1,conv:3")
    biases, both = frozenset(["conv.biases"]), frozenset(["conv.biases", "conv.weights"])
    assert found == (PhasePlan(0), PhasePlan(2, biases), PhasePlan(38, both))  # of 12.5 steps per epoch


def test_parameters_must_be_frozen_before_the_end() -> None:
    assert plan(freeze_after="conv:2", steps=26)[-1].first_step == 25
    message = r"before the end of the run, 25 steps\. 'conv\.weights' would be frozen after 25"
    with pytest.raises(ConfigError, match=message):
        plan(freeze_after="conv:2", steps=25)
