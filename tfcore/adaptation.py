"""Layers that start from training pictures: each gets what reaches it, before training begins."""

from typing import Any

import tensorflow as tf

from tfcore.errors import ConfigError
from tfcore.modules import named_modules
from tfcore.recorded_calls import recorded_calls


class _AllAdaptedError(Exception):
    """Ends the call of the model once no layer is left to adapt."""


def adaptive(model: tf.Module) -> dict[int, tuple[tf.Module, str]]:
    """Returns the modules with a method `adapt` by identity, each with its path in the model."""
    return {identity: found for identity, found in named_modules(model).items() if hasattr(found[0], "adapt")}


def adapt(model: tf.Module, images: tf.Tensor) -> None:
    """Calls `adapt(x)` of every layer that has it, with the x that the layer is given for `images`.

    The model is called once, eagerly and as outside of training. A layer adapts right before its first call, so the
    layers after it get what it returns then.

    Args:
        model: of any structure.
        images: training pictures, uint8 [N, H, W, C].

    Raises:
        ConfigError: the model does not call a layer that has `adapt`.
    """
    waiting = adaptive(model)
    if not waiting:
        return

    def arriving(module: tf.Module, x: Any) -> None:
        if waiting.pop(id(module), None) is not None:
            module.adapt(x)
            if not waiting:
                raise _AllAdaptedError

    was_eager = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        with recorded_calls(named_modules(model), arriving=arriving):
            model(images, training=False)
    except _AllAdaptedError:
        pass
    finally:
        tf.config.run_functions_eagerly(was_eager)
    if waiting:
        paths = ", ".join(path for _, path in waiting.values())
        raise ConfigError(f"Layers with a method `adapt` must be called by the model. These are not: {paths}.")
