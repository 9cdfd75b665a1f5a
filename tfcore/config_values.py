"""Values of settings: the kind that an annotation stands for, reading a value from text, and spelling it as text."""

import math
import numbers
import os
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, NamedTuple

from tfcore import checks
from tfcore.errors import ConfigError

_BOOLS = {"true": True, "false": False, "1": True, "0": False}
LARGEST = 10**100  # of integers; Python does not print those of several thousand digits
_LONGEST_SHOWN = 100  # characters of a value or a line in a message
_FLAG = re.compile(r"--(?P<name>\w+)=(?P<value>.*)")


class Kind(NamedTuple):
    """A type of values.

    Args:
        plain: bool, int, float, str or tuple.
        item: int or float for the items of a tuple, else `plain` again.
        optional: whether None is a value too.
    """

    plain: type
    item: type
    optional: bool = False


_SCALARS = {bool: "true or false", int: "a whole number, such as 100", float: "a number, such as 0.001", str: "text"}


def taken(kind: Kind, separator: str = ",") -> str:
    """Describes the values of a kind, for a message."""
    if kind.plain is not tuple:
        return _SCALARS[kind.plain]
    between = "commas" if separator == "," else f"an {separator}"
    noun, example = ("whole numbers", "50{}50") if kind.item is int else ("numbers", "0.25{}0.5")
    return f"{noun} with {between} between, such as {example.format(separator)}"


def kind_of(hint: Any) -> Kind:
    """The kind that a field's annotation stands for; of a union, its first member counts."""
    members = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    optional, first = types.NoneType in members, members[0]
    if typing.get_origin(first) is tuple:
        return Kind(tuple, typing.get_args(first)[0], optional)
    return Kind(first, first, optional)


def read(flag: str, text: str, kind: Kind, separator: str = ",") -> Any:
    """Reads a value of `kind` from text.

    Args:
        flag: the flag with its dashes, for the message.
        text: the value's spelling.
        kind: what to read.
        separator: stands between the items of a tuple.

    Raises:
        ConfigError: the text spells no such value.
    """
    if kind.plain is str:
        return text
    try:
        if kind.plain is bool:
            return _BOOLS[text.lower()]
        if kind.plain is tuple:
            return tuple(_finite(kind.item(part)) for part in text.split(separator) if part.strip())
        return _finite(kind.plain(text))
    except (ValueError, KeyError, OverflowError):
        raise ConfigError(f"{flag} takes {taken(kind, separator)}. Received '{text}'.") from None


def read_flags(text: str, kinds: Mapping[str, Kind]) -> dict[str, Any]:
    """Reads lines of `--name=value`.

    Args:
        text: one flag in each line.
        kinds: of the values, by name.

    Raises:
        ConfigError: an invalid line, an unknown name, or a value of another kind.
    """
    found = {}
    for line in text.splitlines():
        match = _FLAG.fullmatch(line)
        if match is None:
            raise ConfigError(f"Each line must be a flag such as --name=value. Received '{line[:_LONGEST_SHOWN]}'.")
        name, value = match.groups()
        if name not in kinds:
            raise ConfigError(f"Unknown flag --{name}.{checks.nearest(name, kinds)}")
        found[name] = read(f"--{name}", value, kinds[name])
    return found


def spelled(value: Any, separator: str = ",") -> str:
    """Spells a value as it stands behind `--name=`."""
    if isinstance(value, tuple):
        return separator.join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def typed(name: str, value: Any, kind: Kind) -> Any:
    """Converts a value from Python to exactly the type of `kind`: NumPy's numbers and lists, integers as floats.

    Raises:
        ConfigError: the value is of another kind, or an item of a tuple is not finite.
    """
    found = plain(value)
    if found is None and kind.optional:
        return None
    try:
        if kind.plain is tuple:
            items = found if isinstance(found, list | tuple | range) else (found,)
            return tuple(_finite(_scalar(plain(item), kind.item)) for item in items)
        return _scalar(found, kind.plain)
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f"`{name}` must be {taken(kind)}. Received {shown(value)}.") from None


def _scalar(value: Any, wanted: type) -> Any:
    """The value as bool, int, float or str; raises TypeError where it is of another kind."""
    if wanted is str:
        text = os.fspath(value)  # of text and of paths
        if isinstance(text, str):
            return str(text)
    elif isinstance(value, bool) or wanted is bool:
        if isinstance(value, bool) and wanted is bool:
            return value
    elif isinstance(value, numbers.Integral) and abs(int(value)) > LARGEST:
        raise OverflowError
    elif isinstance(value, numbers.Integral if wanted is int else numbers.Real):
        return wanted(value)
    raise TypeError


def _finite(value: Any) -> Any:
    if not math.isfinite(value):
        raise ValueError
    return value


def plain(value: Any) -> Any:
    """Gives NumPy's scalars and arrays as Python's numbers and lists, and other values as they are."""
    return value.tolist() if hasattr(value, "tolist") else value


def shown(value: Any) -> str:
    """Shows the beginning of a value in a message."""
    try:
        text = repr(value)
    except ValueError:  # of an integer of several thousand digits
        return "a number of too many digits"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def describe(pairs: Mapping[str, tuple[Any, Any]]) -> str:
    """Describes differences between settings: `--seed=1 (there: 0)`."""
    return ", ".join(f"--{name}={spelled(own)} (there: {spelled(other)})" for name, (own, other) in pairs.items())
