"""Classification losses: pure functions from logits and labels to one loss per example."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tfcore import checks
from tfcore.errors import ShapeError


def _check_labels(logits: tf.Tensor, labels: tf.Tensor) -> None:
    """Raises ShapeError unless labels are class numbers [N] or rows [N, C], for logits [N, C]."""
    if logits.shape.rank == 2:
        numbers = (
            labels.shape.rank == 1 and labels.dtype.is_integer and labels.shape.is_compatible_with(logits.shape[:1])
        )
        rows = labels.shape.rank == 2 and labels.shape.is_compatible_with(logits.shape)
        if numbers or rows:
            return
    raise ShapeError(
        "Losses need logits [N, C] and labels that are integers [N] or rows [N, C]. "
        f"Received logits {logits.shape} and labels {labels.shape} of {labels.dtype.name}."
    )


def _targets(labels: tf.Tensor, classes: int, label_smoothing: float) -> tf.Tensor:
    """Converts labels to smoothed class probabilities, float32 [N, C]."""
    spread = label_smoothing / classes
    if labels.shape.rank == 1:
        return tf.one_hot(labels, classes, on_value=1 - label_smoothing + spread, off_value=spread, dtype=tf.float32)
    rows = tf.cast(labels, tf.float32)
    return rows * (1 - label_smoothing) + spread if label_smoothing else rows


def cross_entropy(logits: tf.Tensor, labels: tf.Tensor, *, label_smoothing: float = 0.0) -> tf.Tensor:
    """Cross-entropy between the softmax of the logits and the labels, one value per example.

        q_c = (1 - s) y_c + s / C
        loss = -sum_c q_c log softmax(logits)_c

    with s the label smoothing and y the labels as one-hot rows or probabilities. The same as Keras'
    `CategoricalCrossentropy(from_logits=True)` and PyTorch's `CrossEntropyLoss`, before the mean over examples. Class
    numbers without smoothing are not expanded to one-hot rows.

    Args:
        logits: [N, C], any float dtype; computed in float32.
        labels: integer [N], 0 … C - 1 (the data source refuses class numbers outside); or rows [N, C] of any
            number dtype that sum to 1.
        label_smoothing: s, 0 <= s < 1.

    Returns:
        Tensor [N], float32.

    Raises:
        ConfigError: `label_smoothing` is out of range.
        ShapeError: labels are neither integers [N] nor rows [N, C].

    Source: Szegedy, Vanhoucke, Ioffe, Shlens & Wojna 2015, arXiv 1512.00567, section 7 (smoothing).
    """
    checks.below_one("label_smoothing", label_smoothing)
    logits, labels = tf.convert_to_tensor(logits), tf.convert_to_tensor(labels)
    _check_labels(logits, labels)
    logits = tf.cast(logits, tf.float32)
    if labels.shape.rank == 1 and not label_smoothing:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(labels, tf.int64), logits)
    return tf.nn.softmax_cross_entropy_with_logits(_targets(labels, logits.shape[1], label_smoothing), logits)


def mean_squared_error(logits: tf.Tensor, labels: tf.Tensor, *, label_smoothing: float = 0.0) -> tf.Tensor:
    """Mean squared difference between the softmax of the logits and the labels, one value per example.

        q_c = (1 - s) y_c + s / C
        loss = (1 / C) sum_c (softmax(logits)_c - q_c)²

    The mean is over the C classes, as in Keras' `MeanSquaredError` (which takes no smoothing); the Brier score is C
    times as large.

    Args:
        logits: [N, C], any float dtype; computed in float32.
        labels: integer [N], 0 … C - 1 (the data source refuses class numbers outside); or rows [N, C] of any
            number dtype that sum to 1.
        label_smoothing: s, 0 <= s < 1.

    Returns:
        Tensor [N], float32.

    Raises:
        ConfigError: `label_smoothing` is out of range.
        ShapeError: labels are neither integers [N] nor rows [N, C].

    Source: Brier 1950, "Verification of forecasts expressed in terms of probability", eq. 2 (times C).
    """
    checks.below_one("label_smoothing", label_smoothing)
    logits, labels = tf.convert_to_tensor(logits), tf.convert_to_tensor(labels)
    _check_labels(logits, labels)
    probabilities = tf.nn.softmax(tf.cast(logits, tf.float32))
    targets = _targets(labels, logits.shape[1], label_smoothing)
    return tf.reduce_mean(tf.math.squared_difference(probabilities, targets), axis=1)


def weighted(loss: Callable[..., tf.Tensor], class_weights: Sequence[float]) -> Callable[..., tf.Tensor]:
    """Returns a loss that multiplies each example's loss by the weight of its class.

        weighted_n = w[y_n] · loss_n,  of targets y_n [C]: Σ_c y_nc w_c · loss_n

    The step takes the mean over the examples of a batch, as Keras' `class_weight` does; PyTorch's `CrossEntropyLoss`
    divides by the sum of the weights.

    Args:
        loss: per-example losses [N] from `(logits, labels)`, and from what else the returned loss is given.
        class_weights: w, one number for each of the C classes.
    """
    weights = np.asarray(class_weights, np.float32)

    def of_batch(logits: tf.Tensor, labels: tf.Tensor, *others: tf.Tensor) -> tf.Tensor:
        labels = tf.convert_to_tensor(labels)
        if labels.shape.rank == 1:
            return tf.gather(weights, labels) * loss(logits, labels, *others)
        return tf.linalg.matvec(tf.cast(labels, tf.float32), weights) * loss(logits, labels, *others)

    return of_batch


def distillation(logits: tf.Tensor, teacher_logits: tf.Tensor, *, temperature: float = 1.0) -> tf.Tensor:
    """Distance of the model's softened probabilities from those of a teacher, one value per example.

        p = softmax(teacher_logits / T),  q = softmax(logits / T)
        loss = T² · KL(p ‖ q) = T² · Σ_c p_c (log p_c - log q_c)

    The gradient with respect to the logits is T · (q - p). As q - p shrinks like 1 / T, that of KL alone shrinks like
    1 / T², and the factor T² keeps the share of this term at any temperature, as the source advises. The source writes
    the cross-entropy of p and q in place of KL; they differ by the entropy of p, on which no gradient depends.

    Args:
        logits: [N, C], any float dtype; computed in float32.
        teacher_logits: [N, C], any float dtype; computed in float32. A gradient flows to these too: pass constants.
        temperature: T, above 0.

    Returns:
        Tensor [N], float32.

    Raises:
        ConfigError: `temperature` is not above 0.
        ShapeError: the logits are not two [N, C] of the same shape.

    Source: Hinton, Vinyals & Dean 2015, arXiv 1503.02531, section 2 and eq. 1 to 4.
    """
    checks.positive("temperature", temperature)
    logits, teacher_logits = tf.convert_to_tensor(logits), tf.convert_to_tensor(teacher_logits)
    if logits.shape.rank != 2 or not logits.shape.is_compatible_with(teacher_logits.shape):
        raise ShapeError(
            "Distillation needs logits [N, C] of the model and of the teacher. "
            f"Received {logits.shape} and {teacher_logits.shape}."
        )
    wanted = tf.nn.log_softmax(tf.cast(teacher_logits, tf.float32) / temperature)
    found = tf.nn.log_softmax(tf.cast(logits, tf.float32) / temperature)
    return temperature**2 * tf.reduce_sum(tf.exp(wanted) * (wanted - found), axis=1)


def distilled(loss: Callable[..., tf.Tensor], *, share: float, temperature: float) -> Callable[..., tf.Tensor]:
    """Returns a loss that is learned from labels and from a teacher.

        distilled_n = (1 - share) · loss_n + share · distillation_n

    Args:
        loss: per-example losses [N] from `(logits, labels)`.
        share: of the teacher, above 0 and at most 1. Keras' example of distillation calls 1 - share `alpha`.
        temperature: see `distillation`.

    Returns:
        A function from `(logits, labels, teacher_logits)` to losses [N].
    """
    checks.share_or_one("share", share)

    def of_batch(logits: tf.Tensor, labels: tf.Tensor, teacher_logits: tf.Tensor) -> tf.Tensor:
        taught = distillation(logits, teacher_logits, temperature=temperature)
        return (1 - share) * loss(logits, labels) + share * taught

    return of_batch


def balanced(labels: np.ndarray, classes: int) -> tuple[float, ...]:
    """Computes class weights with which every class counts alike: w_c = N / (C · examples of class c).

    C counts the classes that have examples, so the mean weight of the examples is 1; the others have the weight 0.

    Args:
        labels: integer [N].
        classes: number of classes.
    """
    counts = np.bincount(labels, minlength=classes)
    return tuple(float(len(labels) / (np.count_nonzero(counts) * count)) if count else 0.0 for count in counts)


LOSSES: dict[str, Callable[..., tf.Tensor]] = {
    "cross_entropy": cross_entropy,
    "mean_squared_error": mean_squared_error,
}
