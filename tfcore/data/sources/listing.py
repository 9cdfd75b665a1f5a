"""Lists folders of picture files; the list of a large data set is kept for later starts."""

import logging
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfcore.data import index_files
from tfcore.data.download import data_dir, usable
from tfcore.data.file_list import FileList, ListedFiles, shortest
from tfcore.data.index_files import HOMELESS
from tfcore.data.pictures import EXTENSIONS, shown
from tfcore.data.store import Stored
from tfcore.errors import DataError

LAYOUT = "Expected PATH/train/CLASS/… and PATH/test/CLASS/…, or PATH/CLASS/…, of .jpg, .png, .webp, .gif, .bmp, .tif …"
KEPT_FROM = 100_000  # pictures; fewer are listed in a second
_KIND = "folder"
_EXAMPLES = 3  # of entries that are ignored
_VERSION = 1
_PARTS = ("train", "test")
_SETTLED_SECS = 2.0  # a file system may give changes within so many seconds the same time
_LOG = logging.getLogger(__name__)


class Files(NamedTuple):
    """The pictures of a split, class by class, each in the order of their names.

    Attributes:
        class_names: names of the C folders.
        counts: int64 [C], of their pictures.
        lengths: uint16 [n], of the names of the files in bytes.
        sizes: unsigned [n], of the files in bytes; 0 for a link that leads nowhere.
        names: of the files, one after the other.
    """

    class_names: tuple[str, ...]
    counts: NDArray[np.int64]
    lengths: NDArray[np.uint16]
    sizes: NDArray[np.unsignedinteger]
    names: bytes

    def stored(self, folder: Path) -> Stored:
        """The pictures and labels in turn: the first file of each class, then the second of each, and so on."""
        labels = np.repeat(np.arange(len(self.counts), dtype=np.int32), self.counts)
        firsts = (np.cumsum(self.counts) - self.counts).astype(np.int32)
        places = np.arange(len(labels), dtype=np.int32) - np.repeat(firsts, self.counts)
        in_turn = np.lexsort((labels, places))
        labels = labels[in_turn]
        folders = [os.path.join(folder, name) for name in self.class_names]
        paths = FileList(folders, labels, names=self.names, lengths=self.lengths, order=in_turn)
        return Stored(ListedFiles(paths, self.sizes[in_turn]), labels)


class Listing(NamedTuple):
    """The splits of a folder by their names, "" for the folder itself, and its other entries: number, and the first."""

    parts: dict[str, Files]
    ignored: int
    examples: tuple[str, ...]


def listed(path: Path) -> Listing:
    """Lists PATH/train/CLASS/* and PATH/test/CLASS/*, or PATH/CLASS/*; hidden files and folders are left out.

    The list of 100,000 pictures or more is kept (see `index_files`). It is valid until one of the folders changes:
    until a file is added, removed or renamed. A file that is written again under its name does not change its folder.

    Raises:
        DataError: a folder cannot be read, a class is empty, or its name is no text.
    """
    with usable(path, LAYOUT):
        place = path.resolve()
    for head, body in index_files.kept(place, _KIND):
        found = _unpacked(path, head, body)
        if found is not None:
            return found
    since = time.time()
    found = _scanned(path)
    if sum(len(files.sizes) for files in found.parts.values()) >= KEPT_FROM:
        with usable(path, LAYOUT):
            stamps = _stamps(path, {part: files.class_names for part, files in found.parts.items()})
        newest = max(max(times) for _, *times in stamps)
        is_settled = newest / 1e9 < since - _SETTLED_SECS
        if is_settled and not index_files.keep(place, _KIND, *_packed(found, stamps)):
            _LOG.warning(HOMELESS, shown(path), data_dir(""))
    return found


def _scanned(path: Path) -> Listing:
    """Lists the folders."""
    ignored: list[str] = []
    with usable(path, LAYOUT):
        is_split = all((path / part).is_dir() for part in _PARTS)
        parts = {part: _files(path / part, ignored) for part in (_PARTS if is_split else ("",))}
    return Listing(parts, len(ignored), tuple(map(shown, ignored[:_EXAMPLES])))


def _files(path: Path, ignored: list[str]) -> Files:
    """Lists the picture files in the folders of `path`; appends everything else to `ignored`."""
    class_names: list[str] = []
    counts: list[int] = []
    lengths: list[NDArray[np.uint16]] = []
    sizes: list[NDArray[np.int64]] = []
    names: list[bytes] = []
    for entry in _entries(path):
        if not entry.is_dir():
            ignored.append(entry.path)
            continue
        files = _entries(entry.path)
        pictures = [file for file in files if file.name.lower().endswith(EXTENSIONS) and not file.is_dir()]
        if not pictures:
            raise DataError(f"{shown(entry.path)} is an empty class: it holds no picture. {LAYOUT}")
        if shown(entry.name) != entry.name:
            raise DataError(
                f"The name of the folder {shown(entry.path)} is no plain text in UTF-8, and cannot name a class. "
                "Rename it."
            )
        ignored += sorted({file.path for file in files}.difference(file.path for file in pictures))
        encoded = [os.fsencode(file.name) for file in pictures]
        class_names.append(entry.name)
        counts.append(len(pictures))
        lengths.append(np.array([len(name) for name in encoded], np.uint16))
        sizes.append(np.array([_size(file) for file in pictures], np.int64))
        names.append(b"".join(encoded))
    if not class_names:
        raise DataError(f"{path} holds no folder of a class. {LAYOUT}")
    found = np.array(counts), np.concatenate(lengths), shortest(np.concatenate(sizes)), b"".join(names)
    return Files(tuple(class_names), *found)


def _entries(path: str | Path) -> list["os.DirEntry[str]"]:
    """Lists a folder in the order of names, without hidden files and folders."""
    with usable(Path(path), LAYOUT), os.scandir(path) as entries:
        return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)


def _size(file: "os.DirEntry[str]") -> int:
    """The size of a file in bytes; 0 for a link that leads nowhere, which is told when it is read."""
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _stamps(path: Path, class_names: dict[str, tuple[str, ...]]) -> list[list[int]]:
    """What tells each folder from others and from its earlier states: its number on the disk, and two times in ns."""
    folders = [path, *(path / part for part in class_names if part)]
    folders += [path / part / name for part, names in class_names.items() for name in names]
    found = [folder.stat() for folder in folders]
    return [[status.st_ino, status.st_mtime_ns, status.st_ctime_ns] for status in found]


def _packed(listing: Listing, stamps: list[list[int]]) -> tuple[Any, bytes]:
    """A list as it is kept: JSON and bytes."""
    parts = {part: [files.class_names, files.counts.tolist()] for part, files in listing.parts.items()}
    arrays = [
        array
        for files in listing.parts.values()
        for array in (files.lengths.astype("<u2").tobytes(), files.sizes.astype("<i8").tobytes(), files.names)
    ]
    return [_VERSION, EXTENSIONS, stamps, parts, listing.ignored, listing.examples], b"".join(arrays)


def _unpacked(path: Path, head: Any, body: memoryview) -> Listing | None:
    """The list of `_packed`; None where it is of another version, of folders that have changed, or not whole."""
    try:
        version, extensions, stamps, parts, ignored, examples = head
        class_names = {str(part): tuple(map(str, names)) for part, (names, _) in parts.items()}
        if (version, extensions) != (_VERSION, list(EXTENSIONS)) or stamps != _stamps(path, class_names):
            return None
        found: dict[str, Files] = {}
        start = 0
        for part, (_, numbers) in parts.items():
            counts = np.array(numbers, np.int64)
            total = int(counts.sum())
            lengths = np.frombuffer(body, "<u2", total, start).astype(np.uint16)
            sizes = np.frombuffer(body, "<i8", total, start + 2 * total)
            end = start + 10 * total + int(lengths.sum(dtype=np.int64))
            found[part] = Files(
                class_names[part], counts, lengths, shortest(sizes), bytes(body[start + 10 * total : end])
            )
            start = end
        is_whole = start == len(body) and all(_is_whole(files) for files in found.values())
        return Listing(found, int(ignored), tuple(map(str, examples))) if found and is_whole else None
    except (OSError, ValueError, TypeError, AttributeError, OverflowError):
        return None


def _is_whole(files: Files) -> bool:
    """Whether there is a picture in each class, and a name for each picture, which leads into no other folder."""
    is_counted = len(files.counts) == len(files.class_names) > 0 < files.counts.min() and files.lengths.min() > 0
    return is_counted and os.sep.encode() not in files.names and os.sep not in "".join(files.class_names)
