"""Addresses of the published data sets, and their download into the data folder.

Downloads are compared with the publisher's checksum, prepared in a scratch folder inside the data folder, and moved
into place by renaming, so that no half-written file is ever visible. Files and archives that the user put there are
used as they are; unpacking and readers check their contents all the same.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_cache_path

from tfcore.data.archive import PIECE_BYTES, unpack
from tfcore.data.scratch import scratch_folder
from tfcore.errors import DataError

if TYPE_CHECKING:
    from rich.progress import Progress

TIMEOUT_SECS = (3.0, 20.0)  # to connect; between two pieces of an answer
NAMES_BYTES = 1 << 12  # more than any list of class names has


@dataclass(frozen=True)
class Archive:
    """A data set published as one .tar.gz.

    Args:
        address, md5: of the archive.
        folder: the data set's folder, in the archive and in the data folder.
        sizes: the needed files, each with its largest size in bytes.
    """

    address: str
    md5: str
    folder: str
    sizes: dict[str, int]

    def missing(self, folder: Path) -> list[str]:
        """Returns the needed files that are not in `folder`."""
        return [name for name in self.sizes if not _is_there(folder / name)]

    def prepare(self, into: Path, data_dir: Path) -> None:
        """Puts the needed files into the folder `into`, from the user's copy of the archive if there is one."""
        archive = data_dir / self.address.rpartition("/")[2]
        if not _is_there(archive):
            archive = _fetch(self.address, self.md5, into.parent, f"Put this file into {data_dir}")
        unpack(archive, self.folder, self.sizes, into)


@dataclass(frozen=True)
class Files:
    """A data set published as single .gz files.

    Args:
        address: prefix of the files' addresses.
        folder: the data set's folder in the data folder.
        md5: the needed files, each with its checksum.
    """

    address: str
    folder: str
    md5: dict[str, str]

    def missing(self, folder: Path) -> list[str]:
        """Returns the needed files that are in `folder` neither as published nor decompressed."""
        there = (folder / name for name in self.md5)
        return [path.name for path in there if not (_is_there(path) or _is_there(path.with_suffix("")))]

    def prepare(self, into: Path, data_dir: Path) -> None:
        """Downloads the files that the data folder lacks into the folder `into`."""
        folder = data_dir / self.folder
        for name in self.missing(folder):
            _fetch(self.address + name, self.md5[name], into, f"Put this file into {folder}")


PUBLISHED: dict[str, Archive | Files] = {
    "cifar10": Archive(
        address="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        md5="c32a1d4ab5d03f1284b67883e8d87530",
        folder="cifar-10-batches-bin",
        sizes={
            **{f"data_batch_{number}.bin": 10_000 * (1 + 3072) for number in range(1, 6)},
            "test_batch.bin": 10_000 * (1 + 3072),
            "batches.meta.txt": NAMES_BYTES,
        },
    ),
    "cifar100": Archive(
        address="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
        md5="03b5dce01913d631647c71ecec9e9cb8",
        folder="cifar-100-binary",
        sizes={
            "train.bin": 50_000 * (2 + 3072),
            "test.bin": 10_000 * (2 + 3072),
            "fine_label_names.txt": NAMES_BYTES,
        },
    ),
    "mnist": Files(
        # The original address, http://yann.lecun.com/exdb/mnist/, refuses requests; this copy is PyTorch's.
        address="https://ossci-datasets.s3.amazonaws.com/mnist/",
        folder="mnist",
        md5={
            "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
        },
    ),
    "fashion_mnist": Files(
        address="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        folder="fashion_mnist",
        md5={
            "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
    ),
    "kmnist": Files(
        address="http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        folder="kmnist",
        md5={
            "train-images-idx3-ubyte.gz": "bdb82020997e1d708af4cf47b453dcf7",
            "train-labels-idx1-ubyte.gz": "e144d726b3acfaa3e44228e80efcd344",
            "t10k-images-idx3-ubyte.gz": "5c965bf0a639b31b8f53240b1b52f4d7",
            "t10k-labels-idx1-ubyte.gz": "7320c461ea6c1c855c0b718fb2a4b134",
        },
    ),
}


def data_dir(flag_value: str) -> Path:
    """The folder for data sets: the flag's value, else $TFCORE_DATA_DIR, else the user's cache folder."""
    return Path(flag_value or os.environ.get("TFCORE_DATA_DIR") or user_cache_path("tfcore")).expanduser()


def obtain(name: str, data_dir: Path) -> Path:
    """Makes sure that the files of a published data set are in the data folder.

    Args:
        name: a key of PUBLISHED.
        data_dir: the data folder; created if missing.

    Returns:
        The data set's folder, with all needed files.

    Raises:
        DataError: when a file cannot be downloaded, an archive is damaged or hostile, or the data folder is unwritable.
    """
    published = PUBLISHED[name]
    folder = data_dir / published.folder
    with usable(data_dir, "Name a data folder that you may write to in --data_dir or in TFCORE_DATA_DIR."):
        if published.missing(folder):
            with scratch_folder(data_dir) as scratch:
                if missing := published.missing(
                    folder
                ):  # still missing, in case another process downloaded them meanwhile
                    made = scratch / published.folder
                    made.mkdir()
                    published.prepare(made, data_dir)
                    _move(made, folder, missing)
    return folder


@contextmanager
def usable(path: Path, advice: str) -> Iterator[None]:
    """Turns errors of the operating system and lack of memory inside the block into a DataError."""
    try:
        yield
    except OSError as error:
        raise DataError(f"Cannot use {error.filename or path}: {error.strerror or error}. {advice}") from error
    except MemoryError as error:
        raise DataError(f"Cannot use {path}: there is not enough memory for what it holds.") from error


def _is_there(path: Path) -> bool:
    """Whether there is a file; raises DataError for anything else, which no download should replace."""
    is_file = path.is_file()
    if not is_file and os.path.lexists(path):
        raise DataError(f"{path} must be a file. Remove what is there, or put the published file in its place.")
    return is_file


def _move(made: Path, folder: Path, names: list[str]) -> None:
    """Renames the folder, or the files in it where the data set already has a folder."""
    try:
        os.rename(made, folder)
    except OSError:
        for name in names:
            os.replace(made / name, folder / name)


class _Bar:
    """Progress bar for pooch: one line on standard error."""

    def __init__(self, progress: "Progress", name: str) -> None:
        self._progress = progress
        self._task = progress.add_task(name, total=None)

    @property
    def total(self) -> float | None:
        """The size in bytes that the server announced, None before it has answered."""
        return self._progress.tasks[self._task].total

    @total.setter
    def total(self, size_bytes: float) -> None:
        self._progress.update(self._task, total=size_bytes)

    def update(self, size_bytes: float) -> None:
        """Adds bytes that were received."""
        self._progress.advance(self._task, size_bytes)

    def reset(self) -> None:
        """Returns to 0: at the end pooch counts the whole file once more."""
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        """Does nothing: the line ends with its Progress."""


def _fetch(address: str, md5: str, into: Path, advice: str) -> Path:
    """Downloads one file into a folder; tries again where a transfer broke off or its checksum differs."""
    import pooch  # takes a tenth of a second, so it is imported for a download only
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    name = address.rpartition("/")[2]
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    pooch.get_logger().setLevel(logging.CRITICAL)  # it would print to standard error beside the progress
    for last in (False, True):
        console = Console(stderr=True)
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            bar = _Bar(progress, name)
            # Without that header a server may compress on the way, and the lengths would not be the file's.
            headers = {"Accept-Encoding": "identity"}
            get = pooch.HTTPDownloader(bar, chunk_size=PIECE_BYTES, timeout=TIMEOUT_SECS, headers=headers)
            try:
                pooch.retrieve(address, f"md5:{md5}", fname=name, path=into, downloader=get)
                break
            except (OSError, ValueError) as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise  # an error of the local disk: those of the network have no number
                # Without any answer, a second attempt would only double the wait.
                if last or bar.total is None:
                    instead = f"{advice}, or take --dataset=shapes, which needs no network."
                    raise DataError(f"Cannot download {address}: {_reason(error)}. {instead}") from error
    return into / name


def _reason(error: OSError | ValueError) -> str:
    """Describes in a few words why a download failed; the messages of requests have several lines."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"the server answered {response.status_code} {response.reason}"
    if isinstance(error, OSError):
        return f"no connection ({type(error).__name__})"
    return "what came has another checksum than the publisher's file"
