"""Reads picture files, a folder for each class: keeps labels and paths in memory, decodes pixels batch by batch."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from tfcore.data.dataset import Dataset
from tfcore.data.download import usable
from tfcore.data.pictures import EXTENSIONS, shown
from tfcore.data.sources.encoded import PictureSettings, encoded_dataset
from tfcore.data.store import FileStore, Stored
from tfcore.errors import DataError

_LOG = logging.getLogger(__name__)
_LAYOUT = "Expected PATH/train/CLASS/… and PATH/test/CLASS/…, or PATH/CLASS/…, of .jpg, .png, .webp, .gif, .bmp, .tif …"


@dataclass(frozen=True, eq=False)
class _Files:
    """Paths and labels of pictures."""

    class_names: tuple[str, ...]
    paths: list[str]
    labels: NDArray[np.int32]

    def part(self, rows: NDArray[np.int64]) -> "_Files":
        return _Files(self.class_names, [self.paths[row] for row in rows], self.labels[rows])


def folder(path: Path, **settings: Unpack[PictureSettings]) -> Dataset:
    """`folder:PATH`: PATH/train/CLASS/* with PATH/test/CLASS/*, or PATH/CLASS/* of which a share is held out as test.

    The classes are the folders in the order of their names. The examples are the first file of each class, then the
    second of each, and so on, so that the first N of them are balanced.

    Args:
        path: the folder. Links are followed; hidden files and folders are ignored.
        settings: see `PictureSettings`.

    Raises:
        DataError: the folder is missing or has another layout, a class is empty, pictures are bad or differ in size.
        ConfigError: an invalid size, or a share that leaves one of the splits empty.
    """
    ignored: list[str] = []
    with usable(path, _LAYOUT):
        given = [path / name for name in ("train", "test")]
        parts = [_list(part, ignored) for part in (given if all(map(Path.is_dir, given)) else [path])]
    if ignored:
        _LOG.warning(
            "%s: %d entries are no picture files and are ignored: %s", shown(path), len(ignored), _first(ignored)
        )
    if parts[0].class_names != parts[-1].class_names:
        odd = sorted(set(parts[0].class_names) ^ set(parts[-1].class_names))
        raise DataError(f"{path}/train and {path}/test must hold the same classes. Only one of them has '{odd[0]}'.")
    train, *test = (Stored(FileStore(part.paths), part.labels) for part in parts)
    return encoded_dataset(
        f"folder:{path}",
        train,
        test[0] if test else None,
        parts[0].class_names,
        **settings,
    )


def _list(path: Path, ignored: list[str]) -> _Files:
    """Lists the picture files in the folders of `path`; appends everything else to `ignored`."""
    names: list[str] = []
    paths: list[str] = []
    counts: list[int] = []
    for entry in _entries(path):
        if not entry.is_dir():
            ignored.append(entry.path)
            continue
        files = _entries(entry.path)
        pictures = [file.path for file in files if file.name.lower().endswith(EXTENSIONS) and not file.is_dir()]
        if not pictures:
            raise DataError(f"{shown(entry.path)} is an empty class: it holds no picture. {_LAYOUT}")
        if shown(entry.name) != entry.name:
            raise DataError(
                f"The name of the folder {shown(entry.path)} is no plain text in UTF-8, and cannot name a class. "
                "Rename it."
            )
        ignored += sorted({file.path for file in files}.difference(pictures))
        names.append(entry.name)
        paths += pictures
        counts.append(len(pictures))
    if not names:
        raise DataError(f"{path} holds no folder of a class. {_LAYOUT}")
    labels = np.repeat(np.arange(len(names), dtype=np.int32), counts)
    in_turn = np.lexsort((labels, np.concatenate([np.arange(count) for count in counts])))
    return _Files(tuple(names), paths, labels).part(in_turn)


def _entries(path: str | Path) -> list["os.DirEntry[str]"]:
    """Lists a folder in the order of names, without hidden files and folders."""
    with usable(Path(path), _LAYOUT), os.scandir(path) as entries:
        return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)


def _first(paths: list[str]) -> str:
    """Formats the first three paths for a message."""
    return ", ".join(map(shown, paths[:3])) + (", …" if len(paths) > 3 else "")
