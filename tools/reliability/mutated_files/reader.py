"""Describes a reader to the campaign: how its files are drawn and read, and the checks of its results."""

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
OUTSIDE = Path(tempfile.gettempdir(), "tfcore-fuzz-outside")  # the target of absolute paths in hostile files


@dataclass(frozen=True)
class Link:
    """A symbolic link in place of a file."""

    target: str


@dataclass(frozen=True)
class Pipe:
    """A named pipe in place of a file, without a writer: opening it blocks."""


Files = dict[str, bytes | Link | Pipe]  # path in the folder of the case -> content


@dataclass(frozen=True)
class Reader:
    """One of the tested readers.

    Args:
        files: draws the files of a case; valid ones, or mutated ones if its second argument is true.
        read: reads the files of a folder. It calls its last argument after the header, raises Wrong for a result that
            breaks the reader's contract, and does not catch the reader's errors. It may draw settings.
        memory_bytes: the most additional address space that a case may take.
    """

    files: Callable[[Random, bool], Files]
    read: Callable[[Path, Random, Callable[[], None]], None]
    memory_bytes: int = 256 * MIB


class Wrong(Exception):  # noqa: N818 (a finding of the campaign, not an error of the program)
    """The result of a reader breaks its contract."""


def lay_out(folder: Path, files: Files) -> None:
    """Writes the files of a case."""
    for name, content in files.items():
        path = os.path.join(folder, name)  # pathlib would normalize some of the names
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
    """Calls `past` whenever the function of that name is called, which the reader does after the header.

    Args:
        module: that the reader calls the function from.
        name: of the function.
        past: the function to call.
        after: call it only after the function has returned, as it reads the header itself.
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
    """The files with one of them changed by `change(name, content)`."""
    name = draw.choice([name for name, content in files.items() if isinstance(content, bytes)])
    content = files[name]
    assert isinstance(content, bytes)
    return {**files, name: change(name, content)}


def check_dataset(dataset: Dataset) -> None:
    """Decodes all pixels; raises Wrong unless the data set fulfils the contract of Dataset."""
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
    """Raises Wrong unless the weights are numeric arrays of `limit_bytes` at most, and the metadata texts."""
    for name, array in weights.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
            raise Wrong(f"{name!r} is {type(array).__name__}, {getattr(array, 'dtype', '')}")
        array.tobytes()  # every byte can be read
    if sum(array.nbytes for array in weights.values()) > limit_bytes:
        raise Wrong("there are more numbers than the file has bytes")
    for text in (*weights, *metadata, *metadata.values()):
        _check_text(text)


def _check_text(text: Any) -> None:
    """Raises Wrong unless it is a text that can be encoded."""
    try:
        if type(text) is not str:
            raise Wrong(f"a name is {type(text).__name__}")
        text.encode()
    except UnicodeEncodeError:
        raise Wrong(f"{text!r} cannot be encoded") from None
