"""--class_weights: what they change in training, and refusals."""

import numpy as np
import pytest
import tensorflow as tf

from tfcore.build.optimizer import build_loss, training_loss
from tfcore.config import RunConfig
from tfcore.data.dataset import Split
from tfcore.errors import ConfigError

LOGITS, LABELS = tf.constant([[1.0, 2.0], [0.5, 0.0], [3.0, 1.0]]), np.array([0, 0, 1], np.int32)
EXAMPLES = Split(np.zeros([3, 2, 2, 1], np.uint8), LABELS)


def losses(**settings: str) -> np.ndarray:
    return training_loss(RunConfig(**settings), EXAMPLES, 2)(LOGITS, tf.constant(LABELS)).numpy()  # type: ignore[arg-type]


def test_none_by_default() -> None:
    np.testing.assert_array_equal(losses(), build_loss(RunConfig())(LOGITS, tf.constant(LABELS)).numpy())


def test_numbers_and_balanced_weights() -> None:
    np.testing.assert_allclose(losses(class_weights="2,0.5"), losses() * [2, 2, 0.5], rtol=1e-6)
    np.testing.assert_allclose(losses(class_weights="balanced"), losses() * [0.75, 0.75, 1.5], rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("balance", "takes balanced, or numbers such as 1,2,0.5. Received 'balance'"),
        ("1,x", "takes balanced, or numbers"),
        ("1,nan", "takes balanced, or numbers"),
        ("1,-2", "must be at least 0"),
        ("0,0", "must be above 0"),
        ("1,2,3", "a number for each of the 2 classes. Received 3"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        losses(class_weights=text)
