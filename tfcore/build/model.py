"""Builds the model that a configuration names, with its initial weights."""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from tfcore import checks
from tfcore.architecture import VIEWS, Architecture
from tfcore.build import arguments, lookup, signatures, user_code
from tfcore.build.tables import MODELS
from tfcore.config import RunConfig
from tfcore.errors import ConfigError

if TYPE_CHECKING:
    from tfcore.data.dataset import Dataset


def plan_model(config: RunConfig, data: "Dataset") -> Architecture:
    """Returns the architecture of the configured model for a data set."""
    precision = "float32" if config.precision == "auto" else config.precision
    sizes = arguments.given(config)
    views = checks.some_of("test_views", config.test_views, VIEWS)
    shape, fit = data.image_shape, config.image_fit or "stretch"
    return Architecture(config.model, shape, data.class_names, config.pixels, precision, sizes, views, fit)


def build_model(
    plan: Architecture, *, seed: int = 0, statistics: Mapping[str, Any] | None = None, cls: type | None = None
) -> Any:
    """Builds a model with its initial weights.

    Args:
        plan: the architecture.
        seed: seed of the initial weights.
        statistics: `mean` and `std` of the pixels, if the scaling needs them; None if a checkpoint provides them.
        cls: the model's class; None to look it up by the architecture's name.

    Raises:
        ConfigError: arguments that the model does not take, or a user's class that raises an error.
    """
    import tensorflow as tf

    from tfcore.layers import Pixels

    cls = cls or lookup.find(plan.model, MODELS)
    taken = signatures.of_object(cls)
    sizes = arguments.fitting(plan.model, plan.sizes, taken)
    dtype = tf.bfloat16 if plan.precision == "bfloat16" else tf.float32
    pixels = Pixels(plan.pixels, **(statistics or _no_statistics(plan)), dtype=dtype)
    offered = dict(zip(arguments.FROM_RUN, (pixels, seed, dtype), strict=True))
    wanted = {name: value for name, value in offered.items() if name in taken.arguments}
    with nullcontext() if plan.model in MODELS else user_code.telling(f"--model={plan.model}"):
        net = cls(plan.image_shape, len(plan.class_names), **wanted, **sizes)
    if not isinstance(net, tf.Module):
        raise ConfigError(
            f"--model={plan.model} must be a tf.Module, whose variables can be found. Received {type(net).__name__}."
        )
    return net


def _no_statistics(plan: Architecture) -> dict[str, Any]:
    """Returns neutral statistics in the shapes of those in a checkpoint."""
    import numpy as np

    channels = plan.image_shape[2]
    if plan.pixels == "centered":
        return {"mean": np.zeros(plan.image_shape)}
    if plan.pixels == "standardized":
        return {"mean": np.zeros(channels), "std": np.ones(channels)}
    return {}
