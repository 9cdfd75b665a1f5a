"""Writes data sets as text, .npz, or a folder of PNG files; complete or not at all."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tfcore.data.dataset import Dataset
from tfcore.data.source import Source
from tfcore.errors import DataError
from tfcore.files import appearing

_CHUNK = 256  # pictures decoded and written at a time
_NUMBERS = [str(value).encode() for value in range(256)]


def write(dataset: Dataset, form: str, out: Path) -> None:
    """Writes a data set under a temporary name beside `out`, and renames it at the end.

    Args:
        dataset: the data set; pictures in files are decoded a chunk at a time.
        form: a key of FORMATS.
        out: the folder to create, or for npz the file; its parent folder must exist.

    Raises:
        RunError: `out` exists already, or it cannot be written.
        DataError: the pictures do not fit the format, or it holds no weights and there are some.
    """
    if dataset.train_weights is not None and form != "npz":
        raise DataError(
            f"{dataset.name} has weights of its examples, which only --format=npz and --format=records can hold."
        )
    with appearing(out) as scratch:
        FORMATS[form](dataset, scratch)


def _write_text(dataset: Dataset, out: Path) -> None:
    """Writes a folder with train.txt and test.txt, of lines `label ** p0 p1 …`, and class_names.txt."""
    out.mkdir()
    for name, split in _splits(dataset):
        with (out / f"{name}.txt").open("wb") as file:
            for pictures, labels in _chunks(split):
                for picture, label in zip(pictures.reshape(len(labels), -1).tolist(), labels.tolist(), strict=True):
                    file.write(b"%d ** " % label + b" ".join([_NUMBERS[pixel] for pixel in picture]) + b"\n")
    lines = [" ".join(name.split()) or "_" for name in dataset.class_names]
    (out / "class_names.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_npz(dataset: Dataset, out: Path) -> None:
    """Writes one file with x_train, y_train, x_test, y_test, class_names, and train_weights if there are any."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, split in _splits(dataset):
            with archive.open(f"x_{name}.npy", "w", force_zip64=True) as file:
                header = {"descr": "|u1", "fortran_order": False, "shape": (len(split), *split.image_shape)}
                np.lib.format.write_array_header_1_0(file, header)
                for pictures, _ in _chunks(split):
                    file.write(pictures.tobytes())
            _write_array(archive, f"y_{name}.npy", split.labels)
        if dataset.train_weights is not None:
            _write_array(archive, "train_weights.npy", dataset.train_weights)
        _write_array(archive, "class_names.npy", np.array(dataset.class_names))


def _write_array(archive: zipfile.ZipFile, name: str, array: NDArray[np.generic]) -> None:
    with archive.open(name, "w", force_zip64=True) as file:
        np.lib.format.write_array(file, array, allow_pickle=False)


def _write_png(dataset: Dataset, out: Path) -> None:
    """Writes out/train/CLASS/000123.png and out/test/CLASS/…, numbered as the examples of a split."""
    channels = dataset.image_shape[2]
    if channels not in (1, 3):
        raise DataError(
            f"A picture file has 1 or 3 channels, and {dataset.name} has {channels}. Take another --format."
        )
    folders = folder_names(dataset.class_names)
    for name, split in _splits(dataset):
        for folder in folders:
            (out / name / folder).mkdir(parents=True)
        number = 0
        for pictures, labels in _chunks(split):
            for picture, label in zip(pictures, labels, strict=True):
                image = Image.fromarray(picture if channels == 3 else picture[..., 0])
                image.save(out / name / folders[label] / f"{number:06d}.png")
                number += 1


FORMATS = {"text": _write_text, "npz": _write_npz, "png": _write_png}


def folder_names(class_names: tuple[str, ...]) -> list[str]:
    """Returns a folder name for each class; they differ even where case is ignored.

    Every character other than a letter, digit, blank or one of -_.() becomes an underscore.
    """
    names: list[str] = []
    taken: set[str] = set()
    for class_name in class_names:
        plain = "".join(sign if sign.isalnum() or sign in " -_.()" else "_" for sign in class_name)
        stem = plain.strip(" .")[:100] or "_"
        name = next(name for name in _numbered(stem) if name.casefold() not in taken)
        taken.add(name.casefold())
        names.append(name)
    return names


def _numbered(stem: str) -> Iterator[str]:
    yield stem
    number = 2
    while True:
        yield f"{stem}_{number}"
        number += 1


def _splits(dataset: Dataset) -> tuple[tuple[str, Source], ...]:
    return ("train", dataset.train), ("test", dataset.test)


def _chunks(split: Source) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int32]]]:
    """Yields pictures [n, H, W, C] and labels [n], 256 at a time."""
    for start in range(0, len(split), _CHUNK):
        indices = np.arange(start, min(start + _CHUNK, len(split)))
        yield split.read(indices), split.labels[indices]
