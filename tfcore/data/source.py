"""The protocols of labelled pictures: every access to examples goes through them, wherever the pixels are."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfcore.errors import DataError

if TYPE_CHECKING:
    import tensorflow as tf


class BatchReader(Protocol):
    """Gathers the pictures of a source for TensorFlow.

    Attributes:
        labels: int32 `[N]`, of all examples.
    """

    labels: "tf.Tensor"

    def pictures(self, rows: "tf.Tensor") -> "tf.Tensor":
        """The pictures of the rows, int64 `[n]`: uint8 `[n, H, W, C]`."""

    def block_steps(self, batch_size: int) -> int:
        """The number of batches to take at once: what costs the pipeline is each element, not its size."""

    def failure(self, message: str) -> str | None:
        """Describes the failed read of which TensorFlow reported `message`; None where it has another cause."""


class Source(Protocol):
    """Labelled pictures of one shape, read by index."""

    @property
    def labels(self) -> NDArray[np.int32]:
        """int32 [N]."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of every picture."""

    @property
    def nbytes(self) -> int:
        """The size of all pixels, in memory or not."""

    def __len__(self) -> int: ...

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The pictures at `indices` (int64 [n], each in 0 .. N-1): uint8 [n, H, W, C].

        Raises:
            DataError: a picture cannot be read.
        """

    def first(self, count: int) -> Self:
        """The first `count` examples; copies and reads no pixel."""

    def identity(self) -> Iterator[bytes | memoryview]:
        """Yields the bytes that tell these pictures from others, for a fingerprint."""

    def batch_reader(self) -> BatchReader:
        """The reader that gathers batches of these examples for TensorFlow."""


class Readable(Protocol):
    """The least that labelled pictures of the user's own need; `tfcore.dataset` makes a `Source` of them.

    It may also have `class_names`, and `identity()`, as in `Source`, which otherwise is a sample of the pictures.
    """

    @property
    def labels(self) -> ArrayLike:
        """Integers [N], the numbers of the classes from 0, or text [N], their names."""

    def __len__(self) -> int: ...

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The pictures at `indices`: uint8 [n, H, W, C], always the same for the same index.

        Args:
            indices: int64 [n], each in 0 .. N-1, in ascending order and none twice. The calls may come from different
                threads, but one at a time.
        """


def check_pictures(name: str, pictures: object, count: int, image_shape: tuple[int | str, ...]) -> None:
    """Raises DataError, with the name of the class, unless its `read` returned uint8 of [count, *image_shape].

    An axis that is text, such as "H", may have any length but 0.
    """
    found = type(pictures).__name__
    if isinstance(pictures, np.ndarray):
        found = f"{pictures.dtype} of shape {list(pictures.shape)}"
        if pictures.dtype == np.uint8 and len(pictures.shape) == 1 + len(image_shape):
            pairs = zip(pictures.shape, (count, *image_shape), strict=True)
            if all(length > 0 if isinstance(wanted, str) else length == wanted for length, wanted in pairs):
                return
    shape = ", ".join(map(str, (count, *image_shape)))
    raise DataError(f"{name}.read must return a NumPy array, uint8 [{shape}], for {count} indices. Received {found}.")


def check_labels(labels: NDArray[np.int32], pictures: int) -> None:
    """Raises DataError unless `labels` are int32 [N], one for each picture, at least one."""
    check_array("labels", labels, np.dtype(np.int32), "[N]")
    if pictures != len(labels):
        raise DataError(
            f"A split needs one label for each picture. Received {pictures} images and {len(labels)} labels."
        )
    if not len(labels):
        raise DataError("A split needs at least one example. Received none.")


def check_array(name: str, array: NDArray[np.generic], dtype: np.dtype[np.generic], shape: str) -> None:
    """Raises DataError unless `array` has that dtype and as many axes as `shape` names."""
    if array.dtype != dtype or array.ndim != shape.count(",") + 1:
        raise DataError(f"`{name}` must be {dtype} {shape}. Received {array.dtype} of shape {array.shape}.")


def checked_weights(weights: ArrayLike, examples: int, where: str) -> NDArray[np.float32]:
    """Converts the weights of training examples to float32 [N].

    Args:
        weights: a number for each example.
        examples: N.
        where: their source, for the message.

    Raises:
        DataError: another shape or kind, a weight that is negative or not finite, or no weight above 0.
    """
    given = np.asarray(weights)
    if given.dtype.kind not in "uif" or given.shape != (examples,):
        raise DataError(
            f"{where} must hold one number for each of {examples} training examples. Received {given.dtype} of shape "
            f"{list(given.shape)}."
        )
    with np.errstate(over="ignore"):
        found = given.astype(np.float32)
    bad = ~(np.isfinite(found) & (found >= 0))
    if bad.any():
        index = int(bad.argmax())
        raise DataError(f"{where} must be finite and at least 0. Received {given[index]} at index {index}.")
    if not found.any():
        raise DataError(f"{where} must not all be 0.")
    return found
