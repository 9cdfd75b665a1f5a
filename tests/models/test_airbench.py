"""The network of airbench94: its logits against the formula, and the pictures that it refuses."""

import numpy as np
import pytest
import tensorflow as tf
from reference import layers as reference

from tfcore.errors import ConfigError
from tfcore.layers import Pixels
from tfcore.models import Airbench
from tfcore.modules import named_parameters

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 9, 11, 3), np.uint8)


def model(**sizes: object) -> Airbench:
    found = Airbench((9, 11, 3), 5, pixels=Pixels(), seed=0, **{"filters": (4, 6)} | sizes)  # type: ignore[arg-type]
    rng = np.random.default_rng(1)
    for parameter in named_parameters(found).values():
        parameter.assign_add(rng.normal(scale=0.1, size=parameter.shape))
    return found


def test_the_logits_are_those_of_the_formula() -> None:
    net, gelu = model(), reference.ACTIVATIONS["gelu"]
    x = reference.conv2d(IMAGES / 255, net.whitening.weights.numpy(), net.whitening.biases.numpy(), 1, "valid")
    x = gelu(x)
    for group in (net.group_1, net.group_2):
        x = reference.pool(reference.conv2d(x, group.conv_1.weights.numpy(), np.zeros(1), 1, "same"), 2, "max")
        x = gelu(reference.batch_norm(x, np.ones(1), 8 * group.norm_1.offset.numpy().astype(np.float64), 1e-12))
        x = reference.conv2d(x, group.conv_2.weights.numpy(), np.zeros(1), 1, "same")
        x = gelu(reference.batch_norm(x, np.ones(1), 8 * group.norm_2.offset.numpy().astype(np.float64), 1e-12))
    expected = x.max(axis=(1, 2)) @ net.logits.weights.numpy().astype(np.float64) / 9
    np.testing.assert_allclose(net(tf.constant(IMAGES), training=True), expected, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(4, 9), (9, 4)])
def test_pictures_without_a_pixel_in_the_end_are_refused(height: int, width: int) -> None:
    message = rf"Pictures of {height}×{width} are too small for a whitening and 2 pools that halve them\. Take fewer"
    with pytest.raises(ConfigError, match=message):
        Airbench((height, width, 3), 5, pixels=Pixels(), seed=0, filters=(4, 6))
    Airbench((5, 5, 3), 5, pixels=Pixels(), seed=0, filters=(4, 6))(tf.zeros([1, 5, 5, 3]), training=False)
