"""The same small pictures in every form in which tfcore takes data from Python."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

import tfcore
from tfcore.data.dataset import Dataset, Split

Arrays = tuple[np.ndarray, np.ndarray]
NAMES = ("dark", "grey", "light")


def drawn(examples: int, seed: int) -> Arrays:
    """uint8 [N, 6, 5, 3], brighter by class, and labels int64 [N]."""
    labels = np.arange(examples) % 3
    noise = np.random.default_rng(seed).integers(0, 100, (examples, 6, 5, 3), np.uint8)
    return noise + (70 * labels[:, None, None, None]).astype(np.uint8), labels


TRAIN, TEST = drawn(60, seed=1), drawn(24, seed=2)


class Tensor:
    """Stands for a tensor of PyTorch: no array, but with `__array__`."""

    def __init__(self, values: np.ndarray) -> None:
        self._values, self.shape = values, values.shape

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._values, dtype)

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, key: Any) -> "Tensor":
        return Tensor(self._values[key])


class Floats:
    """A `Dataset` of PyTorch: pictures as `ToTensor` returns them, float32 [C, H, W] from 0 to 1."""

    def __init__(self, arrays: Arrays) -> None:
        self._images, self._labels = arrays

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        picture = self._images[index].astype(np.float32) / np.float32(255)
        return Tensor(np.moveaxis(picture, -1, 0)), Tensor(np.array(self._labels[index]))


class Pictures:
    """A data set of torchvision: pictures of Pillow, and `targets` and `classes`."""

    classes = NAMES

    def __init__(self, arrays: Arrays) -> None:
        self._images, labels = arrays
        self.targets = labels.tolist()
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        self.asked.append(index)
        return Image.fromarray(self._images[index]), self.targets[index]


class Least:
    """What a class of one's own needs that reads batches."""

    def __init__(self, arrays: Arrays) -> None:
        self._images, self.labels = arrays

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, indices: np.ndarray) -> np.ndarray:
        assert np.all(np.diff(indices) > 0)
        return self._images[indices]


def split(arrays: Arrays) -> Split:
    """The form that tfcore itself reads data into."""
    return Split(arrays[0], arrays[1].astype(np.int32))


def as_dataset() -> Dataset:
    """The pictures as a `Dataset`."""
    return Dataset("three", split(TRAIN), split(TEST), NAMES)


def stream(arrays: Arrays) -> tf.data.Dataset:
    """As Keras has it: batches, and labels that are text."""
    texts = np.array(NAMES)[arrays[1]]
    made = tf.data.Dataset.from_tensor_slices((arrays[0], texts)).batch(7).prefetch(1)
    made.class_names = list(NAMES)
    return made


def mapped(arrays: Arrays, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Arrays, the pictures in a file."""
    np.save(path, arrays[0])
    return np.load(path, mmap_mode="r"), arrays[1]


FORMS: dict[str, Callable[[Path], Any]] = {
    "arrays": lambda _: tfcore.dataset((TRAIN, (TEST[0].astype(np.float32), TEST[1][:, None])), pixel_range=(0, 255)),
    "mapped": lambda path: {"train": mapped(TRAIN, path / "train.npy"), "test": mapped(TEST, path / "test.npy")},
    "stream": lambda _: (stream(TRAIN), stream(TEST)),
    "floats": lambda _: tfcore.dataset((Floats(TRAIN), Floats(TEST)), pixel_range=(0, 1), channels_first=True),
    "pictures": lambda _: (Pictures(TRAIN), Pictures(TEST)),
    "least": lambda _: (Least(TRAIN), Least(TEST)),
    "source": lambda _: (split(TRAIN), split(TEST)),
}
