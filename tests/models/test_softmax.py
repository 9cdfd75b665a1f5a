"""Softmax regression against NumPy float64, and its start from zeros."""

import numpy as np
import pytest
import tensorflow as tf
from reference import models as reference

from tfcore.layers import Pixels
from tfcore.models import Softmax
from tfcore.modules import named_parameters

CIFAR = (32, 32, 3)
IMAGES = np.random.default_rng(0).integers(0, 256, (6, *CIFAR), np.uint8)


def test_it_starts_from_zeros() -> None:
    model = Softmax(CIFAR, 10, pixels=Pixels(), seed=0)
    shapes = {path: tuple(variable.shape) for path, variable in named_parameters(model).items()}
    assert shapes == {"logits.weights": (3072, 10), "logits.biases": (10,)}
    assert not any(np.any(variable.numpy()) for variable in model.variables)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [(tf.float32, 2e-6), (tf.bfloat16, 3e-2)])
def test_logits(dtype: tf.DType, tolerance: float, training: bool) -> None:
    model = Softmax(CIFAR, 10, pixels=Pixels(dtype=dtype), seed=0, initializer="he_normal")
    model.logits.biases.assign(np.linspace(-1, 1, 10))
    expected = reference.mlp(IMAGES, [(model.logits.weights.numpy(), model.logits.biases.numpy())])
    logits = tf.cast(model(tf.constant(IMAGES), training=training), tf.float64)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=tolerance * np.abs(expected).max())
