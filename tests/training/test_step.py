"""One training step: a plain GradientTape step, in parts or whole, with or without a penalty."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from reference import losses as reference

from tfcore.errors import ConfigError
from tfcore.losses import cross_entropy, distilled
from tfcore.optimizers import Adam, GradientDescent, Group
from tfcore.seeds import Key
from tfcore.training.step import Penalty, TrainingStep

BATCH, CLASSES = 12, 3
generator = np.random.default_rng(3)
IMAGES = tf.constant(generator.uniform(0, 255, (BATCH, 2, 2, 1)).astype(np.float32))
LABELS = tf.constant(generator.integers(0, CLASSES, BATCH).astype(np.int32))
WEIGHTS = generator.standard_normal((4, CLASSES)).astype(np.float32)


class Model:
    """A linear model that counts its Python calls and records the positions in its keys."""

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


def penalty(model: Model, l1: float = 0.0, l2: float = 0.25) -> Penalty:
    return Penalty(model.parameters, "weights$", l1=l1, l2=l2)


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


@pytest.mark.sampled(3)
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


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.3), (0.2, 0.0), (0.2, 0.3)])
def test_the_penalty_is_that_of_the_matched_variables(l1: float, l2: float) -> None:
    model = Model()
    model.biases.assign([1.0, -2.0, 3.0])
    wide = WEIGHTS.astype(np.float64)
    of_weights, of_biases = l1 * np.abs(wide).sum() + l2 / 2 * np.square(wide).sum(), l1 * 6 + l2 / 2 * 14
    expected = {
        "weights$": of_weights,
        "biases": of_biases,
        ".": of_weights + of_biases,
        "logits": of_weights + of_biases,
    }
    for pattern, value in expected.items():
        found = Penalty(model.parameters, pattern, l1=l1, l2=l2)()
        assert (found.shape, found.dtype) == ((), tf.float32)
        assert float(found) == pytest.approx(value, rel=1e-6), pattern


@pytest.mark.parametrize("parts", [1, 4])
@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.25), (0.2, 0.0), (0.2, 0.25)])
def test_the_penalty_adds_its_gradient_to_the_matched_variables_only(l1: float, l2: float, parts: int) -> None:
    bare, penalized = Model(), Model()
    first = compiled(build(bare))(IMAGES, LABELS)
    second = compiled(build(penalized, penalty=penalty(penalized, l1, l2), microbatches=parts))(IMAGES, LABELS)
    added = l1 * np.sign(WEIGHTS.astype(np.float64)) + l2 * WEIGHTS
    np.testing.assert_allclose(second.gradients[0] - first.gradients[0], added, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(second.gradients[1], first.gradients[1], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(second.loss, first.loss, rtol=1e-6)
    expected = float(first.loss) + l1 * np.abs(WEIGHTS).sum() + l2 / 2 * np.square(WEIGHTS).sum()
    assert float(second.total_loss) == pytest.approx(expected, rel=1e-6)


def test_weights_of_zero_are_left_there_by_l1() -> None:
    model = Model()
    model.weights.assign(tf.zeros_like(model.weights))
    with tf.GradientTape() as tape:
        value = penalty(model, l1=0.5)()
    np.testing.assert_array_equal(tape.gradient(value, model.weights), np.zeros_like(WEIGHTS))


@pytest.mark.parametrize("parts", [1, 4])
def test_a_penalty_without_factors_changes_nothing(parts: int) -> None:
    bare, penalized = Model(), Model()
    first = compiled(build(bare, microbatches=parts))(IMAGES, LABELS)
    second = compiled(build(penalized, penalty=penalty(penalized, 0.0, 0.0), microbatches=parts))(IMAGES, LABELS)
    np.testing.assert_array_equal(second.gradients[0], first.gradients[0])
    assert second.total_loss.numpy() == first.loss.numpy()


def test_without_a_penalty_the_total_loss_is_the_loss() -> None:
    result = compiled(build(Model()))(IMAGES, LABELS)
    assert result.total_loss.numpy() == result.loss.numpy()


@pytest.mark.parametrize(
    ("pattern", "factors", "message"),
    [
        ("weights", {"l2": -0.1}, "`l2` must be at least 0. Received -0.1"),
        ("weights", {"l1": -0.1}, "`l1` must be at least 0. Received -0.1"),
        ("weights", {"l1": float("nan")}, "`l1` must be at least 0. Received nan"),
        ("(", {"l2": 0.1}, r"`penalty_variables` must be a regular expression\. Received '\('"),
        ("wieghts$", {"l1": 0.1}, r"'wieghts\$' matches none of logits\.weights, logits\.biases"),
    ],
)
def test_a_bad_penalty_is_refused(pattern: str, factors: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Penalty(Model().parameters, pattern, **factors)


@pytest.mark.parametrize("parts", [1, 3])
def test_no_gradient_of_a_frozen_parameter_is_computed(parts: int) -> None:
    groups = [Group("weights", learning_rate_factor=0)]
    models = [Model(), Model()]
    frozen, whole = (
        compiled(build(model, lambda *args, own=own, **more: Adam(*args, groups=own, **more), penalty=penalty(model),
                       microbatches=parts))
        for model, own in zip(models, [groups, []], strict=True)
    )  # fmt: skip
    ours, theirs = (run(IMAGES, LABELS) for run in (frozen, whole))
    assert models[0].python_calls == models[1].python_calls == 1
    np.testing.assert_array_equal(ours.gradients[0], np.zeros_like(WEIGHTS))
    np.testing.assert_array_equal(ours.gradients[1], theirs.gradients[1])
    np.testing.assert_array_equal(models[0].weights, WEIGHTS)
    assert ours.total_loss == theirs.total_loss  # with the penalty of the frozen weights
    products = [str(run.get_concrete_function(IMAGES, LABELS).graph.as_graph_def()).count('op: "MatMul"')
                for run in (frozen, whole)]  # fmt: skip
    assert products == [1, 2]


def test_parameters_can_be_frozen_later() -> None:
    model = Model()
    step = build(model, Adam, penalty=penalty(model))
    compiled(step)(IMAGES, LABELS)
    weights, slot = model.weights.numpy(), step.optimizer.variables["m.logits.weights"].numpy()
    run = compiled(step.freezing(["logits.weights"]))
    result = run(IMAGES, LABELS)
    np.testing.assert_array_equal(result.gradients[0], np.zeros_like(WEIGHTS))
    np.testing.assert_array_equal(model.weights, weights)
    np.testing.assert_array_equal(step.optimizer.variables["m.logits.weights"], slot)
    assert np.all(result.gradients[1])
    assert (int(step.optimizer.step), float(step.sums[3])) == (2, 2 * BATCH)
    assert str(run.get_concrete_function(IMAGES, LABELS).graph.as_graph_def()).count('op: "MatMul"') == 1


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


@pytest.mark.parametrize("parts", [1, 3])
def test_a_teacher_sees_the_pictures_of_the_model_and_stays_as_it_is(parts: int) -> None:
    model, teacher = Model(), tf.Variable(WEIGHTS[::-1] * 2)

    def taught(images: tf.Tensor) -> tf.Tensor:
        return tf.matmul(tf.reshape(images, [-1, 4]) / 255, teacher)

    loss = distilled(cross_entropy, share=0.3, temperature=2.0)
    optimizer = GradientDescent(model.parameters, learning_rate=0.5)
    step = TrainingStep(model, optimizer, loss, seed=9, batch_size=BATCH, microbatches=parts, teacher=taught)
    result = compiled(step)(IMAGES, LABELS)
    x = IMAGES.numpy().reshape(-1, 4).astype(np.float64) / 255
    values, slopes = reference.distillation(x @ WEIGHTS, x @ (WEIGHTS[::-1] * 2).astype(np.float64), 2.0)
    plain, plain_slopes = reference.cross_entropy(x @ WEIGHTS, np.eye(CLASSES)[LABELS], 0.0)
    np.testing.assert_allclose(result.loss, (0.7 * plain + 0.3 * values).mean(), rtol=1e-5)
    gradient = x.T @ (0.7 * plain_slopes + 0.3 * slopes) / BATCH
    np.testing.assert_allclose(result.gradients[0], gradient, rtol=1e-4, atol=1e-7)
    np.testing.assert_array_equal(teacher, WEIGHTS[::-1] * 2)


@pytest.mark.parametrize("parts", [1, 3])
def test_losses_are_multiplied_by_the_weights_of_their_examples(parts: int) -> None:
    model, weights = Model(), np.linspace(0, 2, BATCH).astype(np.float32)
    result = compiled(build(model, microbatches=parts))(IMAGES, LABELS, tf.constant(weights))
    x = IMAGES.numpy().reshape(-1, 4).astype(np.float64) / 255
    values, slopes = reference.cross_entropy(x @ WEIGHTS, np.eye(CLASSES)[LABELS], 0.0)
    np.testing.assert_allclose(result.loss, (weights * values).mean(), rtol=1e-6)
    np.testing.assert_allclose(result.gradients[0], x.T @ (weights[:, None] * slopes) / BATCH, rtol=1e-4, atol=1e-7)
    keras_loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    np.testing.assert_allclose(result.loss, keras_loss(LABELS, x @ WEIGHTS, sample_weight=weights), rtol=1e-6)
    assert float(result.accuracy) == np.mean(np.argmax(x @ WEIGHTS, axis=1) == LABELS.numpy())
