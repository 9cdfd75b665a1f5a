"""What a reader is to the campaign: where its files come from, how it reads them, what must be true of what came."""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from tfcore.data.dataset import Dataset
from tfcore.data.source import Source

MIB = 1 << 20
OUTSIDE = Path(tempfile.gettempdir(), "tfcore-fuzz-outside")  # where absolute paths in hostile files point


@dataclass(frozen=True)
class Link:
    """Stands where a file would: a symbolic link."""

    target: str


@dataclass(frozen=True)
class Pipe:
    """Stands where a file would: a pipe that nobody writes to, or a reader would wait for ever."""


Files = dict[str, bytes | Link | Pipe]  # by path in the folder of the case


@dataclass(frozen=True)
class Reader:
    """One of the readers under trial.

    Args:
        files: draws the files of a case; good ones, or mutated ones if its second argument is true.
        read: reads what is in a folder. It calls its last argument when the header is behind it, raises Wrong where
            what it got is not what the reader promises, and lets the reader's errors through. It may draw settings.
        memory_bytes: the most address space that a case may take beyond what the process had before.
    """

    files: Callable[[Random, bool], Files]
    read: Callable[[Path, Random, Callable[[], None]], None]
    memory_bytes: int = 256 * MIB


class Wrong(Exception):  # noqa: N818 (the campaign's own finding, not an error of the program)
    """What was read is not what the reader promises."""


def lay_out(folder: Path, files: Files) -> None:
    """Writes the files of a case."""
    for name, content in files.items():
        path = os.path.join(folder, name)  # a name may be one that pathlib would tidy
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if isinstance(content, Link):
            os.symlink(content.target, path)
        elif isinstance(content, Pipe):
            os.mkfifo(path)
        else:
            with open(path, "wb") as file:
                file.write(content)


@contextmanager
def watched(module: Any, name: str, past: Callable[[], None], *, after: bool = False) -> Iterator[None]:
    """Calls `past` whenever the module calls its function of that name, which it comes to past the header.

    Args:
        module: the reader's own, or one that it takes the function from.
        name: of the function.
        past: what is to be called.
        after: when the function has come back, as it is the one that reads the header.
    """
    function = getattr(module, name)

    def wrapper(*arguments: Any, **options: Any) -> Any:
        if not after:
            past()
        result = function(*arguments, **options)
        past()
        return result

    setattr(module, name, wrapper)
    try:
        yield
    finally:
        setattr(module, name, function)


def mutated(draw: Random, files: Files, change: Callable[[str, bytes], bytes]) -> Files:
    """The files with one of them changed, by a function of its name and content."""
    name = draw.choice([name for name, content in files.items() if isinstance(content, bytes)])
    content = files[name]
    assert isinstance(content, bytes)
    return {**files, name: change(name, content)}


def check_dataset(dataset: Dataset) -> None:
    """Raises Wrong unless the data set is what Dataset promises, all pixels decoded."""
    for split in (dataset.train, dataset.test):
        _check_split(split, dataset)
    for name in dataset.class_names:
        _check_text(name)


def _check_split(split: Source, dataset: Dataset) -> None:
    images, labels = split.read(np.arange(len(split))), split.labels
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape[1:] != dataset.image_shape:
        raise Wrong(f"pictures are {images.dtype} of shape {images.shape}")
    if labels.dtype != np.int32 or labels.shape != (len(images),) or not len(images):
        raise Wrong(f"labels are {labels.dtype} of shape {labels.shape} for {len(images)} pictures")
    if labels.min() < 0 or labels.max() >= len(dataset.class_names):
        raise Wrong(f"labels are {labels.min()} to {labels.max()} for {len(dataset.class_names)} classes")
    int(images.sum())  # every byte can be read


def check_weights(weights: Mapping[str, Any], metadata: Mapping[str, Any], limit_bytes: int) -> None:
    """Raises Wrong unless these are arrays of numbers that take no more than `limit_bytes`, and texts."""
    for name, array in weights.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
            raise Wrong(f"{name!r} is {type(array).__name__}, {getattr(array, 'dtype', '')}")
        array.tobytes()  # every byte can be read
    if sum(array.nbytes for array in weights.values()) > limit_bytes:
        raise Wrong("there are more numbers than the file has bytes")
    for text in (*weights, *metadata, *metadata.values()):
        _check_text(text)


def _check_text(text: Any) -> None:
    """Raises Wrong unless it can be printed and written."""
    try:
        if type(text) is not str:
            raise Wrong(f"a name is {type(text).__name__}")
        text.encode()
    except UnicodeEncodeError:
        raise Wrong(f"{text!r} is no text") from None
