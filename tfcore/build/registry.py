"""Which settings each optimizer takes, with their defaults: read off the signatures, so no table repeats them."""

from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from typing import Any

from tfcore.build import signatures
from tfcore.build.signatures import Signature
from tfcore.config import RunConfig
from tfcore.errors import ConfigError

Table = Mapping[str, str]  # name of an optimizer -> its import path
_CHAIN = "tfcore.optimizers.chain:Chain"
_FIELDS = tuple(item.name for item in fields(RunConfig))


def settings(table: Table) -> Mapping[str, Mapping[str, Any]]:
    """The settings that optimizers of the table take: each with these optimizers and their defaults."""
    return _settings(tuple(table.items()))


@lru_cache
def _settings(rows: tuple[tuple[str, str], ...]) -> dict[str, dict[str, Any]]:
    table = dict(rows)
    found = {name: signature(name, table) for name in table}
    by_setting = {
        setting: {name: taken.arguments[setting].default for name, taken in found.items()
                  if taken is not None and setting in taken.arguments}
        for setting in _FIELDS
    }  # fmt: skip
    return {setting: users for setting, users in by_setting.items() if users}


@lru_cache
def chain_settings() -> tuple[str, ...]:
    """The settings that every optimizer takes."""
    return tuple(name for name in signatures.annotated(_CHAIN) if name in _FIELDS)


def signature(optimizer: str, table: Table) -> Signature | None:
    """The signature of an optimizer by name or path; None where its source does not say."""
    return signatures.of_path(table.get(optimizer, optimizer))


def learning_rate(optimizer: str, table: Table) -> float | None:
    """The default learning rate of an optimizer; None where its source has no number for it."""
    taken = signature(optimizer, table)
    default = taken.arguments["learning_rate"].default if taken and "learning_rate" in taken.arguments else None
    return float(default) if isinstance(default, int | float) else None


def given_settings(config: RunConfig, taken: Signature, table: Table) -> dict[str, Any]:
    """The optimizer settings that are given, but for the learning rate.

    Raises:
        ConfigError: one that the optimizer does not take.
    """
    known, chain = settings(table), chain_settings()
    names = [name for name in (*known, *chain) if name != "learning_rate" and getattr(config, name) is not None]
    for name in names:
        if name not in taken.arguments and not (taken.takes_any and name in chain):
            if config.optimizer in table and name in known:
                users = " or ".join(known[name])
                raise ConfigError(f"--{name} belongs to --optimizer={users}. Received {config.optimizer}.")
            raise ConfigError(f"--optimizer={config.optimizer} takes no --{name}. Leave it out.")
    return {name: getattr(config, name) for name in names}


def decays(config: RunConfig, table: Table) -> bool:
    """Whether the optimizer has a weight decay above 0; True where its source does not say."""
    taken = signature(config.optimizer, table)
    if taken is None:
        return True
    default = taken.arguments["weight_decay"].default if "weight_decay" in taken.arguments else 0
    return (default if config.weight_decay is None else config.weight_decay) != 0


def check(config: RunConfig, table: Table) -> None:
    """Raises ConfigError on settings that the optimizer does not take, and where it needs a learning rate."""
    taken = signature(config.optimizer, table)
    if taken is not None:
        given_settings(config, taken, table)
    if config.learning_rate is None and learning_rate(config.optimizer, table) is None:
        raise ConfigError(f"--optimizer={config.optimizer} needs --learning_rate: its __init__ has no default for it.")
