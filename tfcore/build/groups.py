"""Resolves the settings that patterns give to single parameters: freezing, factors of the rate, weight decay."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from tfcore import patterns
from tfcore.config import RunConfig
from tfcore.errors import ConfigError

if TYPE_CHECKING:
    from tfcore.optimizers import Group

_ALL_FROZEN = "`{name}` must leave a parameter to train. All are frozen: {paths}."


def parameter_groups(config: RunConfig, paths: Sequence[str], *, decays: bool) -> "tuple[Group, ...]":
    """Returns a group for each parameter whose settings are not simply the optimizer's.

    The first group that matches a parameter applies as a whole, but each setting has patterns of its own. So they are
    resolved here, path by path. Groups of equal settings share their computations in the optimizer.

    Args:
        config: the run's.
        paths: of all parameters.
        decays: whether the optimizer has a weight decay above 0.

    Raises:
        ConfigError: a pattern that no parameter matches or needs, or everything frozen.
    """
    from tfcore.optimizers import Group

    factors = _rate_factors(config, paths)
    decayed = patterns.matching("decayed_variables", config.decayed_variables, paths) if decays else paths
    groups = (
        Group(f"^{re.escape(path)}$", learning_rate_factor=factor, weight_decay=None if path in decayed else 0.0)
        for path, factor in factors.items()
    )
    return tuple(group for group in groups if (group.learning_rate_factor, group.weight_decay) != (1, None))


def _rate_factors(config: RunConfig, paths: Sequence[str]) -> dict[str, float]:
    """The factor of each parameter's learning rate; `freeze` comes first, then the first pattern that matches."""
    found = _by_path("freeze", [(config.freeze, 0.0)] if config.freeze else [], paths, {})
    name = "learning_rate_factors"
    found = _by_path(name, patterns.with_numbers(name, config.learning_rate_factors), paths, found)
    factors = dict.fromkeys(paths, 1.0) | found
    if not any(factors.values()):
        raise ConfigError(_ALL_FROZEN.format(name="freeze" if config.freeze else name, paths=", ".join(paths)))
    return factors


def frozen_after(config: RunConfig, paths: Sequence[str]) -> dict[str, float]:
    """Returns the epochs after which parameters are frozen, by path; without those frozen from the start.

    Args:
        config: the run's.
        paths: of all parameters.

    Raises:
        ConfigError: a pattern that no parameter matches or needs, or everything frozen in the end.
    """
    name = "freeze_after"
    frozen = {path: 0.0 for path, factor in _rate_factors(config, paths).items() if not factor}
    found = _by_path(name, patterns.with_numbers(name, config.freeze_after), paths, frozen)
    if len(found) == len(paths):
        raise ConfigError(_ALL_FROZEN.format(name=name, paths=", ".join(paths)))
    return {path: epochs for path, epochs in found.items() if path not in frozen}


def _by_path(
    name: str, given: Iterable[tuple[str, float]], paths: Sequence[str], before: Mapping[str, float]
) -> dict[str, float]:
    """Gives each matching path the number of the first pattern that matches; what was set `before` stays."""
    found = dict(before)
    for pattern, number in given:
        matched = patterns.matching(name, pattern, paths)
        if found.keys() >= set(matched):
            raise ConfigError(
                f"`{name}` must not repeat what comes before. All that '{pattern}' matches is set by an earlier "
                f"pattern: {', '.join(matched)}."
            )
        found = dict.fromkeys(matched, number) | found
    return found
