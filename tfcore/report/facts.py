"""Reads the facts about a run from its untrusted folder, without TensorFlow and without the data."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfcore.architecture import Architecture
from tfcore.build.configuration import of_run
from tfcore.checks import escaped
from tfcore.config import RunConfig
from tfcore.errors import DataError, RunError
from tfcore.files import open_file, read_text
from tfcore.history import Curve, History
from tfcore.training.run_folder import ARCHITECTURE, PICTURES, TEST, RunFolder

_PNG = b"\x89PNG\r\n\x1a\n"
_PICTURE_BYTES = 1 << 23  # limit for one picture, above the size of any sheet that tfcore draws
_MOST_PICTURES = 32
_TITLES = {  # of the pictures, in the order in which they are shown; others follow by name
    "wrong_test": "Most confident wrong predictions on test pictures",
    "filters": "First-layer filters",
    "feature_maps": "Feature maps",
    "batch": "A batch as the model sees it",
}


class ClassScores(NamedTuple):
    """The test scores of one class; precision and recall in [0, 1], or NaN."""

    name: str
    examples: int
    precision: float
    recall: float


@dataclass(frozen=True)
class TestScores:
    """The full scores of the test split.

    Attributes:
        classes: in the order of the labels.
        confusion: int64 [true class, predicted class].
    """

    __test__ = False  # keeps pytest from collecting the class because of its name

    classes: tuple[ClassScores, ...]
    confusion: NDArray[np.int64]


class Picture(NamedTuple):
    """A PNG with its title."""

    title: str
    data: bytes


@dataclass(frozen=True)
class Facts:
    """All facts that a report shows about a run; those that the folder lacks are None or empty.

    Attributes:
        folder: the path as it was given.
        result: the content of `result.json`; read it with `number` and `text`.
    """

    folder: Path
    config: RunConfig
    architecture: Architecture | None
    result: dict[str, Any]
    history: History
    scores: TestScores | None
    pictures: tuple[Picture, ...]

    @property
    def name(self) -> str:
        """The name of the folder."""
        return escaped(self.folder.resolve().name)

    def curve(self, split: str, name: str) -> Curve | None:
        """Returns `History.curve`, or None if nothing was logged."""
        known = split in self.history.splits and name in self.history.names(split)
        return self.history.curve(split, name) if known else None

    def number(self, keys: str) -> float | None:
        """Returns the number at a key path such as `test.accuracy`; None if it is missing.

        Raises:
            RunError: the value is not a number.
        """
        found = self._found(keys)
        if found is not None and (isinstance(found, bool) or not isinstance(found, int | float)):
            raise self._damaged(keys, "a number", found)
        try:
            return None if found is None else float(found)
        except OverflowError:
            raise self._damaged(keys, "a number", found) from None

    def text(self, keys: str) -> str:
        """Returns the text at a key path such as `machine`, without control characters; "" if it is missing.

        Raises:
            RunError: the value is not text.
        """
        found = self._found(keys)
        if found is not None and not isinstance(found, str):
            raise self._damaged(keys, "text", found)
        return escaped(found or "")

    def numbers(self, keys: str) -> list[int]:
        """Returns the integers at a key path such as `first_bad.examples`; empty if it is missing.

        Raises:
            RunError: the value is not a list of integers.
        """
        found = self._found(keys)
        if found is not None and not (isinstance(found, list) and all(type(number) is int for number in found)):
            raise self._damaged(keys, "a list of whole numbers", found)
        return found or []

    def _found(self, keys: str) -> Any:
        found: Any = self.result
        for key in keys.split("."):
            found = found.get(key) if isinstance(found, dict) else None
        return found

    def _damaged(self, keys: str, expected: str, found: Any) -> RunError:
        shown = escaped(repr(found)[:100])
        return RunError(f"{self.folder / 'result.json'} cannot be used: `{keys}` must be {expected}. Received {shown}.")


def read(folder: Path) -> Facts:
    """Reads the facts in a run's folder.

    Raises:
        RunError: the folder has no run, or a file of it is damaged.
    """
    return Facts(
        folder=folder, config=of_run(folder), architecture=_read(folder / ARCHITECTURE, _architecture),
        result=RunFolder(folder).read_result(), history=History(folder), scores=_read(folder / TEST, _scores),
        pictures=_pictures(folder / PICTURES),
    )  # fmt: skip


def _read(path: Path, parse: Callable[[str], Any]) -> Any:
    """Reads and parses a text file; returns None if it is missing."""
    try:
        return parse(read_text(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError, DataError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise RunError(f"{path} is damaged ({reason}). Delete it to get a report without it.") from error


def _architecture(text: str) -> Architecture:
    return Architecture.from_json(text, ARCHITECTURE)


def _scores(text: str) -> TestScores:
    """Parses the output of `tables.scores_json`."""
    found = json.loads(text)
    confusion = np.array(found["confusion_matrix"], np.int64)
    names, entries = [escaped(name) for name in found["classes"]], found["classes"].values()
    if not names or confusion.shape != (len(names), len(names)) or confusion.min() < 0:
        raise ValueError(f"the confusion matrix of {len(names)} classes has the shape {confusion.shape}")
    shares = [(float(entry["precision"]), float(entry["recall"])) for entry in entries]
    if not all(math.isnan(share) or 0 <= share <= 1 for pair in shares for share in pair):
        raise ValueError("a precision or recall is not between 0 and 1")
    rows = zip(names, confusion.sum(axis=1).tolist(), shares, strict=True)
    return TestScores(tuple(ClassScores(name, examples, *pair) for name, examples, pair in rows), confusion)


def _pictures(folder: Path) -> tuple[Picture, ...]:
    """Reads the PNGs in the folder, those of _TITLES first."""
    try:
        found = {path.stem: path for path in folder.iterdir() if path.suffix == ".png"}
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise RunError(f"{folder} cannot be read: {error.strerror}.") from error
    stems = [*(stem for stem in _TITLES if stem in found), *sorted(found.keys() - _TITLES.keys())]
    return tuple(Picture(_title(stem), _png(found[stem])) for stem in stems[:_MOST_PICTURES])


def _title(stem: str) -> str:
    return _TITLES.get(stem) or escaped(stem).replace("_", " ").capitalize()


def _png(path: Path) -> bytes:
    """Reads the bytes of a PNG of limited size."""
    try:
        with open_file(path) as file:
            data = file.read(_PICTURE_BYTES + 1)
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}.") from error
    if not data.startswith(_PNG) or len(data) > _PICTURE_BYTES:
        raise RunError(f"{path} is not a PNG of at most {_PICTURE_BYTES} bytes. Delete it to get a report without it.")
    return data
