"""Settings that nothing uses: refused where they are given, and no hindrance at their defaults."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from tfcore.build.configuration import resolve
from tfcore.build.tables import check_names
from tfcore.config import RunConfig
from tfcore.errors import ConfigError
from tfcore.run.start import configuration
from tfcore.training.run_folder import RunFolder

UNUSED: list[tuple[dict[str, Any], str]] = [
    ({"average_every_epochs": 2.0}, "--average_every_epochs belongs to --average_from_epochs. Received none."),
    ({"teacher_share": 0.3}, "--teacher_share belongs to --teacher. Received none."),
    ({"teacher_temperature": 2.0}, "--teacher_temperature belongs to --teacher."),
    ({"teacher_average": True}, "--teacher_average belongs to --teacher."),
    ({"schedule": "constant", "decay_steps": 5}, "--decay_steps belongs to --schedule=exponential or polynomial or"),
    ({"schedule": "cosine", "decay_power": 2.0}, "--decay_power belongs to --schedule=polynomial. Received cosine."),
    ({"schedule": "cosine", "decay_factor": 0.5}, "--decay_factor belongs to --schedule=step_wise or exponential."),
    ({"schedule": "polynomial", "decay_factor": 0.5}, "--decay_factor belongs to"),
    ({"schedule": "constant", "end_learning_rate": 0.1}, "--end_learning_rate belongs to --schedule=polynomial or"),
    (
        {"schedule": "step_wise", "decay_boundaries": (5,), "end_learning_rate": 0.1},
        "--end_learning_rate belongs to --schedule=polynomial or trapezoid or cosine or cosine_restarts or one_cycle.",
    ),
    ({"schedule": "exponential", "decay_power": 2.0}, "--decay_power belongs to"),
    (
        {"schedule": "one_cycle", "cooldown_share": 0.5},
        "--cooldown_share belongs to --schedule=trapezoid. Received one",
    ),
    ({"schedule": "trapezoid", "warmup_share": 0.5}, "--warmup_share belongs to --schedule=one_cycle. Received trap"),
    (
        {"schedule": "cosine", "start_divisor": 10.0},
        "--start_divisor belongs to --schedule=one_cycle. Received cosine.",
    ),
    ({"schedule": "cosine", "period_factor": 2}, "--period_factor belongs to --schedule=cosine_restarts. Received cos"),
    ({"penalty_variables": "biases"}, "--penalty_variables belongs to --l1 and --l2. Received neither."),
    ({"decayed_variables": "."}, "--decayed_variables belongs to a --weight_decay above 0. Received none with adam."),
    ({"optimizer": "lion", "decayed_variables": "."}, "Received none with lion."),
    ({"optimizer": "adamw", "weight_decay": 0.0, "decayed_variables": "."}, "Received none with adamw."),
    ({"validation": 0, "monitor": "accuracy"}, "--monitor needs validation examples. Received --validation=0."),
    ({"validation": 0, "evaluate_every_epochs": 0.5}, "--evaluate_every_epochs needs validation examples."),
    ({"validation": 0, "keep_best": 3}, "--keep_best needs validation examples."),
    ({"hidden": (5,)}, "--model=softmax takes no --hidden. Leave it out, or choose a model that does."),
    ({"model": "mlp", "dropout": (0.5,)}, "--model=mlp takes no --dropout."),
]
USED: list[dict[str, Any]] = [
    {"schedule": "cosine", "end_learning_rate": 0.1, "decay_steps": 5},
    {"schedule": "polynomial", "decay_power": 2.0, "end_learning_rate": 0.1},
    {"schedule": "exponential", "decay_factor": 0.5},
    {"schedule": "step_wise", "decay_boundaries": (5,), "decay_factor": 0.5},
    {"schedule": "trapezoid", "warmup_steps": 5, "decay_steps": 50, "cooldown_share": 0.5, "end_learning_rate": 0.1},
    {"schedule": "cosine_restarts", "warmup_steps": 5, "decay_steps": 50, "period_factor": 2, "end_learning_rate": 0.1},
    {"schedule": "one_cycle", "decay_steps": 50, "warmup_share": 0.4, "start_divisor": 10.0, "end_learning_rate": 0.1},
    {"l1": 0.1, "penalty_variables": "biases"},
    {"l2": 0.1, "penalty_variables": "biases"},
    {"optimizer": "adamw", "decayed_variables": "."},
    {"optimizer": "lion", "weight_decay": 0.1, "decayed_variables": "."},
    {"monitor": "accuracy", "evaluate_every_epochs": 0.5, "keep_best": 3},
    {"model": "mlp", "hidden": (5,)},
]


@pytest.mark.parametrize(("given_values", "message"), UNUSED)
def test_a_setting_that_nothing_uses_is_refused(given_values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_names(resolve(RunConfig(**given_values)))
    assert message in str(caught.value)


@pytest.mark.parametrize("given_values", USED, ids=str)
def test_a_setting_that_is_used_is_not(given_values: dict[str, Any]) -> None:
    check_names(resolve(RunConfig(**given_values)))


@pytest.mark.parametrize(("given_values", "_"), UNUSED)
def test_each_of_them_passes_at_its_default(given_values: dict[str, Any], _: str) -> None:
    *others, name = given_values
    default = next(item.default for item in fields(RunConfig) if item.name == name)
    check_names(resolve(RunConfig(**{**{key: given_values[key] for key in others}, name: default})))


def test_a_run_of_an_earlier_version_is_resumed(tmp_path: Path) -> None:
    """Its config.flags has all defaults, and not the flags that were added since."""
    written = resolve(RunConfig(schedule="constant", optimizer="gradient_descent", steps=5)).flags()
    old = "".join(line for line in written.splitlines(keepends=True) if not line.startswith("--model_args"))
    for line in ("--decay_power=1.0\n", "--decay_factor=0.1\n", "--end_learning_rate=0.0\n", "--decayed_variables=w"):
        assert line in old
    with RunFolder(tmp_path / "run") as folder:
        folder.write_config(old)
        config = configuration(folder, {"log_every_steps": 7})
        check_names(config)
    assert (config.decay_power, config.steps, config.log_every_steps) == (1.0, 5, 7)
