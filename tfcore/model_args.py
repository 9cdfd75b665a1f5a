"""Names of the built-in models, and arguments of a model's constructor as text: `depth=3,width=64,sizes=50x50`."""

import math
import re
from collections.abc import Mapping
from typing import Any

from tfcore.config_values import LARGEST, plain, shown, spelled
from tfcore.errors import ConfigError

MODELS = (  # for the help; build/tables.py has their classes
    "softmax", "mlp", "mnist_cnn", "cifar_cnn", "resnet20", "resnet32", "resnet44", "resnet56", "resnet110",
    "resnet18", "resnet34", "resnet50", "wide_resnet", "airbench", "mobilenet", "vit",
)  # fmt: skip
SEPARATOR = "x"  # between the items of a tuple
_WORDS = {"true": True, "false": False, "none": None}
_NUMBER = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
_TUPLE = re.compile(rf"{_NUMBER}(?:{SEPARATOR}{_NUMBER})+")
_LONGEST_INTEGER = 1000  # digits


def parse(text: str) -> dict[str, str]:
    """Splits `name=value,name=value` into names and spelled values.

    Raises:
        ConfigError: a part is no such pair, or a name comes twice.
    """
    found: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (equals and name.isidentifier()):
            raise ConfigError(f"`model_args` must be pairs such as depth=3,width=64. Received '{part}'.")
        if name in found:
            raise ConfigError(f"`model_args` names {name} twice. Received '{text}'.")
        found[name] = value
    return found


def joined(pairs: Mapping[str, str]) -> str:
    """Joins names and spelled values into one text, sorted by name."""
    return ",".join(f"{name}={pairs[name]}" for name in sorted(pairs))


def normalized(given: Any) -> Any:
    """Turns a mapping of values, or text of pairs in any order, into the text of `joined`; leaves other types alone.

    Raises:
        ConfigError: text that `parse` refuses, or a value of the mapping that cannot be spelled.
    """
    if isinstance(given, Mapping):
        pairs = {str(name): _spelled(str(name), value) for name, value in given.items()}
        given = joined(pairs)
        if parse(given) != pairs:  # a comma in a value, or a name that is no identifier
            raise ConfigError(f"`model_args` must have names and values without commas. Received '{given}'.")
    return joined(parse(given)) if isinstance(given, str) else given


def literal(text: str) -> Any:
    """Reads a number, a bool, None or a tuple of numbers, where spelling it gives `text` again; else gives the text."""
    if text in _WORDS:
        return _WORDS[text]
    parts = text.split(SEPARATOR) if _TUPLE.fullmatch(text) else [text]
    values = [_number(part) for part in parts]
    value = values[0] if len(values) == 1 else tuple(values)
    return value if None not in values and spelled(value, SEPARATOR) == text else text


def respelled(value: Any) -> str:
    """Spells a value that `literal` read."""
    return "none" if value is None else spelled(value, SEPARATOR)


def _number(text: str) -> int | float | None:
    """The number that the text spells; None where it spells none, or none that is finite."""
    if len(text) > _LONGEST_INTEGER:
        return None
    for kind in (int, float):
        try:
            number: int | float = kind(text)
        except ValueError:
            continue
        return number if math.isfinite(number) else None
    return None


def _spelled(name: str, value: Any) -> str:
    """Spells a value from Python."""
    value = plain(value)
    if isinstance(value, list | tuple):
        value = tuple(map(plain, value))
    if isinstance(value, tuple):
        fits = all(map(_is_number, value))
    else:
        fits = value is None or isinstance(value, bool | str) or _is_number(value)
    if not fits:
        raise ConfigError(
            f"`model_args` takes finite numbers, tuples of them, text, bools and None. Received {name}={shown(value)}."
        )
    return respelled(value)


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST
