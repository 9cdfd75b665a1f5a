"""Reads a `tf.data.Dataset` once, and keeps its pixels in memory or, where they are many, in a file."""

import re
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tfcore.build.own_source import SIZE_ADVICE, MappedPixels, calling
from tfcore.data.dataset import aligned_empty
from tfcore.data.labels import read_labels
from tfcore.data.pixels import PixelFormat, as_array
from tfcore.errors import ConfigError, DataError
from tfcore.files import IN_MEMORY_BYTES, writing

_TENSORFLOW_WORDS = re.compile(  # about its own nodes and iterators
    r"\{\{.*?\}\} |Error in user-defined function passed to .*? transformation with iterator: \S+: "
)
_INFINITE = -1  # tf.data.INFINITE_CARDINALITY


def is_stream(data: Any) -> bool:
    """Tells whether it is a `tf.data.Dataset`, without importing TensorFlow."""
    return hasattr(data, "element_spec") and hasattr(data, "cardinality")


def read_stream(
    stream: Any, what: str, form: PixelFormat, folder: Path, say: Callable[[str], None]
) -> tuple[NDArray[np.uint8] | MappedPixels, NDArray[Any]]:
    """Reads all examples of a `tf.data.Dataset`, in its order.

    Args:
        stream: of (picture, label), one at a time or in batches.
        what: the pictures, as a message begins.
        form: of the pixels.
        folder: where a file of pixels is kept that take more than a quarter of the machine's memory. It has no name,
            so that it goes when the process ends, in whatever way.
        say: is called with a line that says where the pixels are kept.

    Returns:
        The pixels, uint8 [N, H, W, C] or a file of them; and the labels, as `read_labels` returns them.

    Raises:
        ConfigError: it is endless, or gives something else than pairs.
        DataError: it raises an error, or pictures of different shapes.
        DiskError: the file cannot be written.
    """
    if int(stream.cardinality()) == _INFINITE:
        raise ConfigError(f"{what} never end. Leave out repeat() of the tf.data.Dataset, or bound it: take(N).")
    spec = stream.element_spec
    if not isinstance(spec, tuple | list) or len(spec) != 2:
        keys = f"a dict with {', '.join(map(str, spec))}" if isinstance(spec, dict) else str(spec)
        raise ConfigError(
            f"{what} must be (picture, label) in the tf.data.Dataset. Received {keys}. Choose the two by its map()."
        )
    labels = []
    with closing(_Pile(what, folder)) as pile:
        for images, numbers in _batches(stream, what):
            labels.append(read_labels(numbers, len(images), f"The labels of {what[:1].lower()}{what[1:]}"))
            pile.add(form.pixels(images, what))
        if not labels:
            raise DataError(f"{what} must be at least one. Received none.")
        say(pile.summary())
        numbers = np.concatenate(labels)
        return pile.pictures(numbers), numbers


def _batches(stream: Any, what: str) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yields pictures [n, …] and labels [n, …]; an example by itself is a batch of one."""
    import tensorflow as tf

    elements, source = iter(stream.as_numpy_iterator()), f"{what}: the tf.data.Dataset"
    while True:
        with calling(source):
            try:
                element = next(elements, None)
            except tf.errors.OpError as error:
                lines = _TENSORFLOW_WORDS.sub("", error.message).strip().splitlines()
                reason = lines[0].removesuffix(".") if lines else type(error).__name__
                raise DataError(f"{source} raises an error: {reason}.") from error
        if element is None:
            return
        images, labels = as_array(element[0], what), as_array(element[1], what)
        single = labels.ndim == 0 or (labels.shape == (1,) and images.shape[:1] != (1,))
        yield (images[np.newaxis], labels.reshape(1)) if single else (images, labels)


class _Pile:
    """Pictures that grow in memory, and in a file from where they are too large for it.

    Args:
        what: the pictures, as a message begins.
        folder: of the file; created if missing.
    """

    def __init__(self, what: str, folder: Path) -> None:
        self._what, self._folder = what, folder
        self._shape: tuple[int, ...] = ()
        self._count = self._size_bytes = 0
        self._chunks: deque[NDArray[np.uint8]] = deque()
        self._file: IO[bytes] | None = None
        self._free_bytes = 0

    def add(self, pictures: NDArray[np.uint8]) -> None:
        """Appends pictures [n, H, W, C]; raises DataError unless they have the shape of the first ones."""
        self._shape = self._shape or pictures.shape[1:]
        if pictures.shape[1:] != self._shape:
            raise DataError(
                f"{self._what} must have one shape. Received {list(self._shape)} first, and "
                f"{list(pictures.shape[1:])} at index {self._count}. {SIZE_ADVICE}"
            )
        self._count += len(pictures)
        self._size_bytes += pictures.nbytes
        self._chunks.append(pictures)
        if self._file is not None or self._size_bytes > IN_MEMORY_BYTES:
            self._write()

    def summary(self) -> str:
        """The line that says where the pixels are."""
        place = "in memory" if self._file is None else f"in a file in {self._folder}, until this process ends"
        shape = "x".join(map(str, self._shape))
        return f"{self._what}: {self._count:,} of {shape} were read and are kept {place} ({self._size_bytes:,} bytes)."

    def pictures(self, labels: NDArray[Any]) -> NDArray[np.uint8] | MappedPixels:
        """All pictures; the pile must not be used afterwards."""
        shape = (self._count, *self._shape)
        if self._file is not None:
            with writing(self._folder):
                self._file.flush()
                mapped = np.memmap(self._file, np.uint8, "r", shape=shape)  # keeps the file when it is closed
            return MappedPixels(mapped, labels)
        found, start = aligned_empty(shape), 0
        while self._chunks:
            chunk = self._chunks.popleft()  # so that its memory is free for the next ones
            found[start : start + len(chunk)] = chunk
            start += len(chunk)
        return found

    def close(self) -> None:
        """Closes the file; pictures that were taken from it stay."""
        if self._file is not None:
            self._file.close()

    def _write(self) -> None:
        """Moves what is in memory to the file."""
        with writing(self._folder):
            if self._file is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._free_bytes = shutil.disk_usage(self._folder).free
                self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115, closed by `close`
            if self._size_bytes > self._free_bytes:
                raise DataError(
                    f"{self._what} need more than the {self._free_bytes:,} bytes that are free in {self._folder}. Does "
                    "the tf.data.Dataset never end? Bound it, take(N), or name another data folder in --data_dir."
                )
            while self._chunks:
                self._file.write(np.ascontiguousarray(self._chunks.popleft()).data)
