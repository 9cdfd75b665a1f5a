"""The curves of a run as arrays."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfcore import checks
from tfcore.errors import RunError


class Curve(NamedTuple):
    """The values of one number, and the completed steps that each was logged at, ascending."""

    steps: NDArray[np.int64]  # [n]
    values: NDArray[np.float64]  # [n]; NaN where the logged number was not finite


class History:
    """What a run logged so far, read once.

    Args:
        run: the run's folder.

    Attributes:
        splits: those that have curves: train, validation, test.

    Raises:
        RunError: there is no run, or a line of its log cannot be read. A last line that the run is still writing, or
            was killed at, is left out.

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
        """The numbers of which a split has curves, such as loss and accuracy.

        Raises:
            ConfigError: an unknown split.
        """
        checks.one_of("split", split, self.splits)
        return tuple(self._curves[split])

    def curve(self, split: str, name: str) -> Curve:
        """One number of a split over the steps.

        Raises:
            ConfigError: an unknown split or number.
        """
        checks.one_of("name", name, self.names(split))
        return self._curves[split][name]


def _entries(run: Path) -> list[dict[str, Any]]:
    """The lines of the log, their numbers as floats."""
    if not (run / "config.flags").is_file():
        raise RunError(f"{run} is not a run folder: it has no config.flags.")
    path = run / "metrics.jsonl"
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read: {error}.") from error
    whole, _, _ = text.rpartition("\n")
    return [_entry(line, f"Line {number} of {path}") for number, line in enumerate(whole.splitlines(), start=1)]


def _entry(line: str, where: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
        numbers = {name: float("nan" if value is None else value) for name, value in entry.items() if name != "split"}
        return {**numbers, "step": int(entry["step"]), "split": str(entry["split"])}
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise RunError(f"{where} cannot be read: {error}.") from None
