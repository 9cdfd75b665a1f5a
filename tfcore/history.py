"""The curves of a run as arrays."""

import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfcore import checks
from tfcore.errors import RunError
from tfcore.files import open_file

_LINE_BYTES = 1 << 24  # larger than any line, even one with the norms of a thousand layers


class Curve(NamedTuple):
    """The values of one logged number, and the step of each, ascending."""

    steps: NDArray[np.int64]  # [n]
    values: NDArray[np.float64]  # [n]; NaN where the logged number was not finite


class History:
    """The curves that a run has logged so far, read once.

    Args:
        run: the run's folder.

    Attributes:
        splits: the splits that have curves, among train, validation, test.

    Raises:
        RunError: there is no run, or a line of its log cannot be read. An incomplete last line, of a run that is still
            writing or was killed, is left out.

    Example:
        history = tfcore.History("runs/NAME")
        steps, accuracy = history.curve("validation", "accuracy")
        print("best", accuracy.max(), "at step", steps[accuracy.argmax()])
    """

    def __init__(self, run: str | Path) -> None:
        points: dict[str, dict[str, list[tuple[int, float]]]] = {}
        for entry in _entries(Path(run)):
            step, split = entry.pop("step"), entry.pop("split")
            for name, value in entry.items():
                points.setdefault(split, {}).setdefault(name, []).append((step, value))
        self._curves = {
            split: {name: Curve(*map(np.array, zip(*rows, strict=True))) for name, rows in numbers.items()}
            for split, numbers in points.items()
        }
        self.splits = tuple(self._curves)

    def names(self, split: str) -> tuple[str, ...]:
        """The names of a split's curves, such as loss and accuracy.

        Raises:
            ConfigError: an unknown split.
        """
        checks.one_of("split", split, self.splits)
        return tuple(self._curves[split])

    def curve(self, split: str, name: str) -> Curve:
        """The curve of one number of a split.

        Raises:
            ConfigError: an unknown split or number.
        """
        checks.one_of("name", name, self.names(split))
        return self._curves[split][name]


def _entries(run: Path) -> list[dict[str, Any]]:
    """Reads the entries of the log, with numbers as floats."""
    if not os.path.isfile(run / "config.flags"):  # os.path.isfile does not raise
        raise RunError(f"{run} is not a run folder: it has no config.flags.")
    path = run / "metrics.jsonl"
    try:
        return list(_whole_lines(path))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}.") from error


def _whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yields the entry on each line that ends in a line feed."""
    with open_file(path) as file:
        for number in itertools.count(1):
            line = file.readline(_LINE_BYTES)
            if len(line) < _LINE_BYTES and not line.endswith(b"\n"):
                return
            yield _entry(line, f"Line {number} of {path}")


def _entry(line: bytes, where: str) -> dict[str, Any]:
    try:
        if not line.endswith(b"\n"):
            raise ValueError(f"it has more than {_LINE_BYTES} bytes")
        entry = json.loads(line.decode())
        numbers = {name: float("nan" if value is None else value) for name, value in entry.items() if name != "split"}
        return {**numbers, "step": int(np.int64(entry["step"])), "split": str(entry["split"])}
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError, RecursionError) as error:
        raise RunError(f"{where} cannot be read: {error}.") from None
