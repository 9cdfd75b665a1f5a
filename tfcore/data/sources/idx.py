"""Reads MNIST, Fashion-MNIST, KMNIST and user-defined IDX files of unsigned bytes, plain or as .gz.

An IDX file is a big-endian header (a magic number, then the length of each axis) and the bytes of the array. The header
is compared with the size of the file before the array is allocated.

Source: Y. LeCun, C. Cortes, C. Burges, The MNIST database of handwritten digits, 1998.
"""

import gzip
import io
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfcore.data import download
from tfcore.data.dataset import Dataset, Split
from tfcore.data.reading import DEFLATE_RATIO, GET_ANEW, read_bytes
from tfcore.data.sources.assemble import own_dataset
from tfcore.errors import DataError
from tfcore.files import open_file

IMAGES_MAGIC = 2051  # unsigned bytes, three axes
LABELS_MAGIC = 2049  # unsigned bytes, one axis
IMAGES_FILE, LABELS_FILE = "images-idx3-ubyte", "labels-idx1-ubyte"
DAMAGE = (gzip.BadGzipFile, zlib.error, EOFError)

ItemShape = tuple[int | None, ...]  # of one picture or label; None for any length

DIGITS = tuple("0123456789")
CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
HIRAGANA = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


def mnist(data_dir: Path) -> Dataset:
    """MNIST: 60,000 training and 10,000 test pictures [28, 28, 1] of handwritten digits.

    Raises:
        DataError: when the files cannot be downloaded or have another format.
    """
    return _load("mnist", data_dir, DIGITS)


def fashion_mnist(data_dir: Path) -> Dataset:
    """Fashion-MNIST: 60,000 training and 10,000 test pictures [28, 28, 1] of clothes (Xiao et al., arXiv 1708.07747).

    Raises:
        DataError: when the files cannot be downloaded or have another format.
    """
    return _load("fashion_mnist", data_dir, CLOTHES)


def kmnist(data_dir: Path) -> Dataset:
    """KMNIST: 60,000 training and 10,000 test pictures [28, 28, 1] of hiragana (Clanuwat et al., arXiv 1812.01718).

    Raises:
        DataError: when the files cannot be downloaded or have another format.
    """
    return _load("kmnist", data_dir, HIRAGANA)


def idx(path: Path) -> Dataset:
    """`idx:PATH`: a folder with the four files that MNIST has, under their names, of grey pictures of any size.

    Raises:
        DataError: when a file is missing or has another format, or when a class has no training example.
    """
    advice = "Name a folder with the four files of MNIST."
    for name in (f"{prefix}-{rest}" for prefix in ("train", "t10k") for rest in (IMAGES_FILE, LABELS_FILE)):
        with download.usable(path, advice):
            is_there = _find(path / name).is_file()
        if not is_there:
            raise DataError(f"There is no {name} or {name}.gz in {path}. {advice}")
    train, test = (_read_split(path, prefix, (None, None)) for prefix in ("train", "t10k"))
    return own_dataset(f"idx:{path}", train, test)


def _load(name: str, data_dir: Path, class_names: tuple[str, ...]) -> Dataset:
    folder = download.obtain(name, data_dir)
    train, test = (_read_split(folder, prefix, (28, 28)) for prefix in ("train", "t10k"))
    return Dataset(name, train, test, class_names)


def _read_split(folder: Path, prefix: str, size: ItemShape) -> Split:
    """Reads pictures [N, H, W, 1] and labels [N] from the files that start with `prefix`."""
    images_path, labels_path = (_find(folder / f"{prefix}-{rest}") for rest in (IMAGES_FILE, LABELS_FILE))
    images = _read(images_path, IMAGES_MAGIC, size)
    labels = _read(labels_path, LABELS_MAGIC, ())
    if len(images) != len(labels):
        raise DataError(
            f"{images_path} and {labels_path} must hold as many pictures as labels. They hold {len(images)} and "
            f"{len(labels)}. Get both anew."
        )
    return Split(images[..., np.newaxis], labels.astype(np.int32))


def _find(path: Path) -> Path:
    """Returns the plain file if it exists, else the compressed one."""
    return path if path.is_file() else path.with_name(f"{path.name}.gz")


def _read(path: Path, magic: int, item_shape: ItemShape) -> NDArray[np.uint8]:
    """Reads the array [N, *item_shape] of one IDX file."""
    with download.usable(path, GET_ANEW), open_file(path) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        compressed = path.suffix == ".gz"
        try:
            with gzip.open(file) if compressed else file as stream:
                shape = _read_header(stream, path, magic, item_shape)
                claimed = 4 * (1 + len(shape)) + math.prod(shape)
                _check_size(path, claimed, size_bytes, compressed)
                return read_bytes(stream, shape, str(path))
        except DAMAGE as error:
            raise DataError(f"{path} is damaged ({type(error).__name__}). {GET_ANEW}") from error


def _read_header(stream: io.BufferedIOBase, path: Path, magic: int, item_shape: ItemShape) -> tuple[int, ...]:
    """Reads the shape [N, *item_shape] from a file's header."""
    header_bytes = 4 * (2 + len(item_shape))
    header = stream.read(header_bytes)
    if len(header) < header_bytes:
        raise DataError(f"{path} must start with a header of {header_bytes} bytes. It has {len(header)}. {GET_ANEW}")
    found, *shape = struct.unpack(f">{header_bytes // 4}I", header)
    if found != magic:
        raise DataError(f"{path} must be an IDX file with the magic number {magic}. It starts with {found}. {GET_ANEW}")
    fits = [wanted in (None, length) for wanted, length in zip(item_shape, shape[1:], strict=True)]
    if min(shape) < 1 or not all(fits):
        expected = ["N >= 1", *("any" if length is None else str(length) for length in item_shape)]
        raise DataError(f"{path} must have the shape [{', '.join(expected)}]. Its header says {shape}. {GET_ANEW}")
    return tuple(shape)


def _check_size(path: Path, claimed: int, size_bytes: int, compressed: bool) -> None:
    """Raises DataError unless a file of that size can hold as many bytes as its header claims."""
    if compressed and claimed > DEFLATE_RATIO * size_bytes:
        raise DataError(
            f"The header of {path} claims {claimed} bytes, more than {size_bytes} can unpack to. {GET_ANEW}"
        )
    if not compressed and claimed != size_bytes:
        raise DataError(f"The header of {path} claims a file of {claimed} bytes. It has {size_bytes}. {GET_ANEW}")
