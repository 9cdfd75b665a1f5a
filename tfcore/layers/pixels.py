"""The first layer of every model: scales pictures from 0-255 to the network's input."""

import numpy as np
import tensorflow as tf

from tfcore import checks
from tfcore.errors import ConfigError
from tfcore.seeds import Key

SCALINGS = ("unit", "raw", "centered", "standardized")


class Pixels(tf.Module):
    """Scales pictures of uint8, or of a floating type on the same 0-255 scale (mixed or averaged pictures).

        unit          y = x / 255
        raw           y = x
        centered      y = x - mean            mean: the average training picture, [H, W, C]
        standardized  y = (x - mean) / std    mean, std: one number per channel, [C]

    The statistics are part of the model: saved with it and exported, but not counted as parameters.

    Args:
        scaling: one of the four names.
        mean: float32, for `centered` and `standardized` only.
        std: float32, above zero, for `standardized` only.
        dtype: type of the result, in which all later layers compute. The scaling is computed in float32 and rounded
            once.

    Raises:
        ConfigError: an unknown scaling, missing statistics, or statistics that the scaling does not use.
    """

    counts_as_parameters = False

    def __init__(
        self,
        scaling: str = "unit",
        *,
        mean: np.ndarray | None = None,
        std: np.ndarray | None = None,
        dtype: tf.DType = tf.float32,
    ) -> None:
        super().__init__(name="pixels")
        checks.one_of("pixels", scaling, SCALINGS)
        _statistics_match(scaling, mean, std)
        self.scaling = scaling
        self.dtype = dtype
        if mean is not None:
            self.mean = tf.Variable(tf.cast(mean, tf.float32), trainable=False, name="mean")
        if std is not None:
            self.std = tf.Variable(tf.cast(std, tf.float32), trainable=False, name="std")

    @property
    def factor(self) -> float | None:
        """The constant factor of `unit` and `raw`; None for the other scalings."""
        return {"unit": 1 / 255, "raw": 1.0}.get(self.scaling)

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        del training, key
        x = tf.cast(x, tf.float32)
        if self.scaling == "unit":
            x = x * self.factor
        elif self.scaling == "centered":
            x = x - self.mean
        elif self.scaling == "standardized":
            x = (x - self.mean) / self.std
        return tf.cast(x, self.dtype)


def _statistics_match(scaling: str, mean: np.ndarray | None, std: np.ndarray | None) -> None:
    """Raises ConfigError unless exactly the statistics that `scaling` uses were given."""
    wanted = {"mean": scaling in ("centered", "standardized"), "std": scaling == "standardized"}
    for name, value in {"mean": mean, "std": std}.items():
        if wanted[name] and value is None:
            raise ConfigError(f"`pixels={scaling}` needs `{name}`. Received None.")
        if not wanted[name] and value is not None:
            raise ConfigError(f"`pixels={scaling}` does not take `{name}`.")
    if std is not None and not np.all(np.asarray(std) > 0):
        raise ConfigError("`std` must be above 0 in every channel: a channel of the training pictures is constant.")
