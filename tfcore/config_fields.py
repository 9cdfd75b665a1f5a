"""Frozen dataclasses of settings: how their fields are declared, checked, spelled as flags and compared."""

import typing
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any, Self

from tfcore import checks, config_values
from tfcore.config_values import Kind, spelled

IDENTITY, WATCHING = "identity", "watching"
Choices = tuple[str, ...]
Check = Callable[[str, Any], Any] | None  # raises ConfigError; is not called for None


def flag(default: Any, description: str, check: Check = None, *, part: str = IDENTITY, choices: Choices = ()) -> Any:
    """Declares a field that is a flag of the same name; of `part` IDENTITY, it says what is trained."""
    return field(default=default, metadata={"help": description, "check": check, "part": part, "choices": choices})


def watch(default: Any, description: str, check: Check = None) -> Any:
    """Declares a field that says how the run is observed, which a resumed run may change."""
    return flag(default, description, check, part=WATCHING)


@dataclass(frozen=True)
class Settings:
    """What all dataclasses do whose fields are declared by `flag` and `watch`.

    Raises:
        ConfigError: a value of another type or out of range.
    """

    def __post_init__(self) -> None:
        kinds = self.kinds()
        for item in fields(self):
            value = config_values.typed(item.name, getattr(self, item.name), kinds[item.name])
            object.__setattr__(self, item.name, value)
            if isinstance(value, str):
                checks.plain_text(item.name, value)
            if item.metadata["choices"]:
                checks.one_of(item.name, value, item.metadata["choices"])
            if item.metadata["check"] is not None and value is not None:
                item.metadata["check"](item.name, value)

    @classmethod
    @lru_cache
    def kinds(cls) -> dict[str, Kind]:
        """Returns the kind of each field's values, by its annotation."""
        return {name: config_values.kind_of(hint) for name, hint in typing.get_type_hints(cls).items()}

    @classmethod
    def from_flags(cls, text: str) -> Self:
        """Reads the text that `flags` writes: one `--name=value` per line.

        Raises:
            ConfigError: an invalid line, an unknown flag, or a value of another type.
        """
        return cls(**config_values.read_flags(text, cls.kinds()))

    def flags(self) -> str:
        """Writes every flag that is set, one per line; `--flagfile` with this text repeats the run."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return "".join(f"--{name}={spelled(value)}\n" for name, value in values.items() if value is not None)

    def differences(self, other: Self, part: str) -> dict[str, tuple[Any, Any]]:
        """Returns the fields of `part` in which the two differ: name -> (value here, value there)."""
        pairs = {
            f.name: (getattr(self, f.name), getattr(other, f.name)) for f in fields(self) if f.metadata["part"] == part
        }
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
