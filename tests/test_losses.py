"""Losses against NumPy float64 and Keras: values, gradients, extreme logits, label forms."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from reference import losses as reference

from tfcore import losses
from tfcore.errors import ConfigError, ShapeError
from tfcore.losses import LOSSES

N, C = 16, 7
RANDOM = np.random.default_rng(1)
LOGITS = (RANDOM.standard_normal((N, C)) * 10.0 ** RANDOM.uniform(-2, 1.3, (N, 1))).astype(np.float32)
NUMBERS = RANDOM.integers(0, C, N)
ONE_HOT = np.eye(C)[NUMBERS]
MIXED = RANDOM.dirichlet(np.ones(C), N)
LABELS = {
    "int64": (NUMBERS, ONE_HOT),
    "uint8": (NUMBERS.astype(np.uint8), ONE_HOT),
    "one_hot": (ONE_HOT.astype(np.int32), ONE_HOT),
    "probabilities": (MIXED.astype(np.float32), MIXED),
}
# Differences of logits stay within float32, whose largest number is 3.4e38.
EXTREME = np.array(
    [[1e4, -1e4, 0], [-1e30, 0, 1e30], [1.5e38, 1.5e38, -1.5e38], [88.8, 104, -104], [0, 0, 0]], np.float32
)


def value_and_gradient(
    name: str, logits: np.ndarray, labels: np.ndarray, smoothing: float
) -> tuple[tf.Tensor, tf.Tensor]:
    x = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(x)
        losses = LOSSES[name](x, tf.constant(labels), label_smoothing=smoothing)
    return losses, tape.gradient(losses, x)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("form", LABELS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_values_and_gradients(name: str, form: str, smoothing: float) -> None:
    labels, rows = LABELS[form]
    losses, gradient = value_and_gradient(name, LOGITS, labels, smoothing)
    values, slopes = getattr(reference, name)(LOGITS.astype(np.float64), rows, smoothing)
    assert losses.dtype == tf.float32
    np.testing.assert_allclose(losses, values, rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-5, atol=1e-6)
    # The comparison tells another smoothing apart.
    assert not np.allclose(losses, getattr(reference, name)(LOGITS, rows, smoothing + 0.01)[0], rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_extreme_logits(name: str, smoothing: float) -> None:
    labels = np.array([1, 0, 0, 2, 2])
    losses, gradient = value_and_gradient(name, EXTREME, labels, smoothing)
    values, slopes = getattr(reference, name)(EXTREME.astype(np.float64), np.eye(3)[labels], smoothing)
    np.testing.assert_allclose(losses, values, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_keras_agrees_on_cross_entropy(smoothing: float) -> None:
    theirs = keras.losses.categorical_crossentropy(ONE_HOT, LOGITS, from_logits=True, label_smoothing=smoothing)
    ours = LOSSES["cross_entropy"](LOGITS, NUMBERS, label_smoothing=smoothing)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_keras_agrees_on_mean_squared_error() -> None:
    theirs = keras.losses.mean_squared_error(ONE_HOT, keras.ops.softmax(LOGITS))
    np.testing.assert_allclose(LOSSES["mean_squared_error"](LOGITS, NUMBERS), theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_low_precision_logits_are_computed_in_float32(name: str) -> None:
    low = tf.cast(LOGITS, tf.bfloat16)
    losses = LOSSES[name](low, NUMBERS, label_smoothing=0.1)
    assert losses.dtype == tf.float32
    np.testing.assert_array_equal(losses, LOSSES[name](tf.cast(low, tf.float32), NUMBERS, label_smoothing=0.1))


def test_plain_class_numbers_never_become_rows() -> None:
    def operations(smoothing: float) -> set[str]:
        function = tf.function(lambda x, y: LOSSES["cross_entropy"](x, y, label_smoothing=smoothing))
        specs = [tf.TensorSpec([None, C], tf.bfloat16), tf.TensorSpec([None], tf.int64)]
        return {operation.type for operation in function.get_concrete_function(*specs).graph.get_operations()}

    assert "OneHot" not in operations(0.0)
    assert "OneHot" in operations(0.1)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        (LOGITS, NUMBERS[:, np.newaxis]),  # [N, 1] would be taken for rows and broadcast
        (LOGITS, NUMBERS.astype(np.float32)),
        (LOGITS, NUMBERS[:-1]),
        (LOGITS, ONE_HOT[:, :-1]),
        (LOGITS[0], NUMBERS[0]),
        (LOGITS[np.newaxis], NUMBERS[np.newaxis]),
    ],
)
def test_labels_that_do_not_fit_are_refused(name: str, logits: np.ndarray, labels: np.ndarray) -> None:
    with pytest.raises(ShapeError, match=r"logits \[N, C\] and labels"):
        LOSSES[name](logits, labels)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
def test_smoothing_out_of_range_is_refused(name: str, smoothing: float) -> None:
    with pytest.raises(ConfigError, match="label_smoothing"):
        LOSSES[name](LOGITS, NUMBERS, label_smoothing=smoothing)


def test_class_weights_multiply_each_loss() -> None:
    logits, labels = tf.random.stateless_normal([6, 3], [1, 2]), np.array([0, 2, 1, 1, 0, 2])
    weights = (0.5, 2.0, 0.0)
    plain = losses.cross_entropy(logits, labels).numpy()
    found = losses.weighted(losses.cross_entropy, weights)(logits, labels).numpy()
    np.testing.assert_allclose(found, np.array(weights)[labels] * plain, rtol=1e-6)


def test_class_weights_of_targets_are_their_mean() -> None:
    logits, rows = tf.random.stateless_normal([2, 3], [1, 2]), np.array([[1, 0, 0], [0.25, 0.5, 0.25]], np.float32)
    plain = losses.cross_entropy(logits, rows).numpy()
    found = losses.weighted(losses.cross_entropy, (0.5, 2.0, 1.0))(logits, rows).numpy()
    np.testing.assert_allclose(found, np.array([0.5, 1.375]) * plain, rtol=1e-6)


def test_balanced_weights_let_every_class_count_alike() -> None:
    labels = np.array([0] * 6 + [1] * 3 + [3])
    weights = losses.balanced(labels, 4)
    assert weights[2] == 0  # without examples
    np.testing.assert_allclose(np.bincount(labels, minlength=4)[[0, 1, 3]] * np.array(weights)[[0, 1, 3]], 10 / 3)
    np.testing.assert_allclose(np.array(weights)[labels].mean(), 1)


@pytest.mark.parametrize("rows", [False, True])
def test_keras_weights_classes_alike(rows: bool) -> None:
    logits, labels = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32), np.arange(8) % 3
    weights = (0.5, 2.0, 1.0)
    targets = np.eye(3, dtype=np.float32)[labels] if rows else labels
    kind = keras.losses.CategoricalCrossentropy if rows else keras.losses.SparseCategoricalCrossentropy
    expected = kind(from_logits=True)(targets, logits, sample_weight=np.array(weights)[labels])
    found = losses.weighted(losses.cross_entropy, weights)(tf.constant(logits), tf.constant(targets))
    np.testing.assert_allclose(found.numpy().mean(), expected, rtol=1e-5)


TEACHER = (RANDOM.standard_normal((N, C)) * 4).astype(np.float32)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_distillation(temperature: float) -> None:
    x = tf.constant(LOGITS)
    with tf.GradientTape() as tape:
        tape.watch(x)
        found = losses.distillation(x, TEACHER, temperature=temperature)
    values, slopes = reference.distillation(LOGITS.astype(np.float64), TEACHER.astype(np.float64), temperature)
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, values, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(tape.gradient(found, x), slopes, rtol=1e-4, atol=1e-6)
    softened = (tf.nn.softmax(array / temperature) for array in (TEACHER, LOGITS))
    keras_values = temperature**2 * keras.losses.kl_divergence(*softened)  # cuts probabilities off at 1e-7
    np.testing.assert_allclose(found, keras_values, rtol=1e-3, atol=1e-3)


def test_distillation_of_extreme_logits_is_finite() -> None:
    values, _ = reference.distillation(EXTREME.astype(np.float64), EXTREME[::-1].astype(np.float64), 4.0)
    np.testing.assert_allclose(losses.distillation(EXTREME, EXTREME[::-1], temperature=4.0), values, rtol=1e-5)


def test_a_distilled_loss_has_both_shares_and_the_weights_of_the_classes() -> None:
    plain, taught = losses.cross_entropy(LOGITS, NUMBERS), losses.distillation(LOGITS, TEACHER, temperature=3.0)
    loss = losses.distilled(losses.cross_entropy, share=0.25, temperature=3.0)
    expected = 0.75 * plain.numpy() + 0.25 * taught.numpy()
    np.testing.assert_allclose(loss(LOGITS, NUMBERS, TEACHER), expected, rtol=1e-6)
    weights = np.arange(1.0, C + 1)
    found = losses.weighted(loss, weights)(LOGITS, NUMBERS, TEACHER)
    np.testing.assert_allclose(found, weights[NUMBERS] * expected, rtol=1e-6)


def test_what_distillation_refuses() -> None:
    with pytest.raises(ConfigError, match="`temperature` must be above 0"):
        losses.distillation(LOGITS, TEACHER, temperature=0.0)
    with pytest.raises(ConfigError, match="`share` must be above 0 and at most 1"):
        losses.distilled(losses.cross_entropy, share=0.0, temperature=1.0)
    with pytest.raises(ShapeError, match=r"Received \(16, 7\) and \(16, 6\)"):
        losses.distillation(LOGITS, TEACHER[:, :6])
