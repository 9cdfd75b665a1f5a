"""Finds the object that `package.module:name` or `path/to/file.py:name` points at.

A file is run once a process, however many of its names are asked for, so each of its classes is one class. `check`,
with which a run starts, has a file that was edited since run again.
"""

import hashlib
import importlib
import importlib.util
import linecache
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from tfcore import checks
from tfcore.build import user_code
from tfcore.errors import ConfigError

HANDED_OVER = "python:"  # what the names of models and data sets begin with that only exist as objects
_CALLS = {
    "model": "tfcore.train(config, model=TheClass), tfcore.load(path, model=TheClass)",
    "dataset": "tfcore.train(config, data=the_data), tfcore.evaluate(path, data=the_data)",
}
_modules: dict[Path, tuple[bytes, ModuleType]] = {}  # resolved path: content, and the module that it gave


def check(flag: str, name: str, table: Mapping[str, str]) -> None:
    """Raises ConfigError, with the nearest name, unless `name` is in the table or names a file or module.

    A file whose content has changed is forgotten, so the next `load` runs it again.
    """
    if name.startswith(HANDED_OVER):
        raise ConfigError(
            f"--{flag}={name} was handed over from Python, where no command can find it. Hand it over again: "
            f"{_CALLS[flag]}."
        )
    if ":" not in name:
        checks.one_of(flag, name, tuple(table))
        return
    place, _ = name.rsplit(":", 1)
    if not name.split(":")[0].endswith(".py"):
        return
    if not Path(place).is_file():
        raise ConfigError(f"--{flag}={name}: there is no file {place}.")
    path = Path(place).resolve()
    if path in _modules and _modules[path][0] != path.read_bytes():
        del _modules[path]


def find(name: str, table: Mapping[str, str]) -> Any:
    """Loads what a name in the table, or the path of a user's object, points at."""
    return load(table.get(name, name))


def load(path: str) -> Any:
    """Loads what the path points at; a user's file is run unless it was already.

    Raises:
        ConfigError: there is no such file, module, class or function, or the file does not run.
    """
    place, name = path.rsplit(":", 1)
    module = _of_file(Path(place)) if place.endswith(".py") else _import(place)
    if not callable(getattr(module, name, None)):
        raise ConfigError(f"{place} has no class or function '{name}'.{checks.nearest(name, vars(module))}")
    return getattr(module, name)


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and name.startswith(error.name):
            raise ConfigError(f"There is no module {name}.") from None
        raise


def _of_file(path: Path) -> ModuleType:
    """The module of a file."""
    place = path.resolve()
    if place not in _modules:
        try:
            content = place.read_bytes()
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
        _modules[place] = content, _run(path, place, content)
    return _modules[place][1]


def _run(path: Path, place: Path, content: bytes) -> ModuleType:
    """Runs a file as a module whose name no other file or package has."""
    name = f"{place.stem}_{hashlib.sha256(str(place).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, place)
    if spec is None:
        raise ConfigError(f"{path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module  # where dataclasses and inspect look for it
    linecache.checkcache(str(place))
    try:
        # Not by the module's loader: its cache of bytecode takes an edit within a second, of equal length, for none.
        exec(compile(content, str(place), "exec", dont_inherit=True), vars(module))
    except Exception as error:
        sys.modules.pop(name)
        if before is not None:
            sys.modules[name] = before
        raise ConfigError(f"{path} does not run: {user_code.told(error)}.") from error
    return module
