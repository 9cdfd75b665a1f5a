"""Sharpness-aware minimization: the gradient at the perturbed weights, and nothing else that the second pass leaves."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfcore.errors import ConfigError
from tfcore.layers import BatchNorm, Linear, Sequential
from tfcore.losses import cross_entropy
from tfcore.modules import named_parameters, named_variables
from tfcore.optimizers import GradientDescent, Group, Optimizer, ScheduleFreeAdamW
from tfcore.seeds import Key
from tfcore.training.sharpness import Sharpness
from tfcore.training.step import Penalty, TrainingStep

BATCH, CLASSES, RADIUS, RATE = 12, 3, 0.3, 0.5
generator = np.random.default_rng(3)
IMAGES = generator.normal(size=(BATCH, 4)).astype(np.float32)
LABELS = generator.integers(0, CLASSES, BATCH).astype(np.int32)
START = [generator.standard_normal((4, CLASSES)).astype(np.float32), np.array([0.1, -0.2, 0.3], np.float32)]


class Model(tf.Module):
    """A linear model that records the position in each key it is given."""

    def __init__(self) -> None:
        super().__init__(name="model")
        self.weights, self.biases = (tf.Variable(value) for value in START)
        self.calls = tf.Variable(tf.zeros([0], tf.int64), shape=[None], trainable=False)

    def __call__(self, images: tf.Tensor, *, training: bool, key: Key) -> tf.Tensor:
        """[N, classes]."""
        assert training
        self.calls.assign(tf.concat([self.calls, [tf.cast(key.position, tf.int64)]], axis=0))
        return tf.matmul(images, self.weights) + self.biases

    @property
    def parameters(self) -> dict[str, tf.Variable]:
        return {"logits.weights": self.weights, "logits.biases": self.biases}


def mean_gradient(weights: np.ndarray, biases: np.ndarray, chosen: slice = slice(None)) -> list[np.ndarray]:
    """That of the mean loss, in float64."""
    images, labels = IMAGES[chosen].astype(np.float64), LABELS[chosen]
    logits = images @ weights + biases
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares = shares / shares.sum(axis=1, keepdims=True) - np.eye(CLASSES)[labels]
    return [images.T @ shares / len(labels), shares.mean(axis=0)]


def sharp_gradient(start: list[np.ndarray], trained: tuple[bool, bool] = (True, True)) -> list[np.ndarray]:
    """Algorithm 1 of the paper."""
    gradients = [gradient * moves for gradient, moves in zip(mean_gradient(*start), trained, strict=True)]
    norm = np.sqrt(sum(np.square(gradient).sum() for gradient in gradients))
    near = [w + RADIUS * gradient / norm for w, gradient in zip(start, gradients, strict=True)]
    return [gradient * moves for gradient, moves in zip(mean_gradient(*near), trained, strict=True)]


def build(model: Any, optimizer: Optimizer, *, is_sharp: bool = True, **arguments: Any) -> TrainingStep:
    given = {
        "loss": cross_entropy,
        "sharpness": Sharpness(RADIUS, optimizer.parameters) if is_sharp else None,
    } | arguments
    return TrainingStep(model, optimizer, seed=9, batch_size=BATCH, **given)


def run(step: TrainingStep) -> Any:
    return tf.function(step.__call__, autograph=False)(tf.constant(IMAGES), tf.constant(LABELS))


def descent(model: Model, **arguments: Any) -> GradientDescent:
    return GradientDescent(model.parameters, RATE, **arguments)


def assert_near(found: Any, expected: list[np.ndarray]) -> None:
    for ours, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, right, rtol=0, atol=1e-5 * np.abs(right).max() + 1e-9)


@pytest.mark.parametrize("parts", [1, 3])
def test_the_gradient_is_that_of_the_batch_at_the_perturbed_weights(parts: int) -> None:
    model, plain = Model(), Model()
    result = run(build(model, descent(model), microbatches=parts))
    assert_near(result.gradients, sharp_gradient(START))
    assert np.abs(result.gradients[0] - mean_gradient(*START)[0]).max() > 0.01  # it matters
    # The update starts from the weights as they were, to the bit.
    for parameter, value, gradient in zip(model.parameters.values(), START, result.gradients, strict=True):
        np.testing.assert_array_equal(parameter, value + np.float32(-RATE) * gradient)
    # The numbers are those of the first pass, and both passes draw from the same positions.
    first = run(build(plain, descent(plain), is_sharp=False, microbatches=parts))
    assert (result.loss, result.accuracy) == (first.loss, first.accuracy)
    positions = [part * BATCH // parts for part in range(parts)]
    assert model.calls.numpy().tolist() == positions * 2
    assert plain.calls.numpy().tolist() == positions


def test_a_penalty_is_of_the_weights_themselves() -> None:
    model = Model()
    penalty = Penalty(model.parameters, "weights$", l2=0.7)
    result = run(build(model, descent(model), penalty=penalty))
    weights, biases = sharp_gradient(START)
    assert_near(result.gradients, [weights + 0.7 * START[0], biases])
    assert float(result.total_loss - result.loss) == pytest.approx(0.35 * np.square(START[0]).sum(), rel=1e-6)


def test_a_frozen_parameter_stays_in_place_and_out_of_the_norm() -> None:
    model = Model()
    result = run(build(model, descent(model, groups=[Group("weights", learning_rate_factor=0)])))
    assert_near(result.gradients, sharp_gradient(START, (False, True)))
    np.testing.assert_array_equal(model.weights, START[0])


def test_a_gradient_of_zero_has_no_direction() -> None:
    model = Model()
    zero = build(model, descent(model), loss=lambda logits, _: 0 * logits[:, 0])
    assert not any(np.any(gradient) for gradient in run(zero).gradients)


def test_it_starts_from_where_the_optimizer_takes_its_gradients() -> None:
    model = Model()
    optimizer = ScheduleFreeAdamW(model.parameters, 0.1, beta1=0.5)
    optimizer.apply([tf.ones_like(parameter) for parameter in optimizer.parameters])
    optimizer.apply([tf.ones_like(parameter) for parameter in optimizer.parameters])
    with optimizer.at_gradient_point():
        point = [parameter.numpy() for parameter in optimizer.parameters]
    assert np.abs(point[0] - model.weights.numpy()).max() > 0.01
    assert_near(run(build(model, optimizer)).gradients, sharp_gradient(point))


def network() -> Sequential:
    return Sequential({
        "hidden": Linear(4, 5, name="hidden", seed=1), "norm": BatchNorm(5, name="norm", momentum=0.5),
        "logits": Linear(5, CLASSES, name="logits", seed=1),
    })  # fmt: skip


def test_moving_statistics_are_those_of_the_first_pass() -> None:
    models = [network(), network()]
    for model, sharpness in zip(models, [Sharpness(RADIUS, named_variables(models[0]).values()), None], strict=True):
        run(build(model, GradientDescent(named_parameters(model), RATE), sharpness=sharpness))
    ours, theirs = (named_variables(model) for model in models)
    for path in ("norm.moving_mean", "norm.moving_variance"):
        np.testing.assert_array_equal(ours[path], theirs[path])
    assert np.any(ours["logits.weights"].numpy() != theirs["logits.weights"].numpy())


def test_a_radius_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"`sam_radius` must be above 0\. Received 0"):
        Sharpness(0.0, [])
