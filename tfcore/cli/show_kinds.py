"""The word after `tfcore show`: what is drawn, and a message for the old spelling, which had flags alone."""

import shlex
from collections.abc import Sequence

from tfcore import checks
from tfcore.errors import ConfigError

KINDS = {
    "examples": "A grid of random examples of each class of a data set.",
    "example": "One example of a data set; with --hex its pixels as text.",
    "filters": "The filters of a layer of a run's model.",
    "features": "The feature maps that a layer of a run's model gives for an example.",
}
_RENAMED = {"grid": "per_class", "filters": "layer", "features": "layer"}  # old flags, in the kinds that have them now


def overview() -> str:
    """The text of `tfcore show --help`."""
    lines = [f"  tfcore show {name:<10}{description}" for name, description in KINDS.items()]
    return "\n".join(["Usage:", *lines, "", "`tfcore show KIND --help` shows the flags of each."])


def command(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Splits what follows `show` into the command, such as `show filters`, and its flags.

    Raises:
        ConfigError: the first argument is no kind; the message spells the command with one.
    """
    first, *rest = arguments
    if first in KINDS:
        return f"show {first}", rest
    if first.startswith("-"):
        raise ConfigError(f"`tfcore show` takes first what to show. Write: {_with_kind(arguments)}")
    raise ConfigError(f"`tfcore show` takes {', '.join(KINDS)}. Received '{first}'.{checks.nearest(first, KINDS)}")


def _with_kind(arguments: Sequence[str]) -> str:
    """The command in the spelling of today."""
    given = {_name(argument) for argument in arguments}
    if given & {"run_dir", "filters", "features"}:
        kind = "features" if given & {"features", "example"} else "filters"
    else:
        kind = "example" if given & {"example", "hex"} else "examples"
    return shlex.join(["tfcore", "show", kind, *map(_renamed, arguments)])


def _name(argument: str) -> str:
    return argument.lstrip("-").partition("=")[0] if argument.startswith("-") else ""


def _renamed(argument: str) -> str:
    old = _name(argument)
    return argument.replace(old, _RENAMED[old], 1) if old in _RENAMED else argument
