"""Labelled pictures that stay encoded until a batch needs them; only labels and places are in memory."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfcore.data import pictures
from tfcore.data.headers import Header
from tfcore.data.layout import Layout, layout_of
from tfcore.data.pictures import Picture
from tfcore.data.source import BatchReader, check_labels
from tfcore.data.store import Loaded, Rows, Store, Stored, in_threads
from tfcore.data.windows import Cut, Fit, Size, Window
from tfcore.errors import DataError


class EncodedSplit:
    """One part of a data set, whose pictures are encoded in a store.

    Args:
        stored: the pictures and labels of the store.
        image_shape: (H, W, C) of what `read` returns; C is 1 or 3.
        fit: how pictures of other sizes become (H, W).
        rows: the pictures of the split in the store, int64 [n] or a range from 0; None for all.

    Attributes:
        labels: int32 [n].
        nbytes: the size of the decoded pixels.

    Raises:
        DataError: on labels of another dtype, rank or length, or without any example.
    """

    def __init__(self, stored: Stored, image_shape: tuple[int, int, int], fit: Fit, rows: Rows | None = None) -> None:
        check_labels(stored.labels, len(stored.store))
        self.store: Store = stored.store
        self.image_shape, self.fit = image_shape, fit
        self.rows: Rows = range(len(stored.labels)) if rows is None else rows
        self.labels = stored.labels[: len(self.rows)] if isinstance(self.rows, range) else stored.labels[self.rows]
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
        return decode(self.load(wanted), self.image_shape, lambda place: self.name(wanted[place]))[places]

    def in_store(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """The numbers in the store of the pictures at `indices`."""
        return indices if isinstance(self.rows, range) else self.rows[indices]

    def name(self, index: int) -> str:
        """Names a picture of the split in messages."""
        return self.store.name(int(self.rows[index]))

    def check(self, index: int) -> None:
        """Raises DataError if a picture of the split cannot be decoded."""
        from tfcore.data.encoded_reader import check  # loads TensorFlow

        check(self.store, int(self.rows[index]))

    @property
    def layout(self) -> Layout | None:
        """The shards that the pictures are in; None for single files."""
        found = layout_of(self.store)
        return None if found is None else found.of_rows(self.rows)

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
        size = self.image_shape[:2]

        def prepared(place: int, data: bytes) -> _Prepared:
            def window(picture: Size) -> Window:
                if cut is None or draws is None:
                    return self.fit.window(picture, size)
                return cut(picture, draws[place], size)

            return _prepared(data, lambda: self.name(indices[place]), self.image_shape, window)

        try:
            found = in_threads("decode", prepared, list(enumerate(self.store.read(self.in_store(indices)))))
        except MemoryError as error:
            raise DataError("There is not enough memory to decode a batch of pictures. Take a smaller one.") from error
        return _loaded(found)


class _Prepared(NamedTuple):
    """A picture on its way to a batch, with notes on conversions that are done; see `Loaded`."""

    data: bytes
    window: Window
    header: Header
    notes: tuple[str, ...]


def _prepared(
    data: bytes, name: Callable[[], str], image_shape: tuple[int, int, int], window: Callable[[Size], Window]
) -> _Prepared:
    """Finds the window of a picture, and decodes it unless it is a plain JPEG."""
    header = pictures.usual_header(data) or pictures.header(data, name())
    place = window(header.size)
    if header.plain:
        return _Prepared(data, place, header, ())
    picture = pictures.decode(data, name(), image_shape[2])
    return _Prepared(pictures.resized(picture.pixels, place, image_shape[:2]).tobytes(), place, header, picture.notes)


def _loaded(found: Sequence[_Prepared]) -> Loaded:
    windows = np.array([one.window for one in found], np.int32).reshape(-1, 4)
    return Loaded([one.data for one in found], windows, np.array([one.header.plain for one in found], bool))


def read_picture(path: str | Path, image_shape: tuple[int, int, int], fit: Fit) -> Picture:
    """Reads a picture file as training reads it, and converts it to the shape that a model takes.

    Args:
        path: a picture file.
        image_shape: (H, W, C), where C is 1 for grey or 3 for RGB.
        fit: how a picture of another size becomes (H, W).

    Raises:
        DataError: it is missing, of another format, too large or damaged; or C is neither 1 nor 3.
    """
    from tfcore.data.encoded_reader import decode  # loads TensorFlow

    (*size, channels), name = image_shape, pictures.shown(path)
    if channels not in (1, 3):
        raise DataError(f"A picture file gives 1 or 3 channels, not {channels}. Give the pictures as an .npy file.")
    one = _prepared(
        pictures.read_bytes(path), lambda: name, image_shape, lambda picture: fit.window(picture, image_shape[:2])
    )
    notes, window = [*one.notes], one.window
    if one.header.plain and one.header.grey != (channels == 1):
        notes.append("grey to colour" if one.header.grey else "colour to grey")
    if (window.height, window.width) != one.header.size:
        notes.append(f"cut to {window.width}x{window.height} in the middle")
    if [window.height, window.width] != size:
        notes.append(f"resized from {window.width}x{window.height} to {size[1]}x{size[0]}")
    return Picture(decode(_loaded([one]), image_shape, lambda _: name)[0], tuple(notes))
