"""From `package.module:name` or `path/to/file.py:name` to the object."""

import importlib
import importlib.util
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


def check(flag: str, name: str, table: Mapping[str, str]) -> None:
    """Raises ConfigError, with the nearest name, unless `name` is in the table or names a file or module of its own."""
    if name.startswith(HANDED_OVER):
        raise ConfigError(
            f"--{flag}={name} was handed over from Python, where no command can find it. Hand it over again: "
            f"{_CALLS[flag]}."
        )
    if ":" not in name:
        checks.one_of(flag, name, tuple(table))
    elif name.split(":")[0].endswith(".py") and not Path(name.rsplit(":", 1)[0]).is_file():
        raise ConfigError(f"--{flag}={name}: there is no file {name.rsplit(':', 1)[0]}.")


def find(name: str, table: Mapping[str, str]) -> Any:
    """What a name in the table, or a path of the user's own, points at."""
    return load(table.get(name, name))


def load(path: str) -> Any:
    """What the path points at; a file of the user's own is run.

    Raises:
        ConfigError: there is no such file, module, class or function, or the file does not run.
    """
    place, name = path.rsplit(":", 1)
    module = _run_file(Path(place)) if place.endswith(".py") else _import(place)
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


def _run_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)  # dataclasses look their module up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigError(f"{path} does not run: {user_code.told(error)}.") from error
    return module
