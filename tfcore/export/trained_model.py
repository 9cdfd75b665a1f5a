"""A trained model for inference, from pictures to class probabilities and names."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from tfcore import checks
from tfcore.architecture import Architecture
from tfcore.errors import ShapeError

_BATCH_SIZE = 32


class TrainedModel:
    """A trained model, as returned by `tfcore.load`.

    Pictures are computed in batches of one size, the last one padded, so the result for a picture does not depend on
    the others of the call, and TensorFlow traces and compiles the model once for each dtype, at the first call.

    Args:
        architecture: the model's architecture.
        compute: images `[N, H, W, C]` to float32 probabilities `[N, classes]`; is compiled.
        module: the model, a `tf.Module`; None for a SavedModel, which has none and takes uint8 only.

    Attributes:
        architecture, module: as given.

    Example:
        model = tfcore.load("runs/NAME")
        model.predict(pictures, top=3)[0]   # [("cat", 0.91), ("dog", 0.06), ("deer", 0.01)] of the first picture
    """

    def __init__(self, architecture: Architecture, compute: Callable[[tf.Tensor], tf.Tensor], *, module: Any) -> None:
        self.architecture, self.module = architecture, module
        self._compute = tf.function(compute, autograph=False)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the probabilities."""
        return self.architecture.class_names

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the input pictures."""
        return self.architecture.image_shape

    def probabilities(self, images: ArrayLike) -> NDArray[np.float32]:
        """Computes the probability of each class.

        Args:
            images: uint8 `[N, H, W, C]`, N >= 1; or floating, on the same scale of 0 to 255.

        Returns:
            float32 `[N, classes]`.

        Raises:
            ShapeError: the images have another shape, type or scale.
        """
        images = self._checked(np.asarray(images))
        starts = range(0, len(images), _BATCH_SIZE)
        return np.concatenate([self._batch(images[start : start + _BATCH_SIZE]) for start in starts])

    def predict(self, images: ArrayLike, top: int = 1) -> list[list[tuple[str, float]]]:
        """Finds the names and probabilities of each picture's `top` most probable classes, the most probable first.

        Raises:
            ConfigError: `top` is below 1.
            ShapeError: see `probabilities`.
        """
        checks.positive_integer("top", top)
        rows = self.probabilities(images)
        best = np.argsort(-rows, axis=1, kind="stable")[:, :top]
        names = self.class_names
        return [[(names[i], float(row[i])) for i in order] for row, order in zip(rows, best, strict=True)]

    def _batch(self, images: NDArray[Any]) -> NDArray[np.float32]:
        padding = [(0, _BATCH_SIZE - len(images)), (0, 0), (0, 0), (0, 0)]
        rows: NDArray[np.float32] = self._compute(tf.constant(np.pad(images, padding))).numpy()
        return rows[: len(images)]

    def _checked(self, images: NDArray[Any]) -> NDArray[Any]:
        """Converts the images to uint8 or float32; raises ShapeError for another shape, dtype or scale."""
        if images.ndim != 4 or images.shape[1:] != self.image_shape or not len(images):
            shape = ", ".join(map(str, self.image_shape))
            raise ShapeError(
                f"`images` must be [N, {shape}], N at least 1. Received {list(images.shape)}. "
                "For one picture, give images[np.newaxis]."
            )
        if images.dtype == np.uint8:
            return images
        if self.module is None or images.dtype.kind != "f":
            types = "uint8" if self.module is None else "uint8, or floating from 0 to 255"
            raise ShapeError(f"`images` must be {types}. Received {images.dtype}.")
        if not (images.min() >= 0 and images.max() <= 255):
            raise ShapeError(f"`images` must lie between 0 and 255. Received {images.min()} to {images.max()}.")
        return images.astype(np.float32)
