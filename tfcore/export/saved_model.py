"""Writes and reads SavedModels: TensorFlow programs, for TF Serving and processes without tfcore."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfcore import ops
from tfcore.architecture import Architecture
from tfcore.errors import DataError, RunError
from tfcore.export import files
from tfcore.export.files import Weights
from tfcore.files import appearing, read_text, writing
from tfcore.modules import named_variables
from tfcore.views import Model, averaged

_SIGNATURE = "serving_default"
_ARCHITECTURE = Path("assets.extra", "architecture.json")  # the folder that SavedModel reserves for additional files
_PYTHON_OPS = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}


def probabilities(model: Model, architecture: Architecture, images: tf.Tensor) -> tf.Tensor:
    """Computes the softmax of the logits, averaged over the architecture's views, in float32: `[N, classes]`."""
    seen = averaged(model, architecture.views, architecture.image_shape)
    return tf.nn.softmax(tf.cast(seen(images, training=False), tf.float32))


def write(path: Path, module: Any, architecture: Architecture) -> None:
    """Writes the folder completely or not at all.

    Its signature `serving_default` takes

        images          uint8 [N, H, W, C], any N >= 1

    and gives

        probabilities   float32 [N, classes]
        class_name      string [N], the name of the most probable class

    so both have a row for each picture, as TF Serving's REST interface requires. The architecture, with all class
    names, is stored in `assets.extra/architecture.json`.

    Args:
        path: the new folder.
        module: the model, with its weights.
        architecture: the model's architecture.

    Raises:
        RunError: `path` exists already, it cannot be written, or the model calls Python, which a SavedModel cannot
            store.
    """
    served = tf.Module()
    served.weights = named_variables(module)  # only these are saved; saving the module would include its functions
    images = tf.TensorSpec([None, *architecture.image_shape], tf.uint8, name="images")
    with ops.plain():  # readers need no XLA
        signature = tf.function(_signature(module, architecture)).get_concrete_function(images)
    _refuse_python(signature)
    with appearing(path) as scratch:
        with writing(path, tf.errors.OpError):
            tf.saved_model.save(served, str(scratch), signatures={_SIGNATURE: signature})
        (scratch / _ARCHITECTURE).parent.mkdir()
        (scratch / _ARCHITECTURE).write_text(architecture.to_json(), encoding="utf-8")


def is_saved_model(path: Path) -> bool:
    """Tells whether a folder holds a SavedModel."""
    return os.path.isfile(path / "saved_model.pb")


def read(path: Path) -> tuple[Architecture, Model]:
    """Reads the architecture, and a function from uint8 images to probabilities.

    A SavedModel is a program: only load those that you trust. One that `write` did not write is refused.

    Raises:
        DataError: it is damaged, or not one of tfcore's.
    """
    loaded = _loaded(path)

    def run(images: tf.Tensor) -> tf.Tensor:
        return loaded.signatures[_SIGNATURE](images=images)["probabilities"]

    return _architecture(path), run


def read_weights(path: Path) -> Weights:
    """Reads the variables by path.

    Raises:
        DataError: it is damaged, or not one of tfcore's.
    """
    return {name: variable.numpy() for name, variable in _loaded(path).weights.items()}


def _signature(module: Model, architecture: Architecture) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        # A loaded signature checks the dtype only, and oneDNN's convolution aborts the process for another rank.
        images = tf.ensure_shape(images, [None, *architecture.image_shape])
        rows = probabilities(module, architecture, images)
        names = tf.constant(architecture.class_names)
        return {"probabilities": rows, "class_name": tf.gather(names, tf.argmax(rows, axis=1))}

    return serve


def _refuse_python(function: Any) -> None:
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(node for inner in graph.library.function for node in inner.node_def)]
    found = sorted({node.op for node in nodes} & _PYTHON_OPS)
    if found:
        raise RunError(
            f"The model calls Python while it runs ({', '.join(found)}): a SavedModel cannot hold that. "
            "Write that part with TensorFlow's functions, or export the weights."
        )


def _loaded(path: Path) -> Any:
    _architecture(path)  # before any part of the program is loaded
    with files.intact(path, "SavedModel"):
        return tf.saved_model.load(str(path))


def _architecture(path: Path) -> Architecture:
    place = path / _ARCHITECTURE
    try:
        text = read_text(place)
    except (OSError, UnicodeDecodeError):
        raise DataError(f"{path} is not a SavedModel of tfcore: it has no readable {_ARCHITECTURE}.") from None
    return Architecture.from_json(text, str(place))
