"""The subcommands of `tfcore show`, and a message for the old syntax, which had only flags."""

import shlex
from collections.abc import Sequence

from tfcore import checks
from tfcore.errors import ConfigError

KINDS = {
    "examples": "A grid of random examples of each class of a data set.",
    "example": "One example of a data set; with --hex its pixels as text.",
    "filters": "The filters of a layer of a run's model.",
    "features": "The feature maps that a layer of a run's model computes from an example.",
}
_RENAMED = {"grid": "per_class", "filters": "layer", "features": "layer"}  # old flags and their new names


def overview() -> str:
    """Returns the text of `tfcore show --help`."""
    lines = [f"  tfcore show {name:<10}{description}" for name, description in KINDS.items()]
    return "\n".join(["Usage:", *lines, "", "`tfcore show KIND --help` shows the flags of each."])


def command(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Splits the arguments after `show` into the command, such as `show filters`, and its flags.

    Raises:
        ConfigError: the first argument is not a kind; for the old syntax, the message has the new command.
    """
    first, *rest = arguments
    if first in KINDS:
        return f"show {first}", rest
    if first.startswith("-"):
        raise ConfigError(f"`tfcore show` takes what to show as its first argument. Use: {_with_kind(arguments)}")
    raise ConfigError(f"`tfcore show` takes {', '.join(KINDS)}. Received '{first}'.{checks.nearest(first, KINDS)}")


def _with_kind(arguments: Sequence[str]) -> str:
    """Returns the command in the current syntax."""
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
