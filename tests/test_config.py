"""The configuration: what it refuses, how it is spelled as flags, and how long a run it means."""

import math
from dataclasses import FrozenInstanceError, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcore.config import KINDS, RunConfig
from tfcore.config.training import SCHEDULES
from tfcore.config_fields import IDENTITY, WATCHING
from tfcore.config_values import describe
from tfcore.errors import ConfigError

POSITIVE = ["learning_rate", "decay_factor", "batch_size", "microbatches", "steps", "epochs", "patience", "decay_steps"]
POSITIVE += ["evaluate_every_epochs", "checkpoint_every_epochs", "eval_batch_size", "log_every_steps"]
POSITIVE += ["batch_accuracy_every_steps", "print_every_epochs", "train_examples", "test_examples", "max_norm"]
POSITIVE += ["period_factor", "average_from_epochs", "average_every_epochs", "teacher_temperature"]
NOT_NEGATIVE = ["validation", "l1", "l2", "warmup_steps", "keep_checkpoints", "end_learning_rate", "intra_op_threads"]
NOT_NEGATIVE += ["inter_op_threads"]
CHOSEN = ["pixels", "precision", "schedule", "monitor"]

rates = st.floats(1e-300, 1e300)
shares = st.floats(0, 1, exclude_max=True)
sizes = st.lists(st.integers(1, 10**6), min_size=1).map(tuple)
rising = st.sets(st.integers(1, 10**6), min_size=1).map(lambda steps: tuple(sorted(steps)))
# Visible ASCII: a flag is a line, and lines are stripped.
words = st.text(st.characters(min_codepoint=33, max_codepoint=126) | st.sampled_from("ßλ权"), max_size=12)
ADAM = {"beta1": st.none() | shares, "beta2": st.none() | shares, "epsilon": st.none() | rates}
COMMON = {
    "model": words.filter(bool),
    "model_args": st.dictionaries(st.from_regex("[a-z]{1,3}", fullmatch=True), st.integers() | shares, max_size=3),
    "data_dir": words,
    "penalty_variables": words,
    "dropout": st.none() | st.lists(shares, min_size=1, max_size=2).map(tuple),
    "filters": st.none() | sizes,
    "seed": st.integers(-(2**63), 2**63),
    "validation": shares | st.integers(1, 10**6).map(float),
    "hidden": st.none() | sizes,
    "label_smoothing": shares,
    "learning_rate": rates,
    "clip_norm": st.none() | rates,
    "epochs": st.none() | st.floats(1e-300, 1e12),
    "batch_accuracy_every_steps": st.none() | st.integers(1, 10**9),
    "precision": st.sampled_from(["auto", "float32", "bfloat16"]),
}
configs = st.one_of(
    st.builds(RunConfig, optimizer=st.just("adam"), **COMMON, **ADAM),
    st.builds(RunConfig, optimizer=st.just("adamw"), weight_decay=st.none() | rates, **COMMON, **ADAM),
    st.builds(RunConfig, optimizer=st.just("momentum"), momentum=shares, nesterov=st.none() | st.booleans(), **COMMON),
    st.builds(RunConfig, schedule=st.just("step_wise"), decay_boundaries=rising, **COMMON),
    st.builds(RunConfig, schedule=st.sampled_from(SCHEDULES[2:]), decay_steps=st.integers(1, 2**62), **COMMON),
)


def test_the_defaults_are_valid_and_have_no_length_yet() -> None:
    config = RunConfig()
    assert (config.optimizer, config.learning_rate, config.schedule, config.batch_size) == (
        "adam",
        None,
        "cosine",
        128,
    )
    with pytest.raises(ConfigError, match="Give --steps or --epochs"):
        config.total_steps(100)


def test_a_configuration_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        RunConfig().seed = 1  # type: ignore[misc]


def test_every_field_says_what_it_is() -> None:
    for item in fields(RunConfig):
        assert item.metadata["part"] in (IDENTITY, WATCHING)
        assert item.metadata["help"].endswith("."), item.name


@pytest.mark.parametrize("name", POSITIVE)
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_what_has_to_be_positive_is(name: str, value: float) -> None:
    with pytest.raises(
        ConfigError, match=rf"`{name}` must be (above 0|an integer of at least 1|a whole.*)\. Received {value}"
    ):
        RunConfig(**{name: value})


@pytest.mark.parametrize("name", NOT_NEGATIVE)
@pytest.mark.parametrize("value", [-1, math.nan])
def test_what_must_not_be_negative_is_not(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"`{name}` must be (at least 0|a whole number.*)\. Received {value}"):
        RunConfig(**{name: value})


@pytest.mark.parametrize("value", [-0.1, 1, math.nan])
def test_label_smoothing_is_a_share(value: float) -> None:
    with pytest.raises(ConfigError, match="`label_smoothing` must be at least 0 and below 1"):
        RunConfig(label_smoothing=value)


@pytest.mark.parametrize("name", CHOSEN)
def test_a_choice_that_does_not_exist_is_refused_with_the_nearest(name: str) -> None:
    good = getattr(RunConfig(), name)
    with pytest.raises(ConfigError, match=rf"`{name}` must be one of .* Received '{good}x'\. Did you mean '{good}'"):
        RunConfig(**{name: f"{good}x"})


@pytest.mark.parametrize(
    ("given_values", "message"),
    [
        ({"steps": 10, "epochs": 1.0}, "Give --steps or --epochs, not both. Received 10 and 1"),
        ({"patience": 2, "validation": 0}, "--patience needs validation examples"),
        ({"rename": "keras"}, "--rename belongs to --init_from, the file of weights. Received --rename=keras."),
        (
            {"average_decay": 0.9, "average_from_epochs": 3},
            "Give --average_decay or --average_from_epochs, not both: a run keeps one average. Received 0.9 and 3.",
        ),
        (
            {"teacher": "runs/large", "progressive_resizing": "16:0.5"},
            "A teacher takes pictures of one size, those of the run: leave out --progressive_resizing or --teacher.",
        ),
        (
            {"teacher": "runs/large", "teacher_share": 1.0, "label_smoothing": 0.1},
            "--label_smoothing has no effect with --teacher_share=1, which leaves out the labels.",
        ),
        (
            {"pixels": "centered", "progressive_resizing": "16:0.5"},
            "--pixels=centered subtracts a mean picture of one size: with --progressive_resizing take standardized.",
        ),
        ({"batch_size": 10, "microbatches": 3}, "--microbatches must divide the batch of 10. Received 3"),
        (
            {"schedule": "cosine_restarts"},
            "--schedule=cosine_restarts needs --decay_steps, the length of its first period",
        ),
        (
            {"schedule": "one_cycle", "warmup_steps": 5},
            "rises by itself, over --warmup_share of its steps. Leave out --warmup_steps. Received 5.",
        ),
        ({"schedule": "step_wise"}, "--schedule=step_wise needs --decay_boundaries"),
        ({"schedule": "step_wise", "decay_boundaries": ()}, "--schedule=step_wise needs --decay_boundaries"),
        ({"schedule": "step_wise", "decay_boundaries": (5, 3)}, "--decay_boundaries must rise from step to step"),
        ({"decay_boundaries": (10,)}, "--decay_boundaries belongs to --schedule=step_wise. Received --schedule=cosine"),
    ],
)
def test_a_contradiction_is_refused(given_values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RunConfig(**given_values)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@given(configs)
def test_flags_and_back_is_the_same(config: RunConfig) -> None:
    assert RunConfig.from_flags(config.flags()) == config


@pytest.mark.parametrize("hidden", [(), (50,), (50, 30, 20)])
def test_a_list_of_any_length_comes_back(hidden: tuple[int, ...]) -> None:
    assert RunConfig.from_flags(RunConfig(hidden=hidden).flags()).hidden == hidden


def test_flags_are_one_a_line_and_leave_out_what_is_not_set() -> None:
    text = RunConfig(hidden=(50, 30), optimizer="momentum", nesterov=True).flags()
    assert text.endswith("\n")
    assert {"--model=softmax", "--hidden=50,30", "--nesterov=true", "--seed=0"} <= set(text.splitlines())
    assert "--beta1" not in text


@pytest.mark.parametrize(
    ("epochs", "examples", "batch_size", "steps"),
    [
        (1, 1000, 100, 10),
        (1, 1001, 100, 11),
        (10, 45_000, 128, 3516),
        (0.1, 1000, 10, 10),  # 0.1 in binary is a little more than a tenth
        (0.3, 1000, 10, 30),
        (0.001, 10, 128, 1),
        (2.5, 3, 2, 4),
    ],
)
def test_epochs_are_laid_end_to_end(epochs: float, examples: int, batch_size: int, steps: int) -> None:
    assert RunConfig(epochs=epochs, batch_size=batch_size).total_steps(examples) == steps


@given(st.integers(1, 400), st.integers(1, 10**6), st.integers(1, 5000))
def test_a_run_is_the_fewest_whole_steps_that_complete_its_epochs(tenths: int, examples: int, batch_size: int) -> None:
    config = RunConfig(epochs=tenths / 10, batch_size=batch_size)
    positions = Fraction(tenths, 10) * examples
    steps = config.total_steps(examples)
    assert (steps - 1) * batch_size < positions <= steps * batch_size
    assert config.steps_per_epoch(examples) * batch_size == examples


@pytest.mark.parametrize("length", [{"steps": 10**30}, {"epochs": 1e300}], ids=str)
def test_a_run_that_would_never_end_is_refused(length: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"at most 1,000,000,000,000 steps or epochs\. Received 1"):
        RunConfig(**length)


def test_a_length_in_steps_does_not_look_at_the_examples() -> None:
    assert RunConfig(steps=17).total_steps(1) == RunConfig(steps=17).total_steps(10**9) == 17


@pytest.mark.parametrize(
    ("given_values", "depends"),
    [
        ({"schedule": "cosine"}, True),
        ({"schedule": "polynomial"}, True),
        ({"schedule": "exponential"}, True),
        ({"schedule": "trapezoid"}, True),
        ({"schedule": "one_cycle"}, True),
        ({"schedule": "cosine", "decay_steps": 100}, False),
        ({"schedule": "trapezoid", "decay_steps": 100}, False),
        ({"schedule": "one_cycle", "decay_steps": 100}, False),
        ({"schedule": "cosine_restarts", "decay_steps": 100}, False),
        ({"schedule": "constant"}, False),
        ({"schedule": "step_wise", "decay_boundaries": (5,)}, False),
    ],
)
def test_whether_the_learning_rate_depends_on_the_length(given_values: dict[str, Any], depends: bool) -> None:
    assert RunConfig(**given_values).depends_on_length == depends


def test_differences_are_those_of_the_part_asked_for() -> None:
    there = RunConfig()
    here = replace(there, seed=1, hidden=(5,), log_every_steps=10)
    assert here.differences(there, IDENTITY) == {"seed": (1, 0), "hidden": ((5,), None)}
    assert here.differences(there, WATCHING) == {"log_every_steps": (10, 100)}
    assert there.differences(there, IDENTITY) == {}


def test_differences_are_described_as_flags() -> None:
    pairs = {"seed": (1, 0), "hidden": ((5, 6), (7,)), "nesterov": (True, False)}
    expected = "--seed=1 (there: 0), --hidden=5,6 (there: 7), --nesterov=true (there: false)"
    assert describe(pairs) == expected


odd = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=3),
    st.integers(-5, 300), st.floats(0, 1), st.sampled_from(["loss", "adam", "none", "a=1,b=2x3", "a=1,a=2"]),
    st.lists(st.integers(0, 9) | st.floats() | st.booleans() | st.text(max_size=2), max_size=3),
    st.lists(st.integers(1, 9), max_size=3), st.sampled_from([np.int64(3), np.float32(0.3), np.bool_(True)]),
    st.lists(st.floats(0, 1), max_size=3).map(np.array), st.dictionaries(words.filter(str.isidentifier), rates),
    st.just(10**5000), st.just({1, 2}), st.just(object()),
)  # fmt: skip


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", [item.name for item in fields(RunConfig)])
@given(value=odd)
def test_whatever_is_accepted_comes_back_from_its_flags(name: str, value: Any) -> None:
    try:
        config = RunConfig(**{name: value})
    except ConfigError:
        return
    again = RunConfig.from_flags(config.flags())
    assert again == config
    assert hash(again) == hash(config)
    assert type(getattr(config, name)) is type(getattr(again, name))


@pytest.mark.parametrize(
    ("name", "value", "converted"),
    [
        ("hidden", [8, 8], (8, 8)),
        ("dropout", 0.5, (0.5,)),
        ("seed", np.int64(3), 3),
        ("validation", 100, 100.0),
        ("learning_rate", np.float32(0.5), 0.5),
        ("data_dir", Path("there"), "there"),
        ("model_args", {"width": 64, "depth": [1, 2]}, "depth=1x2,width=64"),
        ("model_args", "width=64,depth=1x2", "depth=1x2,width=64"),
    ],
)
def test_a_value_from_python_becomes_what_the_flag_gives(name: str, value: Any, converted: Any) -> None:
    found = getattr(RunConfig(**{name: value}), name)
    assert (found, type(found)) == (converted, type(converted))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("seed", True, "`seed` must be a whole number, such as 100. Received True."),
        ("learning_rate", "0.1", "`learning_rate` must be a number, such as 0.001. Received '0.1'."),
        ("model", None, "`model` must be text. Received None."),
        ("hidden", [8.5], "`hidden` must be whole numbers with commas between, such as 50,50. Received [8.5]."),
        ("report", 1, "`report` must be true or false. Received 1."),
        ("dropout", [math.nan], "`dropout` must be numbers with commas between"),
        ("model_args", 3, "`model_args` must be text. Received 3."),
    ],
)
def test_a_value_of_another_type_is_refused(name: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RunConfig(**{name: value})
    assert message in str(caught.value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_number_may_be_anything_but_finite(value: float) -> None:
    for name, kind in KINDS.items():
        if kind.plain in (int, float):
            with pytest.raises(ConfigError, match=f"`{name}`"):
                RunConfig(**{name: value})
