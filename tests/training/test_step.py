"""One training step: a plain GradientTape step, in parts or whole, with or without a penalty."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfcore.errors import ConfigError
from tfcore.losses import cross_entropy
from tfcore.optimizers import Adam, GradientDescent
from tfcore.seeds import Key
from tfcore.training.step import L2Penalty, TrainingStep

BATCH, CLASSES = 12, 3
generator = np.random.default_rng(3)
IMAGES = tf.constant(generator.uniform(0, 255, (BATCH, 2, 2, 1)).astype(np.float32))
LABELS = tf.constant(generator.integers(0, CLASSES, BATCH).astype(np.int32))
WEIGHTS = generator.standard_normal((4, CLASSES)).astype(np.float32)


class Model:
    """Linear; counts how often Python runs it, and notes the positions that its keys name."""

    def __init__(self) -> None:
        self.python_calls = 0
        self.weights, self.biases = tf.Variable(WEIGHTS), tf.Variable(tf.zeros([CLASSES]))
        self.parameters = {"logits.weights": self.weights, "logits.biases": self.biases}
        self.positions = tf.Variable(tf.zeros([0, 2], tf.int64), shape=[None, 2], trainable=False)

    def __call__(self, images: tf.Tensor, *, training: bool, key: Key) -> tf.Tensor:
        assert training is True
        assert key.seed == 9
        self.python_calls += 1
        here = tf.stack([tf.cast(key.step, tf.int64), tf.cast(key.position, tf.int64)])
        self.positions.assign(tf.concat([self.positions, here[tf.newaxis]], axis=0))
        return tf.matmul(tf.reshape(images, [-1, 4]) / 255, self.weights) + self.biases


def build(model: Model, optimizer: Callable[..., Any] = GradientDescent, **arguments: Any) -> TrainingStep:
    return TrainingStep(
        model, optimizer(model.parameters, learning_rate=0.5), cross_entropy, seed=9, batch_size=BATCH, **arguments
    )


def compiled(step: TrainingStep) -> Any:
    return tf.function(step.__call__)


def penalty(model: Model, factor: float = 0.25) -> L2Penalty:
    return L2Penalty(factor, model.parameters, "weights$")


def test_the_update_is_that_of_a_hand_written_step() -> None:
    model = Model()
    result = compiled(build(model))(IMAGES, LABELS)
    weights, biases = tf.Variable(WEIGHTS), tf.Variable(tf.zeros([CLASSES]))
    with tf.GradientTape() as tape:
        logits = tf.matmul(tf.reshape(IMAGES, [-1, 4]) / 255, weights) + biases
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS, logits))
    gradients = tape.gradient(loss, [weights, biases])
    np.testing.assert_allclose(result.gradients[0], gradients[0], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(model.weights, weights - 0.5 * gradients[0], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(model.biases, biases - 0.5 * gradients[1], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(result.loss, loss, rtol=1e-6)
    assert float(result.accuracy) == np.mean(np.argmax(logits, axis=1) == LABELS.numpy())


@pytest.mark.parametrize("optimizer", [GradientDescent, Adam])
@pytest.mark.parametrize("parts", [2, 3, 12])
def test_microbatches_change_nothing_beyond_rounding(optimizer: Callable[..., Any], parts: int) -> None:
    models = [Model(), Model()]
    steps = [build(models[0], optimizer), build(models[1], optimizer, microbatches=parts)]
    runs = [compiled(step) for step in steps]
    for _ in range(3):
        whole, split = (run(IMAGES, LABELS) for run in runs)
        for a, b in zip(whole.gradients, split.gradients, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(whole.loss, split.loss, rtol=1e-6)
        assert whole.accuracy == split.accuracy
    # One update of Adam at 0.5 is about 0.5: this is at most a hundredth of a percent of it.
    np.testing.assert_allclose(models[0].weights, models[1].weights, rtol=0, atol=5e-5)
    np.testing.assert_allclose(steps[0].sums, steps[1].sums, rtol=1e-6)
    assert int(steps[1].optimizer.step) == 3


@pytest.mark.parametrize("parts", [1, 3])
def test_a_random_layer_is_told_the_global_position_of_its_first_example(parts: int) -> None:
    model = Model()
    run = compiled(build(model, microbatches=parts))
    for _ in range(2):
        run(IMAGES, LABELS)
    size = BATCH // parts
    expected = [[step, step * BATCH + part * size] for step in range(2) for part in range(parts)]
    assert model.positions.numpy().tolist() == expected


@pytest.mark.parametrize("parts", [0, 5, 24])
def test_parts_that_do_not_divide_the_batch_are_refused(parts: int) -> None:
    with pytest.raises(ConfigError, match="`microbatches` must"):
        build(Model(), microbatches=parts)


def test_the_penalty_is_half_lambda_times_the_squares_of_the_matched_variables() -> None:
    model = Model()
    model.biases.assign([1.0, 2.0, 3.0])
    squares = np.square(WEIGHTS.astype(np.float64)).sum()
    assert float(L2Penalty(0.3, model.parameters, "weights$")()) == pytest.approx(0.15 * squares, rel=1e-6)
    assert float(L2Penalty(0.3, model.parameters, "biases")()) == pytest.approx(0.15 * 14, rel=1e-6)
    assert float(L2Penalty(0.3, model.parameters, ".")()) == pytest.approx(0.15 * (14 + squares), rel=1e-6)


@pytest.mark.parametrize("parts", [1, 4])
def test_the_penalty_adds_lambda_w_to_the_gradient_of_matched_variables_only(parts: int) -> None:
    bare, penalized = Model(), Model()
    first = compiled(build(bare))(IMAGES, LABELS)
    second = compiled(build(penalized, penalty=penalty(penalized), microbatches=parts))(IMAGES, LABELS)
    np.testing.assert_allclose(second.gradients[0] - first.gradients[0], 0.25 * WEIGHTS, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(second.gradients[1], first.gradients[1], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(second.loss, first.loss, rtol=1e-6)
    expected = float(first.loss) + 0.125 * np.square(WEIGHTS).sum()
    assert float(second.total_loss) == pytest.approx(expected, rel=1e-6)


def test_without_a_penalty_the_total_loss_is_the_loss() -> None:
    result = compiled(build(Model()))(IMAGES, LABELS)
    assert result.total_loss.numpy() == result.loss.numpy()


@pytest.mark.parametrize(
    ("factor", "pattern", "message"),
    [
        (-0.1, "weights", "`l2` must be at least 0"),
        (0.1, "(", r"`l2_variables` must be a regular expression\. Received '\('"),
        (0.1, "wieghts$", r"'wieghts\$' matches none of logits\.weights, logits\.biases"),
    ],
)
def test_a_bad_penalty_is_refused(factor: float, pattern: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        L2Penalty(factor, Model().parameters, pattern)


def test_the_sums_add_up_over_steps() -> None:
    model = Model()
    step = build(model, penalty=penalty(model))
    run = compiled(step)
    results = [run(IMAGES, LABELS) for _ in range(3)]
    columns = [sum(float(result[place]) * BATCH for result in results) for place in range(3)]
    np.testing.assert_allclose(step.sums.numpy(), [*columns, 3 * BATCH], rtol=1e-12)


@pytest.mark.parametrize("parts", [1, 3])
def test_one_trace_serves_every_batch(parts: int) -> None:
    model = Model()
    run = compiled(build(model, Adam, microbatches=parts))
    run(IMAGES, LABELS)
    calls = model.python_calls
    for shift in range(1, 5):
        run(tf.roll(IMAGES, shift, axis=0), tf.roll(LABELS, shift, axis=0))
    assert model.python_calls == calls
    assert run.experimental_get_tracing_count() == 1
