"""Augmentations that mix two examples, with targets mixed in the same shares."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfcore import checks
from tfcore.data.augmentation.draws import Draws, each
from tfcore.data.augmentation.erasing import inside
from tfcore.ops import fused

_QUANTILES = 4096
_BISECTIONS = 60  # down to the last bit of a float64
Pair = tuple[tf.Tensor, tf.Tensor]


def mixup(images: tf.Tensor, targets: tf.Tensor, draws: Draws, alpha: float = 0.2, probability: float = 1.0) -> Pair:
    """Mixes each picture with its partner's.

        x ← λ x + (1 - λ) x',  y ← λ y + (1 - λ) y',  λ from Beta(α, α)

    The partner is the neighbour in the batch (`Draws.partners`), and a pair has one λ, so that each example keeps a
    weight of 1 in its batch. The paper's code takes a random partner, and one λ for the batch.

    Args:
        images: `[n, H, W, C]`.
        targets: float32 `[n, classes]`.
        draws: random numbers.
        alpha: α, above 0; 1 for λ from 0 to 1 evenly.
        probability: with which an example is mixed.

    Returns:
        Pictures as float32 on the scale 0 to 255, and targets.

    Source: Zhang, Cisse, Dauphin & Lopez-Paz 2017, arXiv 1710.09412, eq. 1.
    """
    shares = _shares("mixup", draws, alpha, probability)
    partners = draws.partners
    return _mixed(images, partners, shares), _mixed_targets(targets, partners, shares)


def cutmix(images: tf.Tensor, targets: tf.Tensor, draws: Draws, alpha: float = 1.0, probability: float = 1.0) -> Pair:
    """Replaces a rectangle of each picture by that of its partner's.

        height = H sqrt(1 - λ),  width = W sqrt(1 - λ),  λ from Beta(α, α)
        y ← (1 - s) y + s y',  s = the replaced share of the picture

    The rectangle's centre is any pixel, so that it may lie partly outside; s counts what is inside. The partner is the
    neighbour in the batch (`Draws.partners`), and a pair has one rectangle. The paper's code takes a random partner,
    and one rectangle for the batch.

    Args:
        images: `[n, H, W, C]`.
        targets: float32 `[n, classes]`.
        draws: random numbers.
        alpha: α, above 0; 1 for λ from 0 to 1 evenly.
        probability: with which an example is mixed.

    Returns:
        Pictures of the same dtype, and targets.

    Source: Yun et al. 2019, arXiv 1905.04899, eq. 1 and 2.
    """
    root = tf.sqrt(1 - _shares("cutmix", draws, alpha, probability))
    (top, bottom), (left, right) = (
        _around(draws.of_pairs(draws.integers(axis, side)), root, side)
        for axis, side in zip(("row", "column"), images.shape[1:3], strict=True)
    )
    height, width = images.shape[1:3]
    replaced = tf.cast((bottom - top) * (right - left), tf.float32) / (height * width)
    partners = draws.partners
    return (
        _replaced(images, partners, top, bottom, left, right),
        _mixed_targets(targets, partners, 1 - replaced),
    )


def _shares(augmentation: str, draws: Draws, alpha: float, probability: float) -> tf.Tensor:
    """Draws λ for each pair, float32 `[n]`; 1 for an example that is not mixed."""
    checks.positive(f"{augmentation}: alpha", alpha)
    checks.between(f"{augmentation}: probability", probability, 0, 1)
    shares = draws.quantiles("share", tf.constant(beta_quantiles(alpha), tf.float32))
    return draws.of_pairs(tf.where(draws.happens("mixed", probability), shares, 1.0))


@functools.cache  # traced twice, for its check and for the pipeline
def beta_quantiles(alpha: float) -> np.ndarray:
    """Computes equally probable values of Beta(α, α): its quantiles at (i + 1/2) / 4096, float64 `[4096]`."""
    with tf.init_scope():
        wanted = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
        low, high = np.zeros(_QUANTILES), np.ones(_QUANTILES)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            is_below = tf.math.betainc(np.float64(alpha), np.float64(alpha), middle).numpy() < wanted
            low, high = np.where(is_below, middle, low), np.where(is_below, high, middle)
    return (low + high) / 2


def _around(centre: tf.Tensor, share: tf.Tensor, side: int) -> Pair:
    """The part of a stretch around a pixel that is inside of a side: its first pixel, and the one after its last."""
    length = tf.cast(share * side, tf.int32)
    first = centre - length // 2
    return tf.maximum(first, 0), tf.minimum(first + length, side)


def _mixed_targets(targets: tf.Tensor, partners: tf.Tensor, shares: tf.Tensor) -> tf.Tensor:
    own = shares[:, tf.newaxis]
    return own * targets + (1 - own) * tf.gather(targets, partners)


@fused
def _mixed(images: tf.Tensor, partners: tf.Tensor, shares: tf.Tensor) -> tf.Tensor:
    own, values = each(shares), tf.cast(images, tf.float32)
    return own * values + (1 - own) * tf.gather(values, partners)


@fused
def _replaced(
    images: tf.Tensor, partners: tf.Tensor, top: tf.Tensor, bottom: tf.Tensor, left: tf.Tensor, right: tf.Tensor
) -> tf.Tensor:
    return tf.where(inside(images.shape, top, bottom, left, right), tf.gather(images, partners), images)


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
