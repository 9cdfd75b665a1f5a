"""A first convolution whose filters whiten the patches of the training pictures."""

import numpy as np
import tensorflow as tf

from tfcore import checks, ops
from tfcore.errors import ShapeError
from tfcore.layers.inputs import floating
from tfcore.seeds import Key

_AT_ONCE_BYTES = 32 * 2**20  # of patches that are in memory at a time


class Whitening(tf.Module):
    """Convolves with fixed filters that make the patches of the training pictures uncorrelated, and adds a bias.

        y[n, i, j] = [u, -u] + b,   u = V p / sqrt(eigenvalues + epsilon)

    p is the patch of size²·C numbers at (i, j), without padding; eigenvalues and rows of V are those of the patches'
    covariance. Over the training pictures, u has (nearly) unit variance and no correlation. Both signs are there, since
    an activation follows that cuts one off.

    `adapt` computes the filters before training (see `tfcore.adaptation`). They are not trained, but saved with the
    model. Until then u is the patch itself. b is a parameter, which `adapt` starts so that y has no mean.

    Args:
        channels: C, length of the last axis of `x`, at least 1.
        size: height and width of the patches, in pixels.
        name: the layer's path in its model.
        epsilon: above 0; keeps directions in which patches hardly vary from being amplified.

    Raises:
        ConfigError: an argument is out of range.
        ShapeError: at the call, when `x` is not floating-point `[N, H, W, C]`, or smaller than a patch.

    Source: Page 2019, "How to train your ResNet 8: bag of tricks"; in this form, with both signs, Jordan 2024, arXiv
    2404.00498, section 3.
    """

    def __init__(self, channels: int, size: int = 2, *, name: str, epsilon: float = 5e-4) -> None:
        super().__init__(name=name)
        checks.positive_integer("channels", channels)
        checks.positive_integer("size", size)
        checks.positive("epsilon", epsilon)
        self.channels, self.size, self.epsilon = channels, size, epsilon
        numbers = size * size * channels
        self.features = 2 * numbers
        self.weights = tf.Variable(self._filters(np.eye(numbers)), trainable=False, name="weights")
        self.biases = tf.Variable(tf.zeros([self.features]), name="biases")

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        del training, key
        x = self._checked(x)
        return ops.with_biases(tf.nn.conv2d(x, tf.cast(self.weights, x.dtype), 1, "VALID"), self.biases)

    def adapt(self, x: tf.Tensor) -> None:
        """Sets the filters and the start of the biases by what the layer is given for training pictures.

        Args:
            x: floating-point [N, H, W, C].

        Raises:
            ShapeError: as at a call.
        """
        mean, covariance = self._moments(self._checked(x))
        eigenvalues, eigenvectors = np.linalg.eigh(covariance)  # in columns
        rows = eigenvectors.T / np.sqrt(np.maximum(eigenvalues, 0) + self.epsilon)[:, np.newaxis]
        self.weights.assign(self._filters(rows))
        shift = -rows @ mean
        self.biases.assign(np.concatenate([shift, -shift]))

    def _moments(self, x: tf.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Computes mean [P] and covariance [P, P] of all patches, in float64; P = size²·C."""
        count, total, products = 0, 0.0, 0.0
        picture_bytes = 8 * x.shape[1] * x.shape[2] * self.features // 2
        at_once = max(1, _AT_ONCE_BYTES // picture_bytes)
        for start in range(0, x.shape[0], at_once):
            patches = self._patches(tf.cast(x[start : start + at_once], tf.float64).numpy())
            count += len(patches)
            total = total + patches.sum(axis=0)
            products = products + patches.T @ patches
        mean = np.asarray(total) / count
        return mean, np.asarray(products) / count - np.outer(mean, mean)

    def _patches(self, x: np.ndarray) -> np.ndarray:
        """Cuts pictures [N, H, W, C] into all their patches, [N·(H - size + 1)·(W - size + 1), size²·C]."""
        windows = np.lib.stride_tricks.sliding_window_view(x, (self.size, self.size), axis=(1, 2))
        return np.moveaxis(windows, 3, 5).reshape(-1, self.features // 2)

    def _filters(self, rows: np.ndarray) -> tf.Tensor:
        """Turns rows [P, P], one for each number of u, into the weights of the convolution, for u and -u."""
        weights = np.concatenate([rows, -rows]).T.reshape(self.size, self.size, self.channels, self.features)
        return tf.constant(weights, tf.float32)

    def _checked(self, x: tf.Tensor) -> tf.Tensor:
        x = floating(x, self.name)
        least = min((side for side in x.shape[1:3] if side is not None), default=self.size) if x.shape.rank == 4 else 0
        if least < self.size or x.shape[3] != self.channels:
            raise ShapeError(
                f"Layer '{self.name}' takes x of shape [N, H, W, {self.channels}], H and W at least {self.size}. "
                f"Received {x.shape}."
            )
        return x
