"""Regular expressions that choose parameters by their paths."""

import re
from collections.abc import Iterable

from tfcore import checks
from tfcore.errors import ConfigError

_PAIR = re.compile(r"(?P<pattern>.+?):(?P<number>[\d.]+(?:e[+-]?\d+)?)(?:,|\Z)", re.ASCII)


def check(name: str, pattern: str) -> None:
    """Raises ConfigError unless `pattern` is a regular expression."""
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigError(f"`{name}` must be a regular expression. Received '{pattern}': {error}.") from None


def matching(name: str, pattern: str, paths: Iterable[str]) -> list[str]:
    """Returns the paths in which the pattern is found.

    Raises:
        ConfigError: a pattern that is no regular expression or matches no path.
    """
    check(name, pattern)
    paths = list(paths)
    found = [path for path in paths if re.search(pattern, path)]
    if not found:
        raise ConfigError(f"`{name}` must match a parameter. '{pattern}' matches none of {', '.join(paths)}.")
    return found


def with_numbers(name: str, text: str) -> list[tuple[str, float]]:
    """Splits `PATTERN:NUMBER,PATTERN:NUMBER` into its pairs; a pattern may contain commas and colons.

    Raises:
        ConfigError: a part that is no such pair, a pattern that is no regular expression, or a number out of range.
    """
    pairs, place = [], 0
    while place < len(text):
        pair = _PAIR.match(text, place)
        if pair is None:
            raise ConfigError(f"`{name}` must be pairs such as ^conv:0.1,logits:2. Received '{text[place:]}'.")
        pattern, place = pair["pattern"].strip(), pair.end()
        check(name, pattern)
        pairs.append((pattern, _number(name, pair["number"])))
    return pairs


def _number(name: str, text: str) -> float:
    """Reads a number of at least 0."""
    try:
        number = float(text)
    except ValueError:
        raise ConfigError(f"`{name}` takes numbers such as 0.1 behind each colon. Received '{text}'.") from None
    checks.not_negative(name, number)
    return number
