"""The registry of optimizers: what it says is what the classes take, and what they do not take is refused."""

import inspect
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from tfcore.build import lookup, registry
from tfcore.build.configuration import resolve
from tfcore.build.tables import OPTIMIZERS, check_names
from tfcore.config import RunConfig
from tfcore.errors import ConfigError
from tfcore.optimizers import Optimizer
from tfcore.optimizers.chain import Chain

FIELDS = {item.name for item in fields(RunConfig)}
OWN = """
from tfcore.optimizers import Adam

class Inherits(Adam): pass

class Named(Adam):
    def __init__(self, parameters, learning_rate=0.25, *, momentum=0.5, rho, clip_norm=None): pass

class Chained(Adam):
    def __init__(self, parameters, learning_rate, *, weight_decay=0.5, **chain): pass

class Odd(Adam):
    def __init__(self, parameters, learning_rate="fast"): pass
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return path


def test_the_settings_are_those_of_the_classes() -> None:
    expected: dict[str, dict[str, Any]] = {}
    for name in OPTIMIZERS:
        for setting, item in inspect.signature(lookup.find(name, OPTIMIZERS)).parameters.items():
            if setting in FIELDS:
                expected.setdefault(setting, {})[name] = item.default
    assert registry.settings(OPTIMIZERS) == expected
    assert {"learning_rate", "momentum", "nesterov", "epsilon", "weight_decay"} <= expected.keys()


def test_every_setting_of_an_optimizer_is_a_flag() -> None:
    given_by_build = {"parameters", "chain"}
    for name in OPTIMIZERS:
        assert set(inspect.signature(lookup.find(name, OPTIMIZERS)).parameters) - given_by_build <= FIELDS


def test_the_chain_is_what_the_base_class_takes() -> None:
    chain = set(inspect.signature(Optimizer).parameters) - {"parameters", "learning_rate", "slots"}
    assert chain == set(Chain.__annotations__)
    assert set(registry.chain_settings()) == chain & FIELDS
    assert chain & FIELDS == {"clip_value", "clip_norm", "lookahead_steps", "lookahead_share", "average_decay"}


@pytest.mark.parametrize(
    ("given_values", "message"),
    [
        ({"momentum": 0.9}, "--momentum belongs to --optimizer=momentum or rmsprop or lars or muon. Received adam."),
        ({"nesterov": False}, "--nesterov belongs to --optimizer=momentum or muon. Received adam."),
        (
            {"optimizer": "momentum", "beta1": 0.9},
            "--beta1 belongs to --optimizer=adam or adamw or nadam or lion or lamb or adafactor or "
            "schedule_free_adamw or muon. Received momentum.",
        ),
        ({"optimizer": "gradient_descent", "epsilon": 1e-8}, "--epsilon belongs to --optimizer=adagrad or"),
        (
            {"weight_decay": 0.01},
            "--weight_decay belongs to --optimizer=adamw or lion or lars or lamb or adafactor or "
            "schedule_free_adamw or muon. Received adam.",
        ),
        ({"scale_by_weights": False}, "--scale_by_weights belongs to --optimizer=adafactor. Received adam."),
        ({"rho": 0.5}, "--rho belongs to --optimizer=adadelta or rmsprop. Received adam."),
        ({"optimizer": "{own}:Named", "beta1": 0.5}, ":Named takes no --beta1. Leave it out."),
        ({"optimizer": "{own}:Named", "clip_value": 0.5}, ":Named takes no --clip_value. Leave it out."),
        ({"optimizer": "{own}:Chained", "momentum": 0.5}, ":Chained takes no --momentum. Leave it out."),
        ({"optimizer": "{own}:Inherits", "rho": 0.5}, ":Inherits takes no --rho. Leave it out."),
    ],
)
def test_a_setting_that_the_optimizer_does_not_take_is_refused(
    own: Path, given_values: dict[str, Any], message: str
) -> None:
    given = {name: value.format(own=own) if isinstance(value, str) else value for name, value in given_values.items()}
    with pytest.raises(ConfigError) as caught:
        check_names(RunConfig(learning_rate=0.1, **given))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "given_values",
    [
        {"optimizer": "{own}:Named", "momentum": 0.5, "rho": 0.5, "clip_norm": 1.0},
        {"optimizer": "{own}:Chained", "weight_decay": 0.5, "clip_value": 0.5, "average_decay": 0.5},
        {"optimizer": "{own}:Inherits", "beta1": 0.5, "epsilon": 1e-3, "clip_norm": 1.0},
    ],
)
def test_a_users_optimizer_may_have_every_setting_that_it_names(own: Path, given_values: dict[str, Any]) -> None:
    given = {**given_values, "optimizer": given_values["optimizer"].format(own=own)}
    check_names(RunConfig(learning_rate=0.1, **given))


@pytest.mark.parametrize(("name", "rate"), [("Named", 0.25), ("Inherits", 0.001), ("Chained", None), ("Odd", None)])
def test_a_users_default_learning_rate_counts(own: Path, name: str, rate: float | None) -> None:
    config = resolve(RunConfig(optimizer=f"{own}:{name}"))
    assert config.learning_rate == rate
    if rate is None:
        with pytest.raises(ConfigError, match="needs --learning_rate: its __init__ has no default for it"):
            check_names(config)
    assert resolve(RunConfig(optimizer=f"{own}:{name}", learning_rate=3.0)).learning_rate == 3.0


@pytest.mark.parametrize(
    ("given_values", "decays"),
    [
        ({"optimizer": "adamw"}, True),
        ({"optimizer": "adamw", "weight_decay": 0.0}, False),
        ({"optimizer": "lion"}, False),
        ({"optimizer": "lion", "weight_decay": 0.1}, True),
        ({"optimizer": "adam"}, False),
        ({"optimizer": "nowhere.py:Unknown"}, True),
    ],
)
def test_whether_an_optimizer_decays_weights(given_values: dict[str, Any], decays: bool) -> None:
    assert registry.decays(RunConfig(**given_values), OPTIMIZERS) is decays
