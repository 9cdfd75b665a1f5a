"""Settings of single parameters: every combination of freezing, factors and weight decay, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from tfcore.build.groups import frozen_after, parameter_groups
from tfcore.build.optimizer import build_optimizer
from tfcore.config import RunConfig
from tfcore.errors import ConfigError
from tfcore.optimizers.chain import Terms, terms_by_path

CONV, SCALE, HEAD, BIASES = PATHS = ("conv_1.weights", "conv_1_norm.scale", "logits.weights", "logits.biases")
DECAY = 0.25


def terms(*, decays: bool = True, **given: Any) -> dict[str, Terms]:
    groups = parameter_groups(RunConfig(**given), PATHS, decays=decays)
    return terms_by_path(groups, PATHS, DECAY if decays else None)


def test_without_settings_there_is_no_group() -> None:
    assert parameter_groups(RunConfig(), PATHS, decays=False) == ()


@pytest.mark.parametrize(
    ("given", "factors"),
    [
        ({}, (1, 1, 1, 1)),
        ({"freeze": "^conv"}, (0, 0, 1, 1)),
        ({"learning_rate_factors": "weights$:0.5"}, (0.5, 1, 0.5, 1)),
        ({"learning_rate_factors": "logits:1,.:0.1"}, (0.1, 0.1, 1, 1)),
        ({"learning_rate_factors": "biases:2,logits:3,conv:0"}, (0, 0, 3, 2)),
        ({"freeze": "scale", "learning_rate_factors": "^conv:0.1,.:0.5"}, (0.1, 0, 0.5, 0.5)),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("decayed", "which"),
    [({}, (CONV, HEAD)), ({"decayed_variables": "^conv"}, (CONV, SCALE)), ({"decayed_variables": ""}, PATHS)],
    ids=["weights", "conv", "all"],
)
def test_every_parameter_has_its_factor_and_its_decay(
    given: dict[str, str], factors: tuple[float, ...], decayed: dict[str, str], which: tuple[str, ...]
) -> None:
    found = terms(**given, **decayed)
    assert found == {
        path: Terms(factor, DECAY if path in which else 0) for path, factor in zip(PATHS, factors, strict=True)
    }
    assert terms(**given, decays=False) == {p: Terms(f, 0) for p, f in zip(PATHS, factors, strict=True)}


def test_a_group_is_of_one_path_and_not_of_those_that_contain_it() -> None:
    paths = ("conv.weights", "conv.weights_2", "deconv.weights", "convxweights")
    groups = parameter_groups(RunConfig(freeze=r"^conv\.weights$"), paths, decays=False)
    frozen = [path for path, found in terms_by_path(groups, paths, None).items() if not found.learning_rate_factor]
    assert frozen == ["conv.weights"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"freeze": "moving_mean"},
            "`freeze` must match a parameter. 'moving_mean' matches none of conv_1.weights, conv",
        ),
        (
            {"learning_rate_factors": "^conv:0.1,head:2"},
            "`learning_rate_factors` must match a parameter. 'head' matches",
        ),
        (
            {"decayed_variables": "kernel"},
            "`decayed_variables` must match a parameter. 'kernel' matches none of conv_1",
        ),
        ({"decayed_variables": "("}, "`decayed_variables` must be a regular expression. Received '('"),
        (
            {"freeze": "."},
            "`freeze` must leave a parameter to train. All are frozen: conv_1.weights, conv_1_norm.scale",
        ),
        ({"learning_rate_factors": ".:0"}, "`learning_rate_factors` must leave a parameter to train."),
        ({"freeze": "^conv", "learning_rate_factors": "logits:0"}, "`freeze` must leave a parameter to train."),
        (
            {"learning_rate_factors": "conv:0.1,scale:2"},
            "All that 'scale' matches is set by an earlier pattern: conv_1_norm.scale.",
        ),
        ({"freeze": "^conv", "learning_rate_factors": "scale:2"}, "`learning_rate_factors` must not repeat what comes"),
    ],
    ids=str,
)
def test_a_pattern_without_effect_is_refused(given: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        terms(**given)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("given", "epochs"),
    [
        ({}, {}),
        ({"freeze": SCALE}, {}),
        ({"freeze_after": "^conv:3"}, {CONV: 3, SCALE: 3}),
        ({"freeze_after": "weights:2.5,^conv:4"}, {CONV: 2.5, HEAD: 2.5, SCALE: 4}),
        ({"freeze": SCALE, "learning_rate_factors": "biases:0", "freeze_after": "conv|biases:1"}, {CONV: 1}),
    ],
    ids=str,
)
def test_every_parameter_is_frozen_after_its_epochs(given: dict[str, str], epochs: dict[str, float]) -> None:
    assert frozen_after(RunConfig(**given), PATHS) == epochs  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"freeze_after": "kernel:1"},
            "`freeze_after` must match a parameter. 'kernel' matches none of conv_1.weights",
        ),
        ({"freeze_after": ".:1"}, "`freeze_after` must leave a parameter to train. All are frozen: conv_1.weights"),
        ({"freeze_after": "^conv:1,scale:2"}, "All that 'scale' matches is set by an earlier pattern: conv_1_norm.sc"),
        ({"freeze": "^conv", "freeze_after": "scale:1"}, "`freeze_after` must not repeat what comes before."),
        ({"freeze_after": "conv:0"}, "`freeze_after` must be above 0. Received 0.0."),
        ({"freeze_after": "conv"}, "`freeze_after` must be pairs such as ^conv:0.1,logits:2. Received 'conv'."),
    ],
    ids=str,
)
def test_freezing_later_without_effect_is_refused(given: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        frozen_after(RunConfig(**given), PATHS)  # type: ignore[arg-type]
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["freeze", "learning_rate_factors"])
def test_a_text_that_is_no_pattern_is_refused_with_the_configuration(name: str) -> None:
    with pytest.raises(ConfigError, match=f"`{name}` must be a regular expression"):
        RunConfig(**{name: "conv(:0.5"})


def test_a_users_optimizer_must_take_groups(tmp_path: Path) -> None:
    source = (
        "from tfcore.optimizers import Adam\n\nclass Bare(Adam):\n    def __init__(self, parameters, learning_rate):\n"
    )
    (tmp_path / "bare.py").write_text(f"{source}        super().__init__(parameters, learning_rate)\n")
    parameters = {"logits.weights": tf.Variable([1.0]), "logits.biases": tf.Variable([1.0])}
    for given in ({"freeze": "biases"}, {"learning_rate_factors": "biases:2"}):
        config = RunConfig(optimizer=f"{tmp_path / 'bare.py'}:Bare", learning_rate=0.1, **given)
        with pytest.raises(ConfigError, match="must take groups, best by"):
            build_optimizer(config, tf.Module(), parameters, 10)


@pytest.mark.parametrize("optimizer", ["lion", "lars", "muon"])
def test_variables_of_other_names_need_no_pattern_without_decay(optimizer: str) -> None:
    parameters = {"dense.kernel": tf.Variable(tf.ones([2, 3])), "dense.bias": tf.Variable(tf.ones([3]))}
    given = {"muon_variables": "kernel$"} if optimizer == "muon" else {}
    config = RunConfig(optimizer=optimizer, learning_rate=0.1, **given)  # type: ignore[arg-type]
    assert build_optimizer(config, tf.Module(), parameters, 10).weight_decay == 0
