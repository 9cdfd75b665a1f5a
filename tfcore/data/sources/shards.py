"""Shared parts of the readers of sharded data sets: files by split, labels, names of the classes."""

import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfcore.data.download import usable
from tfcore.data.labels import LARGEST_LABEL
from tfcore.data.pictures import shown
from tfcore.data.shard_index import Shard, Stamp
from tfcore.data.shard_store import Bytes, OpenShard, ShardStore
from tfcore.data.store import Store, Stored
from tfcore.errors import DataError

_LOG = logging.getLogger(__name__)
_DEPTH = 3  # folders below PATH that are looked into
_NUMBERED = re.compile(r"-\d{1,9}-of-(\d{1,9})\b")
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}


class Files(NamedTuple):
    """The shards of a data set; `test` is empty where a share of `train` is to be held out."""

    train: list[Path]
    test: list[Path]

    def read(self, read: Callable[[list[Path]], Stored]) -> tuple[Stored, Stored | None]:
        """Reads the shards of each split; None for a test split without any."""
        return read(self.train), read(self.test) if self.test else None


def find(path: Path, pattern: str, layout: str) -> Files:
    """Finds the shards of a data set and tells their splits by their names.

    The split is the last of the words train, validation (valid, val, dev) and test in the name of a file, or else in
    that of its folder inside PATH. Without any such word all shards are for training. The test split is `test`, or
    `validation` where there is no test.

    Args:
        path: a shard, or a folder with shards in it or in folders of it. Links are followed, hidden names ignored.
        pattern: regular expression of the shards' names, from their start.
        layout: what is expected, for messages.

    Returns:
        The shards of each split in the order of their names.

    Raises:
        DataError: there are no shards, none to train on, or those of a split are in more than one folder.
    """
    with usable(path, layout):
        paths = list(_shards(path, re.compile(pattern, re.IGNORECASE), _DEPTH)) if path.is_dir() else [path]
        if not os.path.lexists(path):
            raise FileNotFoundError(2, os.strerror(2), str(path))
    if not paths:
        raise DataError(f"{shown(path)} holds no shard. {layout}")
    found: dict[str, list[Path]] = {"train": [], "validation": [], "test": [], "": []}
    for shard in paths:
        found[_split(shard.relative_to(path))].append(shard)
    unnamed = found.pop("")
    if not any(found.values()):
        return Files(_checked(unnamed, layout), [])
    if not found["train"]:
        raise DataError(f"{shown(path)} holds no shard to train on, such as train-00000-of-00008. {layout}")
    unused = unnamed + (found["validation"] if found["test"] else [])
    if unused:
        text = "%s: %d shards are of neither the training nor the test split and are not used, such as %s."
        _LOG.warning(text, shown(path), len(unused), shown(unused[0]))
    return Files(*(_checked(part, layout) for part in (found["train"], found["test"] or found["validation"])))


def _shards(folder: Path, pattern: re.Pattern[str], depth: int) -> Iterator[Path]:
    """Yields the files whose names match, in the order of names."""
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _shards(entry, pattern, depth - 1) if depth else ()
        elif pattern.match(entry.name):
            yield entry


def _split(path: Path) -> str:
    """The split that a path inside the data set's folder names; "" for none."""
    for part in reversed(path.parts):
        named = [_SPLITS[word] for word in re.split("[^a-z]+", part.lower()) if word in _SPLITS]
        if named:
            return named[-1]
    return ""


def _checked(paths: list[Path], layout: str) -> list[Path]:
    """Raises DataError where shards of a split are in two folders; warns where some of a numbered set are missing."""
    folders = sorted({path.parent for path in paths})
    if len(folders) > 1:
        raise DataError(
            f"The shards of a split must be in one folder. Found some in {shown(folders[0])} and in "
            f"{shown(folders[1])}: name the folder of one data set. {layout}"
        )
    totals = [int(match[1]) for path in paths if (match := _NUMBERED.search(path.name))]
    if totals and len(totals) < max(totals):
        text = "%s: only %d of %d shards are there, such as %s."
        _LOG.warning(text, shown(folders[0]), len(totals), max(totals), shown(paths[0].name))
    return paths


def stored(store: Store, labels: NDArray[np.int64]) -> Stored:
    """Joins pictures and labels, which it converts to int32.

    Raises:
        DataError: there is no picture, or a label is negative or above 2^31 - 1.
    """
    if not len(store):
        raise DataError("A split needs at least one example. Its shards hold none.")
    bad = (labels < 0) | (labels > LARGEST_LABEL)
    if bad.any():
        index = int(bad.argmax())
        withheld = " One cannot test on a test split without labels: move it elsewhere." if labels[index] == -1 else ""
        raise DataError(
            f"Labels must be whole numbers from 0 to {LARGEST_LABEL}. {store.name(index)} has {labels[index]}."
            f"{withheld}"
        )
    return Stored(store, labels.astype(np.int32))


def of_shards(
    shards: Sequence[Shard], *, first_label: int = 0, open_shard: Callable[[Path, Stamp], OpenShard] = Bytes
) -> Stored:
    """The pictures of indexed shards, with labels counted from `first_label`; for `open_shard` see `ShardStore`."""
    store = ShardStore(shards, open_shard)
    return stored(store, store.labels - first_label)


def numbered(name: str, train: Stored, test: Stored | None) -> tuple[str, ...]:
    """Names the classes "0", "1", and so on up to the largest label.

    Raises:
        DataError: there are fewer training examples than classes.
    """
    largest = max(int(part.labels.max()) for part in (train, test) if part is not None)
    if largest >= len(train.labels):
        raise DataError(
            f"Every class needs an example to train on. {name} has a label {largest} and only {len(train.labels)} "
            "training examples. Number the labels 0, 1, 2 … without a gap."
        )
    return tuple(map(str, range(largest + 1)))
