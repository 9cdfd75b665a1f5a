"""The residual networks for small pictures: a Keras network of the same weights, and what they refuse."""

from typing import Any

import numpy as np
import pytest
from reference import models as reference

from tfcore.errors import ConfigError
from tfcore.layers import Pixels
from tfcore.models import ResNet20, ResNet32
from tfcore.modules import named_parameters, named_variables, outline

SMALL = (13, 10, 3)  # odd and even, so that padding and subsampling at stride 2 show
RNG = np.random.default_rng(0)


def build(image_shape: tuple[int, int, int] = SMALL, model: type = ResNet20, **sizes: Any) -> Any:
    return model(image_shape, 10, pixels=Pixels(), seed=0, **{"filters": (4, 6, 7)} | sizes)


def twins(shortcut: str, model: type = ResNet20) -> tuple[Any, Any, dict[str, Any], dict[str, Any]]:
    """The model and a Keras network with weights and averages of their own, and the variables of both by path."""
    ours = build(model=model, shortcut=shortcut)
    theirs = reference.resnet_cifar(SMALL, (4, 6, 7), model.group_blocks, shortcut)
    variables, expected = named_variables(ours), reference.variables(theirs)
    assert variables.keys() == expected.keys()
    for path, variable in variables.items():
        change = RNG.normal(scale=0.1, size=variable.shape)
        variable.assign_add(np.abs(change) if path.endswith("moving_variance") else change)
        expected[path].assign(variable.numpy())
    return ours, theirs, variables, expected


@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_its_logits_are_those_of_the_keras_network_of_the_same_weights(shortcut: str) -> None:
    ours, theirs, *_ = twins(shortcut)
    images = RNG.integers(0, 256, (8, *SMALL), np.uint8)
    expected = theirs(images.astype(np.float64), training=False).numpy()
    np.testing.assert_allclose(ours(images, training=False), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.thorough
@pytest.mark.parametrize("shortcut", ["A", "B"])
@pytest.mark.parametrize("model", [ResNet20, ResNet32])
def test_its_training_is_that_of_the_keras_network_of_the_same_weights(model: type, shortcut: str) -> None:
    ours, theirs, variables, expected = twins(shortcut, model)
    images, labels = RNG.integers(0, 256, (16, *SMALL), np.uint8), RNG.integers(0, 10, 16)
    parameters = named_parameters(ours)
    loss, gradients = reference.loss_and_gradients(ours, parameters, images, labels, training=True)
    trained = {path: expected[path] for path in parameters}
    wanted_loss, wanted = reference.loss_and_gradients(theirs, trained, images, labels, training=True)
    np.testing.assert_allclose(loss, wanted_loss, rtol=1e-4)
    for path in ("logits.weights", "block_3_3.conv_2.weights"):  # before a ReLU that rounding could switch
        limit = 1e-3 * np.abs(wanted[path]).max()
        np.testing.assert_allclose(gradients[path], wanted[path], rtol=0, atol=limit, err_msg=path)
    for path in (path for path in variables if path.endswith("moving_mean")):
        np.testing.assert_allclose(variables[path], expected[path].numpy(), rtol=1e-4, atol=1e-4, err_msg=path)


def test_the_table_of_its_layers_shows_what_halves_the_picture() -> None:
    rows = {row.path: (row.kind, row.output_shape[1:]) for row in outline(build(), SMALL).layers}
    assert rows["block_1_1.conv_1"] == ("Conv2D", (13, 10, 4))
    assert rows["block_2_1.conv_1"] == ("Conv2D", (7, 5, 6))
    assert rows["block_2_1.shortcut"] == ("Subsampled", (7, 5, 6))
    assert rows["block_3_1.shortcut"] == ("Subsampled", (4, 3, 7))
    assert rows["relu_3_3"] == ("Activation", (4, 3, 7))
    assert "block_1_1.shortcut" not in rows


@pytest.mark.parametrize(
    ("image_shape", "sizes", "message"),
    [
        (SMALL, {"shortcut": "C"}, "`shortcut` must be one of A, B. Received 'C'"),
        (SMALL, {"filters": ()}, "`filters` must be at least one number"),
        (SMALL, {"filters": (4, 0, 4), "shortcut": "B"}, "`out_channels` must be an integer of at least 1"),
        (SMALL, {"filters": (6, 4)}, "cannot leave out channels: block 'block_2_1' has 4 filters for 6 .*shortcut=B"),
        ((3, 32, 3), {}, r"Pictures of 3×32 are too small for a network that makes them 4 times smaller. Take fewer"),
    ],
)
def test_a_bad_size_is_refused_in_one_line(
    image_shape: tuple[int, int, int], sizes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        build(image_shape, **sizes)
    assert "\n" not in str(caught.value)


def test_the_smallest_pictures_pass() -> None:
    assert build((4, 5, 1))(np.zeros((2, 4, 5, 1), np.uint8), training=False).shape == (2, 10)
