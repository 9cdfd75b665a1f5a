"""Phases of a run as planned from its configuration."""

import pytest

from tfcore.build.phases import PhasePlan, plan_phases, refuse
from tfcore.config import RunConfig
from tfcore.errors import ConfigError

PATHS = ("conv.weights", "conv.biases", "logits.weights")


def plan(image_shape: tuple[int, int, int] = (32, 32, 3), **given: object) -> tuple[PhasePlan, ...]:
    config = RunConfig(**({"batch_size": 8, "steps": 100} | given))  # type: ignore[arg-type]
    return plan_phases(config, PATHS, examples=100, image_shape=image_shape)


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


def test_sizes_end_at_shares_of_the_run() -> None:
    found = plan(progressive_resizing="16:0.4,24:0.701")
    assert found == (PhasePlan(0, image_size=(16, 16)), PhasePlan(40, image_size=(24, 24)), PhasePlan(71))
    assert plan(progressive_resizing="24:.3,16:.35", steps=10)[1] == PhasePlan(3, image_size=(16, 16))  # any order
    assert plan(progressive_resizing="24:0.1,16:0.15", steps=3) == (PhasePlan(0, image_size=(24, 24)), PhasePlan(1))


def test_the_full_size_must_have_steps() -> None:
    with pytest.raises(ConfigError, match=r"leave steps for the full size\. 16:0\.95 ends at step 10 of 10\."):
        plan(progressive_resizing="16:0.95", steps=10)


def test_the_width_follows_from_the_height() -> None:
    assert plan((32, 48, 1), progressive_resizing="15:0.5")[0].image_size == (15, 22)
    assert plan((32, 1, 1), progressive_resizing="8:0.5")[0].image_size == (8, 1)


def test_sizes_and_freezing_have_phases_together() -> None:
    frozen = frozenset(["conv.biases"])
    assert plan(progressive_resizing="16:0.4", freeze_after="biases:2") == (
        PhasePlan(0, image_size=(16, 16)), PhasePlan(25, frozen, (16, 16)), PhasePlan(40, frozen)
    )  # fmt: skip


def test_pictures_are_not_enlarged() -> None:
    with pytest.raises(ConfigError, match=r"takes heights below that of the pictures, 32, .* Received 32"):
        plan(progressive_resizing="16:0.4,32:0.6")


@pytest.mark.parametrize(
    "text",
    ["16", "16:1", "16:0", "0:0.5", "16:0.5,24:0.5", "16:0.6,24:0.5", "16x16:0.5", "16:0.5,", "16:1/2", "-8:0.5"],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(
        ConfigError, match="`progressive_resizing` takes heights of pictures, each up to a share of the"
    ):
        RunConfig(progressive_resizing=text)


@pytest.mark.parametrize("given", [{"freeze_after": "conv:1"}, {"progressive_resizing": "16:0.4"}], ids=str)
def test_commands_that_measure_steps_refuse_phases(given: dict[str, str]) -> None:
    refuse(RunConfig(), "lr_find")
    with pytest.raises(
        ConfigError, match=f"`tfcore lr_find` takes no --{next(iter(given))}: all its steps must be alike"
    ):
        refuse(RunConfig(**given), "lr_find")  # type: ignore[arg-type]
