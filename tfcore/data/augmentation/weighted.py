"""Mixes examples that have weights."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def mixed_with_weights(
    augment: Callable[..., Any], images: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Mixes examples that have weights.

    The loss of examples y and y' of weights w and w', mixed in shares λ and 1 - λ, is the weighted sum

        λ w loss(y) + (1 - λ) w' loss(y') = v loss((λ w y + (1 - λ) w' y') / v),  v = λ w + (1 - λ) w'

    where the loss is linear in the targets, as the cross-entropy is, also with label smoothing. So the targets are
    multiplied by the weights, mixed, and divided by their sum v, which is the weight of the mixed example.

    Args:
        augment: of images and targets.
        images: `[n, H, W, C]`.
        targets: float32 `[n, classes]`, which sum to 1.
        weights: float32 `[n]`.

    Returns:
        Images, targets which sum to 1 (to 0 where the weight is 0), and weights v.
    """
    images, weighted = augment(images, weights[:, tf.newaxis] * targets)
    mixed = tf.reduce_sum(weighted, axis=1)
    return images, tf.math.divide_no_nan(weighted, mixed[:, tf.newaxis]), mixed
