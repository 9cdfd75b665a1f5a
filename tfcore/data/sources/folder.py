"""Reads picture files, a folder for each class: keeps labels and paths in memory, decodes pixels batch by batch."""

import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfcore import checks
from tfcore.data.dataset import Dataset
from tfcore.data.download import usable
from tfcore.data.lazy import THREADS, LazySplit
from tfcore.data.pictures import EXTENSIONS, Header, decode, read_header, read_picture, shown
from tfcore.data.sources.assemble import check_lengths, held_out_rows, own_dataset
from tfcore.errors import DataError

_LOG = logging.getLogger(__name__)
_BLOCK = 1024  # files handed to the threads at a time
_LAYOUT = (
    "Expected PATH/train/CLASS/… and PATH/test/CLASS/…, or PATH/CLASS/…, of .png, .jpg, .jpeg, .bmp or .gif files."
)


@dataclass(frozen=True, eq=False)
class _Files:
    """Paths and labels of pictures."""

    class_names: tuple[str, ...]
    paths: list[str]
    labels: NDArray[np.int32]

    def part(self, rows: NDArray[np.int64]) -> "_Files":
        return _Files(self.class_names, [self.paths[row] for row in rows], self.labels[rows])


def folder(
    path: Path, *, image_size: tuple[int, int] | None, test_share: float, seed: int, skip_bad_pictures: bool
) -> Dataset:
    """`folder:PATH`: PATH/train/CLASS/* with PATH/test/CLASS/*, or PATH/CLASS/* of which a share is held out as test.

    The classes are the folders in the order of their names. The examples are the first file of each class, then the
    second of each, and so on, so that the first N of them are balanced. The pictures are grey if all of them are, else
    RGB; see pictures.py for the conversion.

    Args:
        path: the folder. Links are followed; hidden files and folders are ignored.
        image_size: (H, W) that pictures are resized to; None where all have one size.
        test_share: without PATH/test, the share to test on, above 0 and below 1.
        seed: for the choice of that share.
        skip_bad_pictures: whether all pictures are decoded once, and bad ones are reported and left out. Otherwise only
            headers are read, and a picture with damaged pixels ends the training.

    Raises:
        DataError: the folder is missing or has another layout, a class is empty, pictures are bad or differ in size.
        ConfigError: an invalid size, or a share that leaves one of the splits empty.
    """
    checks.share("test_share", test_share)
    check_lengths("image_size", image_size, "H,W")
    ignored: list[str] = []
    with usable(path, _LAYOUT):
        given = [path / name for name in ("train", "test")]
        parts = [_list(part, ignored) for part in (given if all(map(Path.is_dir, given)) else [path])]
    if ignored:
        _LOG.warning("%s: %d entries are no picture files and are ignored: %s", path, len(ignored), _first(ignored))
    if parts[0].class_names != parts[-1].class_names:
        odd = sorted(set(parts[0].class_names) ^ set(parts[-1].class_names))
        raise DataError(f"{path}/train and {path}/test must hold the same classes. Only one of them has '{odd[0]}'.")
    parts, image_shape = _inspected(path, parts, image_size, skip_bad_pictures)
    if len(parts) == 1:
        parts = [parts[0].part(rows) for rows in held_out_rows(parts[0].labels, test_share, seed)]

    def read(picture: str) -> NDArray[np.uint8]:
        return read_picture(picture, image_shape).pixels

    train, test = (LazySplit(part.paths, part.labels, image_shape, read) for part in parts)
    return own_dataset(f"folder:{path}", train, test, parts[0].class_names)


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


def _inspected(
    path: Path, parts: list[_Files], image_size: tuple[int, int] | None, skip_bad: bool
) -> tuple[list[_Files], tuple[int, int, int]]:
    """Checks all pictures; returns the parts without bad ones, and the shape of all pictures."""
    paths = [picture for part in parts for picture in part.paths]
    good, grey = np.ones(len(paths), bool), True
    sizes: dict[tuple[int, int], str] = {}  # the first two, each with a picture
    first_bad = ""
    for place, found in enumerate(_looked_at(paths, decode if skip_bad else read_header)):
        if isinstance(found, str):
            good[place], first_bad = False, first_bad or found
        else:
            grey &= found.grey
            if len(sizes) < 2:
                sizes.setdefault(found.size, paths[place])
    _complain(path, [paths[place] for place in np.flatnonzero(~good)], len(paths), first_bad, skip_bad)
    height, width = image_size or _one_size(path, sizes)
    ends = np.cumsum([len(part.paths) for part in parts])[:-1]
    left = [part.part(np.flatnonzero(mask)) for part, mask in zip(parts, np.split(good, ends), strict=True)]
    return left, (height, width, 1 if grey else 3)


def _looked_at(paths: list[str], look: Callable[[str], Header]) -> Iterator[Header | str]:
    """Yields the header that `look` returns for each file, or the message of its error."""

    def found(path: str) -> Header | str:
        try:
            return look(path)
        except DataError as error:
            return str(error)

    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, len(paths), _BLOCK):
            yield from pool.map(found, paths[start : start + _BLOCK])


def _complain(path: Path, bad: list[str], count: int, first: str, skip: bool) -> None:
    """Reports bad pictures, in a warning or in an error."""
    if not bad:
        return
    if not skip or len(bad) == count:
        leave_out = "" if skip else " or leave them out with --skip_bad_pictures"
        raise DataError(f"{len(bad)} of {count} pictures in {path} are bad. {first} Mend or remove them{leave_out}.")
    _LOG.warning("%s: %d of %d pictures are bad and are left out: %s", path, len(bad), count, _first(bad))


def _one_size(path: Path, sizes: dict[tuple[int, int], str]) -> tuple[int, int]:
    """Returns the common size; raises DataError where there are two."""
    if len(sizes) > 1:
        examples = " and ".join(f"{shown(name)} is {height}x{width}" for (height, width), name in sizes.items())
        raise DataError(f"The pictures in {path} differ in size: {examples} (HxW). Give one with --image_size=H,W.")
    (size,) = sizes
    return size


def _first(paths: list[str]) -> str:
    """Formats the first three paths for a message."""
    return ", ".join(map(shown, paths[:3])) + (", …" if len(paths) > 3 else "")
