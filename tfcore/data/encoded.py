"""Labelled pictures that stay encoded until a batch needs them; only labels and places are in memory."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfcore.data import pictures
from tfcore.data.pictures import Picture
from tfcore.data.source import BatchReader, check_labels
from tfcore.data.store import FileStore, Loaded, Store, Stored, in_threads
from tfcore.data.windows import Cut, Fit, Window
from tfcore.errors import DataError


class EncodedSplit:
    """One part of a data set, whose pictures are encoded in a store.

    Args:
        stored: the pictures and labels of the store.
        image_shape: (H, W, C) of what `read` returns; C is 1 or 3.
        fit: how pictures of other sizes become (H, W).
        rows: int64 [n], the pictures of the split in the store; None for all.

    Attributes:
        labels: int32 [n].
        nbytes: the size of the decoded pixels.

    Raises:
        DataError: on labels of another dtype, rank or length, or without any example.
    """

    def __init__(
        self, stored: Stored, image_shape: tuple[int, int, int], fit: Fit, rows: NDArray[np.int64] | None = None
    ) -> None:
        check_labels(stored.labels, len(stored.store))
        self.store: Store = stored.store
        self.image_shape, self.fit = image_shape, fit
        self.rows = np.arange(len(stored.labels)) if rows is None else rows
        self.labels = stored.labels if rows is None else stored.labels[rows]
        self.nbytes = len(self.rows) * math.prod(image_shape)
        self._stored = stored

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The pictures at `indices`, uint8 [n, H, W, C]; one that is named twice is read once.

        Raises:
            DataError: a picture that cannot be read, or no memory for its pixels.
        """
        from tfcore.data.encoded_reader import decode  # loads TensorFlow

        wanted, places = np.unique(indices, return_inverse=True)
        return decode(self, wanted)[places]

    def name(self, index: int) -> str:
        """Names a picture of the split in messages."""
        return self.store.name(int(self.rows[index]))

    def check(self, index: int) -> None:
        """Raises DataError if a picture of the split cannot be decoded."""
        from tfcore.data.encoded_reader import check  # loads TensorFlow

        check(self.store, int(self.rows[index]))

    def first(self, count: int) -> "EncodedSplit":
        """The first `count` examples; reads nothing."""
        return EncodedSplit(self._stored, self.image_shape, self.fit, self.rows[:count])

    def identity(self) -> Iterator[bytes | memoryview]:
        """What the store tells its pictures by: reading all of them would take an epoch."""
        yield from self.store.identity(self.rows)

    def batch_reader(self) -> BatchReader:
        """A reader that loads one batch a call, and decodes it in TensorFlow's threads."""
        from tfcore.data.encoded_reader import EncodedReader  # loads TensorFlow

        return EncodedReader(self)

    def load(self, indices: NDArray[np.int64], cut: Cut | None = None, draws: NDArray | None = None) -> Loaded:
        """Reads the encoded pictures at `indices`, and decodes those that are no plain JPEG.

        Args:
            indices: int64 [n].
            cut: the window of each picture, by its random numbers; None for the split's fit.
            draws: float32 [n, k], the random numbers for `cut`.

        Raises:
            DataError: a picture that cannot be read, or no memory for its pixels.
        """
        rows = self.rows[indices]
        size, channels = self.image_shape[:2], self.image_shape[2]
        windows = np.zeros((len(rows), 4), np.int32)

        def placed(place: int, data: bytes) -> tuple[bytes, bool]:
            name = self.name(indices[place])
            header = pictures.header(data, name)
            window = (
                self.fit.window(header.size, size)
                if cut is None or draws is None
                else cut(header.size, draws[place], size)
            )
            windows[place] = window
            if header.plain:
                return data, True
            pixels = pictures.decode(data, name, channels).pixels
            return pictures.resized(pixels, Window(*window), size).tobytes(), False

        try:
            found = in_threads("decode", placed, list(enumerate(self.store.read(rows))))
        except MemoryError as error:
            raise DataError("There is not enough memory to decode a batch of pictures. Take a smaller one.") from error
        return Loaded([data for data, _ in found], windows, np.array([is_jpeg for _, is_jpeg in found], bool))


def read_picture(path: str | Path, image_shape: tuple[int, int, int], fit: Fit) -> Picture:
    """Reads a picture file as training reads it, and converts it to the shape that a model takes.

    Args:
        path: a picture file.
        image_shape: (H, W, C), where C is 1 for grey or 3 for RGB.
        fit: how a picture of another size becomes (H, W).

    Raises:
        DataError: it is missing, of another format, too large or damaged; or C is neither 1 nor 3.
    """
    (*size, channels), name = image_shape, pictures.shown(path)
    if channels not in (1, 3):
        raise DataError(f"A picture file gives 1 or 3 channels, not {channels}. Give the pictures as an .npy file.")
    data = pictures.read_bytes(path)
    header = pictures.header(data, name)
    if header.plain:
        notes = [] if header.grey == (channels == 1) else ["grey to colour" if header.grey else "colour to grey"]
    else:
        notes = [*pictures.decode(data, name, channels).notes]
    window = fit.window(header.size, (size[0], size[1]))
    if (window.height, window.width) != header.size:
        notes.append(f"cut to {window.width}x{window.height} in the middle")
    if [window.height, window.width] != size:
        notes.append(f"resized from {window.width}x{window.height} to {size[1]}x{size[0]}")
    one = EncodedSplit(Stored(FileStore([str(path)]), np.zeros(1, np.int32)), image_shape, fit)
    return Picture(one.read(np.zeros(1, np.int64))[0], tuple(notes))
