"""Tables of names: which array of others' weights is which variable of a model.

A table is a text file with a rule on each line, and comments after `#`:

    conv1\\.weight -> conv.weights axes 2,3,1,0             the array of this name, its axes in this order
    layer(\\d+)\\.(\\d+)\\.bn1\\.bias -> block_{1}_{2+1}.norm_1.offset
                                                         {1} is the first group, {2+1} the second one, a number, plus 1
    .+\\.num_batches_tracked ->                            arrays that are left out
    -> pixels\\..+                                         variables that keep their initial values if the file has none

Left of an arrow is a regular expression for whole names in the file; the first rule that matches counts. A name that no
rule matches is a path already. Axes are those of `numpy.transpose`: 2,3,1,0 makes PyTorch's [out, in, h, w] the
[h, w, in, out] of tfcore, and 1,0 its [out, in] the [in, out]. No order is guessed, since many shapes fit several.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcore import patterns
from tfcore.checks import nearest
from tfcore.errors import ConfigError
from tfcore.files import read_text

if TYPE_CHECKING:
    from tfcore.export.files import Weights

_NAMES = Path(__file__).with_name("names")
_LINE = re.compile(r"(?P<left>.*?)\s*->\s*(?P<path>\S*?)(?:\s+axes\s+(?P<axes>\d(?:,\d)*))?")
_GROUP = re.compile(r"\{(\d+)(?:\+(\d+))?\}")
SHIPPED = tuple(sorted(path.stem for path in _NAMES.glob("*.txt")))


@dataclass(frozen=True)
class Rule:
    """A line of a table.

    Attributes:
        pattern: of whole names in the file.
        path: of the variable, with `{1}` or `{1+1}` for a group; "" to leave the array out.
        axes: the array's axes in their new order; () to leave them.
    """

    pattern: re.Pattern[str]
    path: str
    axes: tuple[int, ...]

    def path_of(self, match: re.Match[str]) -> str:
        """Returns the path; raises ValueError where a group that takes part in a sum is no number."""
        return _GROUP.sub(
            lambda group: str(int(match[int(group[1])]) + int(group[2])) if group[2] else match[int(group[1])] or "",
            self.path,
        )


@dataclass(frozen=True)
class Table:
    """The rules of one or several files, in order.

    Attributes:
        rules: for names in the file.
        kept: patterns of the paths of variables that the file may lack.
    """

    rules: tuple[Rule, ...] = ()
    kept: tuple[re.Pattern[str], ...] = ()

    def may_lack(self, path: str) -> bool:
        """Whether a variable keeps its initial value if the file has none for it."""
        return any(pattern.fullmatch(path) for pattern in self.kept)


@dataclass(frozen=True)
class Renamed:
    """Arrays by path, with the names that they had, and a clause for each that a rule does not fit."""

    arrays: "Weights"
    names: dict[str, str]
    problems: list[str]


def read(names: str) -> Table:
    """Reads the tables that `--rename` names: shipped ones and paths of files, with commas between.

    Raises:
        ConfigError: a file that cannot be read, or a line that is no rule.
    """
    rules: list[Rule] = []
    kept: list[re.Pattern[str]] = []
    for name in filter(None, names.split(",")):
        for number, line in enumerate(_text(name).splitlines(), start=1):
            if content := line.partition("#")[0].strip():
                rule = _parsed(content, f"{name}, line {number}")
                if isinstance(rule, Rule):
                    rules.append(rule)
                else:
                    kept.append(rule)
    return Table(tuple(rules), tuple(kept))


def renamed(weights: Mapping[str, Any], table: Table) -> Renamed:
    """Returns the arrays by path, with their axes in the order of the model's variables."""
    found = Renamed({}, {}, [])
    for name in sorted(weights):
        array, rule, match = weights[name], *_first(table, name)
        try:
            path = name if rule is None or match is None else rule.path_of(match)
        except (TypeError, ValueError):
            found.problems.append(f"{name}: the table adds to a part of it that is no number")
            continue
        axes = () if rule is None else rule.axes
        if not path:
            continue
        if axes and len(axes) != array.ndim:
            found.problems.append(f"{name}: {list(array.shape)} there, {len(axes)} axes in the table")
        elif path in found.arrays:
            found.problems.append(f"{name}: becomes {path}, as {found.names[path]} does")
        else:
            found.arrays[path], found.names[path] = array.transpose(axes) if axes else array, name
    return found


def _first(table: Table, name: str) -> tuple[Rule | None, re.Match[str] | None]:
    """Returns the first rule that matches the name, with its match."""
    for rule in table.rules:
        if match := rule.pattern.fullmatch(name):
            return rule, match
    return None, None


def _text(name: str) -> str:
    path = _NAMES / f"{name}.txt" if name in SHIPPED else Path(name)
    try:
        return read_text(path)
    except (OSError, UnicodeDecodeError):
        raise ConfigError(
            f"`rename` must be {', '.join(SHIPPED)} or a text file of rules. There is no readable file {name}."
            f"{nearest(name, SHIPPED)}"
        ) from None


def _parsed(line: str, where: str) -> Rule | re.Pattern[str]:
    """Reads a rule; a pattern alone is that of variables which keep their values."""
    parts = _LINE.fullmatch(line)
    if (
        parts is None
        or not (parts["left"] or parts["path"])
        or (parts["axes"] and not (parts["left"] and parts["path"]))
    ):
        raise ConfigError(
            f"{where}: a rule is PATTERN -> PATH, PATTERN -> PATH axes 2,3,1,0, PATTERN -> or -> PATTERN. "
            f"Received '{line}'."
        )
    patterns.check(where, parts["left"] or parts["path"])
    pattern = re.compile(parts["left"] or parts["path"])
    if not parts["left"]:
        return pattern
    axes = tuple(int(axis) for axis in (parts["axes"] or "").split(",") if axis)
    if sorted(axes) != list(range(len(axes))):
        raise ConfigError(f"{where}: axes must be 0 to {len(axes) - 1} in some order. Received {parts['axes']}.")
    for number, _ in _GROUP.findall(parts["path"]):
        if int(number) > pattern.groups:
            raise ConfigError(f"{where}: {pattern.groups} groups in the pattern. Received {{{number}}} in '{line}'.")
    return Rule(pattern, parts["path"], axes)
