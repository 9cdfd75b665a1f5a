"""Reads CIFAR-10 and CIFAR-100 in their binary version: records of label bytes and 3072 bytes of picture.

A picture is stored as three planes of 32x32 (red, green, blue) and returned as [32, 32, 3]. A CIFAR-100 record starts
with a coarse and a fine label; the fine one is the label here.

Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfcore import checks
from tfcore.data import download
from tfcore.data.dataset import Dataset, Split, aligned_empty
from tfcore.errors import DataError
from tfcore.files import open_file

PICTURE_BYTES = 3 * 32 * 32
CHUNK_RECORDS = 1000  # read at a time: 3 MB
GET_ANEW = "Delete it and get it anew."


@dataclass(frozen=True)
class _Layout:
    """Files of one of the two data sets; `label_classes` is the number of classes of each label byte."""

    name: str
    label_classes: tuple[int, ...]
    train_files: tuple[str, ...]
    test_files: tuple[str, ...]
    names_file: str
    pickled: tuple[str, ...]


CIFAR10 = _Layout(
    name="cifar10",
    label_classes=(10,),
    train_files=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    test_files=("test_batch.bin",),
    names_file="batches.meta.txt",
    pickled=("cifar-10-batches-py", "cifar-10-python.tar.gz"),
)
CIFAR100 = _Layout(
    name="cifar100",
    label_classes=(20, 100),
    train_files=("train.bin",),
    test_files=("test.bin",),
    names_file="fine_label_names.txt",
    pickled=("cifar-100-python", "cifar-100-python.tar.gz"),
)


def cifar10(data_dir: Path) -> Dataset:
    """CIFAR-10: 50,000 training and 10,000 test pictures [32, 32, 3] of ten classes.

    Raises:
        DataError: when the files cannot be downloaded or have another format.
    """
    return _load(CIFAR10, data_dir)


def cifar100(data_dir: Path) -> Dataset:
    """CIFAR-100: 50,000 training and 10,000 test pictures [32, 32, 3] of a hundred classes (the fine labels).

    Raises:
        DataError: when the files cannot be downloaded or have another format.
    """
    return _load(CIFAR100, data_dir)


def _load(layout: _Layout, data_dir: Path) -> Dataset:
    _refuse_pickled(layout, data_dir)
    folder = download.obtain(layout.name, data_dir)
    names = _class_names(folder / layout.names_file, layout.label_classes[-1])
    train, test = (
        _read([folder / file for file in files], layout.label_classes)
        for files in (layout.train_files, layout.test_files)
    )
    return Dataset(layout.name, train, test, names)


def _refuse_pickled(layout: _Layout, data_dir: Path) -> None:
    """Raises DataError where there is only the pickled version, which is unsafe to open."""
    published = download.PUBLISHED[layout.name]
    archive = published.address.rpartition("/")[2]
    if any(os.path.exists(data_dir / name) for name in (published.folder, archive)):
        return
    for name in layout.pickled:
        if os.path.exists(data_dir / name):
            raise DataError(
                f"{data_dir / name} is the pickled version, and unpickling a file runs any code that is in it. Put the "
                f"binary version there instead: {published.address}, or unpacked as the folder {published.folder}."
            )


def _class_names(path: Path, classes: int) -> tuple[str, ...]:
    """Reads class names, one per line."""
    with download.usable(path, GET_ANEW), open_file(path) as stream:
        text = stream.read(download.NAMES_BYTES).decode(errors="replace")
    names = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not all(map(checks.is_plain_text, names)):
        raise DataError(f"{path} must hold names of classes without control characters. {GET_ANEW}")
    if len(names) != classes:
        raise DataError(f"{path} must hold {classes} names of classes, one per line. It holds {len(names)}. {GET_ANEW}")
    return names


def _read(paths: list[Path], label_classes: tuple[int, ...]) -> Split:
    """Reads one split from its files, in their order."""
    # All sizes are checked before the first array is allocated.
    counts = [_records(path, len(label_classes) + PICTURE_BYTES) for path in paths]
    with download.usable(paths[0].parent, GET_ANEW):
        images = aligned_empty((sum(counts), 32, 32, 3))
        labels = np.empty(sum(counts), np.int32)
    start = 0
    for path, count in zip(paths, counts, strict=True):
        for first, records in _chunks(path, count, len(label_classes) + PICTURE_BYTES):
            _check_labels(path, first, records, label_classes)
            part = slice(start + first, start + first + len(records))
            labels[part] = records[:, len(label_classes) - 1]
            planes = records[:, len(label_classes) :].reshape(-1, 3, 32, 32)  # [n, C, H, W]
            for channel in range(3):  # twice as quick as one assignment, whose innermost loop is over channels
                images[part, :, :, channel] = planes[:, channel]
        start += count
    return Split(images, labels)


def _records(path: Path, record_bytes: int) -> int:
    """Computes the number of records in a file from its size."""
    with download.usable(path, GET_ANEW):
        size_bytes = path.stat().st_size
    if size_bytes == 0 or size_bytes % record_bytes:
        raise DataError(
            f"{path} must hold a whole number of records of {record_bytes} bytes, at least one. It has {size_bytes} "
            f"bytes. {GET_ANEW}"
        )
    return size_bytes // record_bytes


def _chunks(path: Path, count: int, record_bytes: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yields (number of the first record, records [n, record_bytes]) until `count` records were read."""
    with download.usable(path, GET_ANEW), open_file(path) as stream:
        for first in range(0, count, CHUNK_RECORDS):
            wanted = min(CHUNK_RECORDS, count - first)
            data = np.fromfile(stream, np.uint8, wanted * record_bytes)
            if data.size != wanted * record_bytes:
                raise DataError(f"{path} became shorter while it was read. Run again when nothing writes to it.")
            yield first, data.reshape(wanted, record_bytes)


def _check_labels(path: Path, first: int, records: NDArray[np.uint8], label_classes: tuple[int, ...]) -> None:
    """Raises DataError, with the record's number, unless each label byte is a class."""
    for column, classes in enumerate(label_classes):
        bad = records[:, column] >= classes
        if bad.any():
            index = int(bad.argmax())
            raise DataError(
                f"Labels in {path} must be within 0..{classes - 1}. Received {records[index, column]} in record "
                f"{first + index}. {GET_ANEW}"
            )
