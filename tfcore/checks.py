"""Argument checks whose messages state the argument, the expectation and the received value."""

import difflib
import math
import numbers
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from tfcore.errors import ConfigError, ShapeError, TfcoreError

_NUMBER = r"(\d+(?:\.\d+)?)"
_DURATION = re.compile(rf"(?:{_NUMBER}h)?(?:{_NUMBER}m)?(?:{_NUMBER}s?)?", re.ASCII)
_LINE = 2000  # length of a message in characters
_NODE = re.compile(r" for '\{\{node .*?(?= with )", re.DOTALL)  # TensorFlow's text about an internal graph node
_UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")  # Unicode's categories: control, surrogate, line and paragraph separator


def positive(name: str, value: float) -> None:
    """Raises ConfigError unless `value` is a finite number above zero."""
    if not 0 < value < math.inf:
        raise ConfigError(f"`{name}` must be above 0. Received {value!r}.")


def not_negative(name: str, value: float) -> None:
    """Raises ConfigError unless `value` is a finite number of at least zero."""
    if not 0 <= value < math.inf:  # math.isfinite fails for an integer too large for a float
        raise ConfigError(f"`{name}` must be at least 0. Received {value!r}.")


def below_one(name: str, value: float) -> None:
    """Raises ConfigError unless 0 <= value < 1."""
    if not 0 <= value < 1:
        raise ConfigError(f"`{name}` must be at least 0 and below 1. Received {value!r}.")


def share(name: str, value: float) -> None:
    """Raises ConfigError unless 0 < value < 1."""
    if not 0 < value < 1:
        raise ConfigError(f"`{name}` must be above 0 and below 1. Received {value!r}.")


def at_least_one(name: str, value: float) -> None:
    """Raises ConfigError unless `value` is a finite number of at least one."""
    if not 1 <= value < math.inf:
        raise ConfigError(f"`{name}` must be at least 1. Received {value!r}.")


def between(name: str, value: float, low: float, high: float) -> None:
    """Raises ConfigError unless low <= value <= high."""
    if not low <= value <= high:
        raise ConfigError(f"`{name}` must be from {low:g} to {high:g}. Received {value!r}.")


def share_or_one(name: str, value: float) -> None:
    """Raises ConfigError unless 0 < value <= 1."""
    if not 0 < value <= 1:
        raise ConfigError(f"`{name}` must be above 0 and at most 1. Received {value!r}.")


def positive_integer(name: str, value: int) -> None:
    """Raises ConfigError unless `value` is an integer (of Python or NumPy, not a bool) above zero."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ConfigError(f"`{name}` must be an integer of at least 1. Received {value!r}.")


def divisor(name: str, value: int, of_name: str, of: int) -> None:
    """Raises ConfigError unless `value` is an integer above zero that divides `of`, the value of `of_name`."""
    positive_integer(name, value)
    if of % value:
        raise ConfigError(f"`{name}` must divide `{of_name}`, which is {of}. Received {value}.")


def some_of(name: str, value: str, choices: Sequence[str]) -> tuple[str, ...]:
    """Parses a comma-separated list of choices; "all" and "none" are accepted by themselves."""
    if value in ("all", "none"):
        return tuple(choices) if value == "all" else ()
    named = tuple(part.strip() for part in value.split(","))
    for part in named:
        one_of(name, part, ("all", "none", *choices))
    if len(named) > 1 and set(named) & {"all", "none"}:
        raise ConfigError(f"`{name}` takes all or none by itself. Received '{value}'.")
    return named


def duration_secs(name: str, text: str) -> float:
    """Parses a duration such as `90`, `45s`, `90m`, `1.5h` or `1h30m` to seconds.

    Raises:
        ConfigError: the text is not a duration, or it is 0.
    """
    parts = _DURATION.fullmatch(text)
    secs = sum(float(part) * unit for part, unit in zip(parts.groups("0"), (3600, 60, 1), strict=True)) if parts else 0
    if not secs:
        raise ConfigError(f"`{name}` must be a duration such as 90 (seconds), 90m or 1h30m. Received '{text}'.")
    return secs


def is_plain_text(value: str) -> bool:
    """Tells whether `value` is safe in one line of a UTF-8 file or a terminal.

    Surrogates stand for bytes of a file name that are not UTF-8; control characters break lines or drive the terminal.
    """
    return not any(unicodedata.category(sign) in _UNPRINTABLE for sign in value)


def escaped(value: str) -> str:
    """Replaces every character that is not plain text by an escape such as \\x1b."""
    return "".join(sign if is_plain_text(sign) else ascii(sign)[1:-1] for sign in value)


def one_line(value: str) -> str:
    """Formats a message for a terminal: `escaped`, and shortened in the middle where it is too long."""
    line = escaped(value.strip())
    return line if len(line) <= _LINE else f"{line[: _LINE // 2]} … {line[-_LINE // 4 :]}"


def told(error: Exception) -> str:
    """The text of an error: of a tfcore error unchanged, of another its type and last line."""
    if isinstance(error, TfcoreError):
        return str(error)
    lines = _NODE.sub("", str(error)).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[-1].strip()}".removesuffix(": ").removesuffix(".")


def plain_text(name: str, value: str) -> None:
    """Raises ConfigError unless `is_plain_text`."""
    if not is_plain_text(value):
        raise ConfigError(f"`{name}` must be UTF-8 text without control characters. Received {value!r}.")


def nearest(word: str, choices: Iterable[str]) -> str:
    """Returns a hint such as " Did you mean 'adam'?", or "" where no choice is similar."""
    near = difflib.get_close_matches(word, list(choices), n=1)
    return f" Did you mean '{near[0]}'?" if near else ""


def one_of(name: str, value: str, choices: Sequence[str]) -> None:
    """Raises ConfigError, suggesting the most similar choice, unless `value` is among `choices`."""
    if value not in choices:
        known = ", ".join(choices)
        raise ConfigError(f"`{name}` must be one of {known}. Received '{value}'.{nearest(value, choices)}")


def same_length(name: str, items: Sequence[Any], other_name: str, others: Sequence[Any]) -> None:
    """Raises ShapeError unless both sequences have the same length."""
    if len(items) != len(others):
        raise ShapeError(
            f"`{name}` must have one item for each of the {len(others)} `{other_name}`. Received {len(items)}."
        )


def gradient_matches(gradient: Any, parameter: Any, path: str) -> None:
    """Raises ShapeError unless `gradient` is a tensor of the shape and dtype of the parameter called `path`."""
    if gradient is None:
        raise ShapeError(
            f"The gradient of '{path}' is None: the loss does not depend on it. Leave it out of `parameters`."
        )
    if gradient.shape != parameter.shape or gradient.dtype != parameter.dtype:
        raise ShapeError(
            f"The gradient of '{path}' must have shape {tuple(parameter.shape)} and dtype {parameter.dtype.name}. "
            f"Received {tuple(gradient.shape)} and {gradient.dtype.name}."
        )
