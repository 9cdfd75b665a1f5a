"""Reads WebDataset shards: .tar files in which a picture and its label share a name up to the first dot."""

import io
import json
import os
import re
import tarfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, Unpack

import numpy as np

from tfcore import checks
from tfcore.data.dataset import Dataset
from tfcore.data.pictures import shown
from tfcore.data.shard_index import GET_ANEW, ROW, Index, indexed
from tfcore.data.sources.assemble import class_names
from tfcore.data.sources.encoded import PictureSettings, encoded_dataset
from tfcore.data.sources.shards import find, numbered, of_shards
from tfcore.errors import DataError
from tfcore.files import open_file

LAYOUT = (
    "Expected train-000000.tar and test-….tar or val-….tar, in which 0001.jpg and 0001.cls or 0001.json are a pair."
)
_PATTERN = r".+\.tar$"
_PICTURES = ("jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff")
_LABELS = ("cls", "json")
_KEYS = ("label", "cls")  # of a .json file
_LARGEST_LABEL_BYTES = 1 << 20  # of a .cls or .json file
_HEADER_BYTES = 1 << 20  # that a header of a tar may take; most take 512
_WHOLE_NUMBER = re.compile(rb"\s*-?\d{1,18}\s*")
_DAMAGE = (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError)


def webdataset(path: Path, **settings: Unpack[PictureSettings]) -> Dataset:
    """`webdataset:PATH`: .tar shards of pictures, each with a .cls file (a whole number) or a .json file.

    A .json file has the number as `label` or `cls`. The names of the classes are those in class_names.txt or
    classes.txt beside the training shards, one per line, else the numbers. Other files in the shards are ignored. The
    first start reads the headers of all files and keeps an index (see `shard_index.indexed`); nothing is unpacked.

    Args:
        path: a shard, or the folder of the shards; see `shards.find`.
        settings: see `PictureSettings`.

    Raises:
        DataError: there are no shards, one is damaged, or a picture lacks its label; and see `encoded_dataset`.
        ConfigError: an invalid size, or a share that leaves one of the splits empty.
    """
    files = find(path, _PATTERN, LAYOUT)
    name = f"webdataset:{path}"
    train, test = files.read(lambda paths: of_shards(indexed(paths, "webdataset", _entries)))
    folder = files.train[0].parent
    names = class_names(folder) or class_names(folder, "classes.txt") or numbered(name, train, test)
    return encoded_dataset(name, train, test, names, **settings)


class _Member(NamedTuple):
    """A file in a shard."""

    name: str
    offset: int
    size: int

    @property
    def key(self) -> str:
        """The name up to the first dot of its last part, which the files of a sample share."""
        folder, slash, base = self.name.rpartition("/")
        return folder + slash + base.partition(".")[0]

    @property
    def extension(self) -> str:
        """What follows the first dot of the last part of the name."""
        return self.name.rpartition("/")[2].partition(".")[2].lower()


def _entries(path: Path, size_bytes: int) -> Index:
    """Reads the index of a shard.

    Raises:
        DataError: it is damaged, or has a picture without one label.
    """
    rows = []
    with open_file(path) as file:
        for key, members in groupby(_members(path, size_bytes), lambda member: member.key):
            sample = list(members)
            pictures = [member for member in sample if member.extension in _PICTURES]
            labels = [member for member in sample if member.extension in _LABELS]
            if not pictures:
                continue
            where = f"{checks.escaped(key)} in {shown(path)}"
            if len(pictures) > 1 or not labels:
                raise DataError(
                    f"{where} must have one picture and a label in .cls or .json. It has {len(pictures)} pictures and "
                    f"{len(labels)} such files. {LAYOUT}"
                )
            # A sample with both has the plain number in .cls, and often other things in .json.
            label = min(labels, key=lambda member: _LABELS.index(member.extension))
            if label.size > _LARGEST_LABEL_BYTES:
                raise DataError(f"The label of {where} must have at most {_LARGEST_LABEL_BYTES} bytes. {GET_ANEW}")
            found = _label(os.pread(file.fileno(), label.size, label.offset), label.extension, where)
            rows.append((pictures[0].offset, pictures[0].size, found))
    return Index(np.array(rows, ROW))


def _label(data: bytes, extension: str, where: str) -> int:
    """Reads the label in a .cls or .json file."""
    value: Any = None
    if extension == "cls":
        value = int(data) if _WHOLE_NUMBER.fullmatch(data) else None
    else:
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            value = next((found[key] for key in _KEYS if key in found), None)
    if type(value) is not int or not -(2**63) <= value < 2**63:
        expected = f'an object with "{_KEYS[0]}" or "{_KEYS[1]}"' if extension == "json" else "text"
        shape = f"The .{extension} file of {where} must hold the label, a whole number, as {expected}."
        raise DataError(f"{shape} Received {checks.escaped(data[:40].decode(errors='replace'))!r}.")
    return value


def _members(path: Path, size_bytes: int) -> Iterator[_Member]:
    """Yields the plain files in a tar.

    Raises:
        DataError: it is damaged, or ends without the block of zeros that ends a tar.
    """
    try:
        with _Headers(path) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # it would keep them all
                if member.size < 0 or member.offset_data > size_bytes - member.size:
                    raise tarfile.ReadError(f"{member.name!r} claims {member.size} bytes")
                if member.isreg() and not member.issparse():
                    yield _Member(member.name, member.offset_data, member.size)
            # tarfile takes a damaged header for the end of the archive.
            file.seek(tar.offset)
            end = file.read(tarfile.BLOCKSIZE)
            if len(end) != tarfile.BLOCKSIZE or any(end):
                raise tarfile.ReadError(f"no end of the archive at byte {tar.offset} of {size_bytes}")
    except _DAMAGE as error:
        reason = checks.one_line(str(error)) or type(error).__name__
        raise DataError(f"{shown(path)} is damaged, cut off or no plain .tar: {reason}. {GET_ANEW}") from error


class _Headers(io.BufferedReader):
    """A file of which only short pieces are read: a header of a tar can claim gigabytes."""

    def __init__(self, path: Path) -> None:
        super().__init__(open_file(path).detach())

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _HEADER_BYTES:
            raise tarfile.ReadError(f"a header claims {size} bytes")
        return super().read(size)
