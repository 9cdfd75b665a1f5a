"""Evaluation: every example is scored exactly once, for any batch size, in one trace."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfcore.data.batches import EvaluationBatches
from tfcore.data.dataset import Split
from tfcore.data.examples import Examples
from tfcore.losses import cross_entropy
from tfcore.metrics import Scores
from tfcore.training import evaluation as module
from tfcore.training.evaluation import Evaluation

CLASSES, EXAMPLES = 4, 23
generator = np.random.default_rng(5)
IMAGES = generator.integers(0, 256, (EXAMPLES, 2, 3, 1), np.uint8)
LABELS = generator.integers(0, CLASSES, EXAMPLES).astype(np.int32)
WEIGHTS = generator.standard_normal((6, CLASSES)).astype(np.float32)


class Model:
    """A linear model that counts its Python calls."""

    def __init__(self) -> None:
        self.python_calls = 0
        self.weights = tf.Variable(WEIGHTS)

    def __call__(self, images: tf.Tensor, *, training: bool) -> tf.Tensor:
        assert training is False
        self.python_calls += 1
        return tf.matmul(tf.reshape(images, [-1, 6]) / 255, self.weights)


def batches(batch_size: int, count: int = EXAMPLES) -> EvaluationBatches:
    examples = Examples(Split(IMAGES[:count], LABELS[:count]).batch_reader())
    return EvaluationBatches(examples, batch_size=batch_size)


def evaluation(model: Model | None = None) -> Evaluation:
    return Evaluation(model or Model(), cross_entropy, classes=CLASSES)


def plain(count: int = EXAMPLES) -> Scores:
    """The same scores in NumPy, one example at a time."""
    losses, hits = [], []
    confusion = np.zeros((CLASSES, CLASSES), np.int64)
    for image, label in zip(IMAGES[:count].reshape(count, 6), LABELS[:count], strict=True):
        logits = (image / 255) @ WEIGHTS.astype(np.float64)
        losses.append(np.log(np.exp(logits).sum()) - logits[label])
        hits.append(label == logits.argmax())
        confusion[label, logits.argmax()] += 1
    return Scores(count, float(np.mean(losses)), float(np.mean(hits)), 1.0, CLASSES, confusion)


def probabilities() -> np.ndarray:
    """Of all examples, in NumPy."""
    exponentials = np.exp(IMAGES.reshape(EXAMPLES, 6) / 255 @ WEIGHTS.astype(np.float64))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def nodes(function: Any) -> list[Any]:
    """Of a concrete function's graph, and of the functions in it."""
    graph = function.graph.as_graph_def()
    return [*graph.node, *(node for inner in graph.library.function for node in inner.node_def)]


def assert_equal(scores: Scores, expected: Scores) -> None:
    assert (scores.examples, scores.k, scores.top_k) == (expected.examples, expected.k, expected.top_k)
    assert scores.accuracy == pytest.approx(expected.accuracy, rel=1e-12)
    assert scores.loss == pytest.approx(expected.loss, rel=1e-6)
    np.testing.assert_array_equal(scores.confusion, expected.confusion)


@pytest.mark.parametrize("batch_size", [1, 4, 22, 23, 24, 100])
def test_scores_are_those_of_plain_numpy_whatever_the_batch_size(batch_size: int) -> None:
    assert_equal(evaluation()(batches(batch_size)), plain())


@pytest.mark.parametrize("batch_size", [1, 4, 23, 100])
def test_predictions_are_of_every_example_in_order(batch_size: int) -> None:
    scores, predictions = evaluation().with_predictions(batches(batch_size))
    assert_equal(scores, plain())
    assert (predictions.every, predictions.examples, predictions.subset) == (1, EXAMPLES, "")
    np.testing.assert_allclose(predictions.probabilities, probabilities(), rtol=1e-5)
    assert predictions.probabilities.dtype == np.float32


@pytest.mark.sampled(6)
@pytest.mark.parametrize("batch_size", [1, 4, 5, 22, 23, 24, 100])
@pytest.mark.parametrize("most", [1, 2, 3, 7, 22, 23])
def test_too_many_predictions_are_evenly_spaced_ones_within_the_bound(
    batch_size: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    row_bytes = 4 * CLASSES
    monkeypatch.setattr(module, "PREDICTIONS_BYTES", most * row_bytes)
    scores, predictions = evaluation().with_predictions(batches(batch_size))
    assert_equal(scores, plain())
    np.testing.assert_allclose(predictions.probabilities, probabilities()[:: predictions.every], rtol=1e-5)
    padded = -(-EXAMPLES // batch_size) * batch_size
    assert predictions.every == -(-padded // most)
    assert predictions.probabilities.nbytes <= module.PREDICTIONS_BYTES
    if predictions.every > 1:
        assert predictions.subset == f"1 in {predictions.every} of 23 examples"


def test_probabilities_of_bfloat16_logits_are_computed_in_float32() -> None:
    model = Model()
    halved = Evaluation(lambda *x, **how: tf.cast(model(*x, **how), tf.bfloat16), cross_entropy, classes=CLASSES)
    _, predictions = halved.with_predictions(batches(8))
    logits = tf.cast(tf.cast(model(tf.constant(IMAGES), training=False), tf.bfloat16), tf.float32)
    np.testing.assert_allclose(predictions.probabilities, tf.nn.softmax(logits), rtol=1e-6)


def test_scores_alone_hold_no_predictions() -> None:
    evaluate = evaluation()
    evaluate(batches(8))
    evaluate.with_predictions(batches(8))
    names = {
        kind: " ".join(node.op for function in run._list_all_concrete_functions() for node in nodes(function))
        for kind, run in {"alone": evaluate.run, "keeping": evaluate.run_keeping}.items()
    }
    assert "TensorList" in names["keeping"]
    assert not any(word in names["alone"] for word in ("TensorList", "Softmax "))


@pytest.mark.parametrize("batch_size", [1, 5, 8, 23, 50])
def test_every_example_is_seen_once(batch_size: int) -> None:
    seen = [row for images, _, weights in batches(batch_size) for row in images.numpy()[weights.numpy() > 0]]
    np.testing.assert_array_equal(np.array(seen), IMAGES)
    shapes = {(images.shape, labels.shape, weights.shape) for images, labels, weights in batches(batch_size)}
    assert shapes == {((batch_size, 2, 3, 1), (batch_size,), (batch_size,))}


def test_one_trace_serves_splits_of_any_length_and_one_the_predictions(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model()
    evaluate = evaluation(model)
    for count in (EXAMPLES, 8, 3, EXAMPLES):
        assert_equal(evaluate(batches(8, count)), plain(count))
    assert model.python_calls == evaluate.run.experimental_get_tracing_count() == 1
    for most in (1000, 10, 2):
        monkeypatch.setattr(module, "PREDICTIONS_BYTES", most * 4 * CLASSES)
        for count in (EXAMPLES, 8, 3, EXAMPLES):
            assert_equal(evaluate.with_predictions(batches(8, count))[0], plain(count))
    assert model.python_calls == 2
    assert evaluate.run_keeping.experimental_get_tracing_count() == 1


def test_an_evaluation_starts_from_nothing_and_sees_the_present_weights() -> None:
    model = Model()
    evaluate = evaluation(model)
    before = evaluate(batches(8))
    assert evaluate(batches(8)).loss == before.loss
    model.weights.assign(tf.zeros([6, CLASSES]))
    assert evaluate(batches(8)).loss == pytest.approx(np.log(CLASSES), rel=1e-6)


def test_a_padded_row_whose_loss_is_nan_spoils_nothing() -> None:
    def loss(logits: tf.Tensor, labels: tf.Tensor) -> Any:
        losses = cross_entropy(logits, labels)
        return tf.where(tf.range(8) < 7, losses, float("nan"))  # row 7 is padding

    scores = Evaluation(Model(), loss, classes=CLASSES)(batches(8, 7))
    assert scores.loss == pytest.approx(plain(7).loss, rel=1e-6)
