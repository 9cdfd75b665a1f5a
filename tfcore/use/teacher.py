"""The teacher of a run: a trained model whose probabilities another one learns (`--teacher`)."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfcore.architecture import Architecture
from tfcore.data.dataset import Dataset
from tfcore.errors import ConfigError
from tfcore.modules import named_variables
from tfcore.use import loading


@dataclass(frozen=True, eq=False)
class Teacher:
    """A trained model, called in inference mode and in its own precision; it sees one view of a picture.

    Attributes:
        architecture: of the model.
        module: the model.
        fingerprint: sixteen hexadecimal digits that depend on the architecture and on every variable (SHA-256).
    """

    architecture: Architecture
    module: Any
    fingerprint: str

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Computes the logits, float32 `[N, classes]`, of pictures as a training step gets them."""
        return tf.cast(self.module(images, training=False), tf.float32)


def load_teacher(path: str, data: Dataset, *, average: bool = False) -> Teacher:
    """Loads the teacher of a run on `data`.

    Args:
        path: a run's folder, or an .npz, .h5 or .safetensors file with its architecture; see `loading.load`.
        data: the data set of the run.
        average: take the averaged weights; of a run's folder only.

    Raises:
        ConfigError: it is for other pictures or classes, or is a SavedModel or an architecture alone.
        RunError: a run without a checkpoint or averages, or weights of another model.
        DataError: a damaged file.
    """
    if Path(path).suffix == ".json":
        raise ConfigError(f"--teacher={path} holds no weights. Name the folder of a run, or an exported file.")
    found = loading.load(path, average=average)
    if found.module is None:
        raise ConfigError(
            f"--teacher={path} is a SavedModel, which gives no logits. Name the run's folder, or export an .npz file."
        )
    _check(path, found.architecture, data)
    return Teacher(found.architecture, found.module, _fingerprint(found.architecture, found.module))


def _check(path: str, teacher: Architecture, data: Dataset) -> None:
    """Raises ConfigError unless the teacher is for pictures and classes of `data`."""
    if teacher.image_shape != data.image_shape:
        raise ConfigError(
            f"--teacher={path} takes pictures {teacher.image_shape}. Those of {data.name} are {data.image_shape}. "
            "Name a model of the same pictures."
        )
    if len(teacher.class_names) != data.classes:
        raise ConfigError(
            f"--teacher={path} tells {len(teacher.class_names)} classes apart. {data.name} has {data.classes}. "
            "Name a model of the same classes."
        )
    for number, (there, here) in enumerate(zip(teacher.class_names, data.class_names, strict=True)):
        if there != here:
            raise ConfigError(
                f"--teacher={path} has '{there}' as class {number}, where {data.name} has '{here}'. "
                "Name a model of the same classes in the same order."
            )


def _fingerprint(architecture: Architecture, module: Any) -> str:
    digest = hashlib.sha256(architecture.to_json().encode())
    for name, variable in sorted(named_variables(module).items()):
        digest.update(f"{name} {variable.dtype.name} {variable.shape}\n".encode())
        digest.update(np.ascontiguousarray(variable.numpy()).tobytes())
    return digest.hexdigest()[:16]
