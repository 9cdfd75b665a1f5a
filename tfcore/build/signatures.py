"""Reads signatures: of loaded classes and functions by `inspect`, of others from their source by `ast`.

Reading the source executes and imports nothing, so names and settings are checked before TensorFlow loads.
"""

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, NamedTuple

from tfcore.config_values import Kind

REQUIRED = inspect.Parameter.empty
UNKNOWN = object()  # the default of an argument, where the source has an expression
_SCALARS = {"bool": bool, "int": int, "float": float, "str": str}
_MODULES = re.compile(r"[A-Za-z_][\w.]*\.(?=[A-Za-z_])")  # `typing.` of `typing.Optional`
_NUMBERS = re.compile(r"(?:tuple|list|sequence|iterable)\[(int|float)\b.*]")
_OPTIONAL = re.compile(r"Optional\[(.*)]")
_MOST_BASES = 10


class Argument(NamedTuple):
    """An argument of a signature.

    Args:
        annotation: as written; "" for none.
        default: `REQUIRED` for none, `UNKNOWN` for an expression that is no literal.
        keyword_only: whether a call must give it by name.
    """

    annotation: str
    default: Any
    keyword_only: bool = False

    @property
    def is_required(self) -> bool:
        """Whether a call must give the argument."""
        return self.default is REQUIRED

    @property
    def kind(self) -> Kind | None:
        """The kind of the values by annotation, else by default; None if neither tells."""
        members = self._members()
        optional, named = self.default is None or "None" in members, members - {"None"}
        if named == {"int", "float"}:
            return Kind(float, float, optional)
        if len(named) == 1 and (name := min(named)) in _SCALARS:
            return Kind(_SCALARS[name], _SCALARS[name], optional)
        if len(named) == 1 and (match := _NUMBERS.fullmatch(min(named).lower())):
            return Kind(tuple, _SCALARS[match[1]], optional)
        return self._kind_of_default()

    def _members(self) -> set[str]:
        """Returns the members of the annotation's union, without modules, spaces and quotes."""
        text = _MODULES.sub("", re.sub(r"[\s'\"]", "", self.annotation))
        match = _OPTIONAL.fullmatch(text)
        return set(f"{match[1]}|None".split("|") if match else text.split("|"))

    def _kind_of_default(self) -> Kind | None:
        if type(self.default) in _SCALARS.values():
            return Kind(type(self.default), type(self.default))
        if isinstance(self.default, tuple | list) and {*map(type, self.default)} in ({int}, {float}, {int, float}):
            return Kind(tuple, float if float in map(type, self.default) else int)
        return None


class Signature(NamedTuple):
    """The arguments of a class or function.

    Args:
        arguments: by name, in order; without `self`.
        takes_any: whether it has a `**name` argument.
    """

    arguments: dict[str, Argument]
    takes_any: bool

    @property
    def positional(self) -> tuple[str, ...]:
        """Names of the arguments that a call may give by position."""
        return tuple(name for name, argument in self.arguments.items() if not argument.keyword_only)

    def takes(self, name: str) -> bool:
        """Tells whether a call may give an argument of that name."""
        return self.takes_any or name in self.arguments


def of_object(function: Callable[..., Any]) -> Signature:
    """Returns the signature of a loaded class or function."""
    found, takes_any = {}, False
    for name, item in inspect.signature(function).parameters.items():
        if item.kind is item.VAR_KEYWORD:
            takes_any = True
        elif item.kind is not item.VAR_POSITIONAL:
            found[name] = Argument(_annotation(item), item.default, item.kind is item.KEYWORD_ONLY)
    return Signature(found, takes_any)


def _annotation(item: inspect.Parameter) -> str:
    if item.annotation is item.empty:
        return ""
    return item.annotation if isinstance(item.annotation, str) else inspect.formatannotation(item.annotation)


def of_path(path: str) -> Signature | None:
    """Reads the signature of `package.module:name` or `path/to/file.py:name` without loading it.

    Returns:
        The signature; None without such a file or name, or if a base class cannot be followed.
    """
    for node in _definitions(path):
        if isinstance(node, ast.FunctionDef):
            return _signature(node.args, skip=0)
        for item in node.body:
            if isinstance(item, ast.FunctionDef) and item.name == "__init__":
                return _signature(item.args, skip=1)
    return None


def annotated(path: str) -> tuple[str, ...]:
    """Returns the names that the body of a class annotates, such as the keys of a TypedDict."""
    for node in _definitions(path):
        return tuple(item.target.id for item in node.body
                     if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name))  # fmt: skip
    return ()


def _definitions(path: str) -> Iterator[ast.ClassDef | ast.FunctionDef]:
    """Yields the function or class that a path points at, then the first bases of the class while they are found."""
    place, _, name = path.rpartition(":")
    file = Path(place) if place.endswith(".py") else _file_of(place)
    for _ in range(_MOST_BASES):
        body = _parsed(file, file.stat().st_mtime_ns).body if file is not None and file.is_file() else []
        node = next((item for item in body if getattr(item, "name", None) == name), None)
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node
            if not isinstance(node, ast.ClassDef) or not node.bases or not isinstance(node.bases[0], ast.Name):
                return
            name = node.bases[0].id
            continue
        origin = next(((item.module, alias.name) for item in body if isinstance(item, ast.ImportFrom) and not item.level
                       for alias in item.names if (alias.asname or alias.name) == name), None)  # fmt: skip
        if origin is None or origin[0] is None:
            return
        file, name = _file_of(origin[0]), origin[1]


@lru_cache
def _parsed(file: Path, _: int) -> ast.Module:
    """Parses a file; gives an empty module for a file that is not Python."""
    try:
        return ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module(body=[], type_ignores=[])


def _file_of(module: str) -> Path | None:
    """Finds the source file of a module without importing its packages."""
    if not all(parts := module.split(".")):
        return None
    places, origin = None, None
    for number in range(len(parts)):
        spec = _spec(".".join(parts[: number + 1]), places)
        if spec is None:
            return None
        places, origin = spec.submodule_search_locations, spec.origin
    return Path(origin) if origin and origin.endswith(".py") else None


def _spec(module: str, places: Sequence[str] | None) -> ModuleSpec | None:
    """Asks every finder, as an import does: packages installed with `pip install -e` are found by one of their own."""
    found = (finder.find_spec(module, places) for finder in sys.meta_path)
    return next((spec for spec in found if spec is not None), None)


def _signature(arguments: ast.arguments, *, skip: int) -> Signature:
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + [*arguments.defaults]
    found = {
        item.arg: Argument(ast.unparse(item.annotation) if item.annotation else "", _literal(default), keyword_only)
        for items, values, keyword_only in (
            (positional[skip:], defaults[skip:], False),
            (arguments.kwonlyargs, arguments.kw_defaults, True),
        )
        for item, default in zip(items, values, strict=True)
    }
    return Signature(found, arguments.kwarg is not None)


def _literal(node: ast.expr | None) -> Any:
    if node is None:
        return REQUIRED
    try:
        return ast.literal_eval(node)
    except ValueError:
        return UNKNOWN
