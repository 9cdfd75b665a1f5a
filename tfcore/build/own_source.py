"""Sources of what users hand over from Python: pictures that a class of theirs reads, an item or a batch at a time."""

import math
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from multiprocessing.pool import ThreadPool
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tfcore.build import user_code
from tfcore.data.labels import read_labels
from tfcore.data.pixels import PixelFormat, as_array
from tfcore.data.source import BatchReader, Readable, check_labels, check_pictures
from tfcore.errors import DataError

_MODES = ("L", "RGB")  # Pillow's, whose arrays are grey or colour pixels
_SAMPLE = 100  # pictures of which the fingerprint depends
_CHUNK = 256  # pictures read at a time
# One for all, not for each object: two parts of a data set, as PyTorch's random_split makes, may share what they read.
_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def calling(what: str, *, alone: bool = True) -> Iterator[None]:
    """Calls user code, with each error told in one line, as a DataError.

    Args:
        what: the code that is called, as the message begins.
        alone: whether no other thread may call user code meanwhile.
    """
    with _ONE_AT_A_TIME if alone else nullcontext(), user_code.telling(what, DataError):
        try:
            yield
        except MemoryError as error:
            raise DataError(f"{what} has not enough memory. Take a smaller batch.") from error


class OwnSource:
    """A `Source` of pictures that the user's code reads. It checks them, and adds what the user's class leaves out.

    Args:
        pictures: see `Readable`.
        labels: int32 [n], of `rows`.
        name: of the pictures' class, for messages.
        image_shape: (H, W, C); None for that of the first picture, which is then read.
        rows: int64 [n], the pictures that belong to it; None for all.

    Raises:
        DataError: `pictures` raise an error, or return something else than pictures of one shape.
    """

    def __init__(
        self,
        pictures: Readable,
        labels: NDArray[np.int32],
        name: str,
        *,
        image_shape: tuple[int, int, int] | None = None,
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        self._pictures, self.labels, self._name = pictures, labels, name
        self._rows = np.arange(len(labels), dtype=np.int64) if rows is None else rows
        check_labels(labels, len(self._rows))
        self.image_shape = image_shape or self._first_shape()

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def nbytes(self) -> int:
        """The size of all pixels."""
        return len(self) * math.prod(self.image_shape)

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The pictures at `indices`: uint8 [n, H, W, C]; one that is named twice is read once.

        Raises:
            DataError: reading raises an error, or returns something else.
        """
        wanted, places = np.unique(self._rows[indices], return_inverse=True)
        with calling(f"{self._name}.read"):
            found = self._pictures.read(wanted)
        check_pictures(self._name, found, len(wanted), self.image_shape)
        return found[places]

    def first(self, count: int) -> "OwnSource":
        """The first `count` examples; reads no picture."""
        return self.part(np.arange(count, dtype=np.int64))

    def part(self, places: NDArray[np.int64]) -> "OwnSource":
        """The examples at `places`; reads no picture."""
        labels, rows = self.labels[places], self._rows[places]
        return OwnSource(self._pictures, labels, self._name, image_shape=self.image_shape, rows=rows)

    def identity(self) -> Iterator[bytes | memoryview]:
        """The rows, and what the user's class yields; without such a method a hundred pictures, evenly spaced."""
        yield self._rows.tobytes()
        if hasattr(self._pictures, "identity"):
            parts = iter(self._pictures.identity())
            while True:
                with calling(f"{self._name}.identity"):  # not around the yield: that would stop all other reads
                    part = next(parts, None)
                if part is None:
                    return
                yield part
        count = min(len(self), _SAMPLE)
        yield self.read(np.arange(count, dtype=np.int64) * len(self) // count).tobytes()

    def batch_reader(self) -> BatchReader:
        """A reader that reads one batch a call."""
        from tfcore.data.batch_reader import PythonReader  # loads TensorFlow

        return PythonReader(self)

    def _first_shape(self) -> tuple[int, int, int]:
        """The shape of the first picture."""
        with calling(f"{self._name}.read"):
            found = self._pictures.read(self._rows[:1])
        check_pictures(self._name, found, 1, ("H", "W", "C"))
        _, height, width, channels = found.shape
        return height, width, channels


class Items:
    """A sequence of (picture, label), such as a `Dataset` of PyTorch, as `Readable`.

    A picture is a NumPy array, a tensor or a picture of Pillow, [H, W] or [H, W, C]. The labels are `targets` or
    `labels` of the sequence, as torchvision calls them; without these, every item is read once. Each item that is read
    later is compared with them.

    Args:
        items: has `__len__` and `__getitem__`.
        name: of its class, for messages.
        form: of the pixels.
        threads: that may read items at once.

    Raises:
        DataError: an item is no such pair, or cannot be read.
    """

    def __init__(self, items: Any, name: str, form: PixelFormat, threads: int = 1) -> None:
        self._items, self._name, self._form, self._alone = items, name, form, threads == 1
        self._map: Callable[..., Any] = map
        if not self._alone:
            pool = ThreadPool(threads)  # `ThreadPoolExecutor` holds a lock while it allocates, see `store.in_threads`
            weakref.finalize(self, pool.terminate)
            self._map = pool.map
        self._shape: tuple[int, ...] | None = None
        if not len(items):
            raise DataError(f"{name} must have at least one item. Received none.")
        given = next((getattr(items, key) for key in ("targets", "labels") if hasattr(items, key)), None)
        if given is None:
            self._item(0)  # its shape is that of all
            self.labels = np.concatenate(list(self._map(self._label, range(len(items)))))
        else:
            self.labels = read_labels(as_array(given, f"The labels of {name}"), len(items), f"The labels of {name}")
            self._item(0)

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The pictures of these items: uint8 [n, H, W, C].

        Raises:
            DataError: an item has another shape than the first, or another label than at the start.
        """
        return np.stack(list(self._map(self._compared, indices.tolist())))

    def _compared(self, index: int) -> NDArray[np.uint8]:
        """The picture of an item, whose label must be what it was at the start."""
        picture, label = self._item(index)
        if label[0] != self.labels[index]:
            raise DataError(
                f"{self._name}[{index}] must have the same label whenever it is read, and in `targets` or `labels`. "
                f"Received {label[0]!s}, and {self.labels[index]!s} before."
            )
        return picture

    def _label(self, index: int) -> NDArray[Any]:
        """The label of an item, [1]."""
        return self._item(index)[1]

    def _item(self, index: int) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        """Reads an item: uint8 [H, W, C], and its label [1]."""
        where = f"{self._name}[{index}]"
        with calling(where, alone=self._alone):
            item = self._items[index]
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise DataError(f"{where} must be (picture, label). Received {_told(item)}.")
        picture, label = item
        pixels = self._pixels(picture, f"The picture of {where}")
        return pixels, read_labels(as_array(label, f"The label of {where}")[np.newaxis], 1, f"The label of {where}")

    def _pixels(self, picture: Any, what: str) -> NDArray[np.uint8]:
        """Converts a picture to uint8 [H, W, C], of the first one's shape."""
        form = self._form
        if isinstance(picture, Image.Image):
            if picture.mode not in _MODES:
                raise DataError(
                    f"{what} must be of Pillow's mode {' or '.join(_MODES)}. Received {picture.mode}. Return "
                    "picture.convert('RGB')."
                )
            form = PixelFormat(image_size=form.image_size, image_fit=form.image_fit)  # of known range and axes
        pixels = form.pixels(as_array(picture, what)[np.newaxis], what)[0]
        self._shape = self._shape or pixels.shape
        if pixels.shape != self._shape:
            raise DataError(
                f"{what} must have the shape of the first one, {list(self._shape)}. Received "
                f"{list(pixels.shape)}. {SIZE_ADVICE}"
            )
        return pixels


SIZE_ADVICE = "Give one size: RunConfig(image_size=(H, W)) or tfcore.dataset(data, image_size=(H, W))."


class MappedPixels:
    """Pixels in a file that NumPy maps, as `Readable`.

    Args:
        images: uint8 [N, H, W, C] or [N, H, W].
        labels: [N].
    """

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[Any]) -> None:
        self._images, self.labels = images.reshape(*images.shape[:3], -1), labels

    def __len__(self) -> int:
        return len(self._images)

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The pictures at `indices`."""
        return np.asarray(self._images[indices])

    def identity(self) -> Iterator[bytes]:
        """Every pixel."""
        for start in range(0, len(self), _CHUNK):
            yield self._images[start : start + _CHUNK].tobytes()


def _told(item: Any) -> str:
    """Describes what is no pair, with its keys or its length."""
    if isinstance(item, dict):
        return f"a dict with {', '.join(map(str, item))}"
    return f"{len(item)} values" if isinstance(item, tuple | list) else type(item).__name__
