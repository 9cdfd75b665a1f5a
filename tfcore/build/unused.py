"""Refuses settings that the run would not use.

A setting at its default is never refused, because the config.flags of a run folder has every setting.
"""

from dataclasses import fields

from tfcore.config import RunConfig
from tfcore.errors import ConfigError

_DEFAULTS = {item.name: item.default for item in fields(RunConfig)}
_SCHEDULES_WITH = {
    "decay_steps": ("exponential", "polynomial", "trapezoid", "cosine", "cosine_restarts", "one_cycle"),
    "decay_factor": ("step_wise", "exponential"),
    "decay_power": ("polynomial",),
    "end_learning_rate": ("polynomial", "trapezoid", "cosine", "cosine_restarts", "one_cycle"),
    "cooldown_share": ("trapezoid",),
    "warmup_share": ("one_cycle",),
    "start_divisor": ("one_cycle",),
    "period_factor": ("cosine_restarts",),
}
_OF_TEACHER = ("teacher_share", "teacher_temperature", "teacher_average")
_OF_VALIDATION = ("monitor", "evaluate_every_epochs", "keep_best")


def check(config: RunConfig, *, decays: bool) -> None:
    """Raises ConfigError on a setting that differs from its default and has no effect with the other settings.

    Args:
        config: the run's.
        decays: whether its optimizer has a weight decay above 0.
    """
    for name, schedules in _SCHEDULES_WITH.items():
        if _is_given(config, name) and config.schedule not in schedules:
            raise ConfigError(f"--{name} belongs to --schedule={' or '.join(schedules)}. Received {config.schedule}.")
    if _is_given(config, "penalty_variables") and not (config.l1 or config.l2):
        raise ConfigError("--penalty_variables belongs to --l1 and --l2. Received neither.")
    if _is_given(config, "decayed_variables") and not decays:
        raise ConfigError(
            f"--decayed_variables belongs to a --weight_decay above 0. Received none with {config.optimizer}."
        )
    if _is_given(config, "average_every_epochs") and config.average_from_epochs is None:
        raise ConfigError("--average_every_epochs belongs to --average_from_epochs. Received none.")
    for name in _OF_TEACHER:
        if _is_given(config, name) and not config.teacher:
            raise ConfigError(f"--{name} belongs to --teacher. Received none.")
    for name in _OF_VALIDATION:
        if _is_given(config, name) and not config.validation:
            raise ConfigError(f"--{name} needs validation examples. Received --validation=0.")


def _is_given(config: RunConfig, name: str) -> bool:
    return bool(getattr(config, name) != _DEFAULTS[name])
