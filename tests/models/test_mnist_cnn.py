"""The network with one pool: its layers, a Keras network of the same weights, and what it refuses."""

from typing import Any

import numpy as np
import pytest
from reference import models as reference

from tfcore.errors import ConfigError
from tfcore.layers import Dropout, Pixels
from tfcore.layers.activation import ACTIVATIONS
from tfcore.layers.pool import POOLS
from tfcore.models import MnistCnn
from tfcore.modules import LayerRow, max_norms, named_parameters, outline

MNIST, SMALL = (28, 28, 1), (12, 9, 2)  # of odd width, so that the pool leaves a column over

SMOOTH = {"activation": "tanh", "pooling": "average"}
# Of the default only the loss is compared: among its many numbers a few may lie so near a kink that rounding takes them
# to the other side, where the gradient is another. The same network without kinks stands beside it.
SIZES: dict[str, tuple[tuple[int, int, int], dict[str, Any]]] = {
    "default": (MNIST, {}),
    "one filter": (SMALL, {"filters": (5,), "hidden": (7,)}),
    "six filters": ((15, 16, 1), {"filters": (3, 4, 5, 6, 7, 8), "hidden": (7, 6)}),
    "default without kinks": (MNIST, SMOOTH),
    "none hidden": (SMALL, {"filters": (3, 4), "hidden": ()}),
    **{f"{name} activation": (SMALL, {"filters": (3, 4), "hidden": (7,), "activation": name}) for name in ACTIVATIONS},
    **{f"{name} pool": (SMALL, {"filters": (3, 4), "hidden": (7,), "pooling": name}) for name in POOLS},
}


def build(image_shape: tuple[int, int, int] = MNIST, **sizes: Any) -> MnistCnn:
    return MnistCnn(image_shape, 10, pixels=Pixels(), seed=0, **sizes)


def test_the_layers_of_the_default_are_in_the_order_documented() -> None:
    rows = outline(build(), MNIST).layers
    assert rows == [
        LayerRow("pixels", "Pixels", (None, 28, 28, 1), 0, 0),
        LayerRow("conv_1", "Conv2D", (None, 26, 26, 32), 320, 0),
        LayerRow("relu_1", "Activation", (None, 26, 26, 32), 0, 0),
        LayerRow("conv_2", "Conv2D", (None, 24, 24, 64), 18_496, 0),
        LayerRow("relu_2", "Activation", (None, 24, 24, 64), 0, 0),
        LayerRow("pool", "MaxPool", (None, 12, 12, 64), 0, 0),
        LayerRow("dropout", "Dropout", (None, 12, 12, 64), 0, 0),
        LayerRow("flatten", "Flatten", (None, 9216), 0, 0),
        LayerRow("hidden_1", "Linear", (None, 100), 921_700, 0),
        LayerRow("hidden_relu_1", "Activation", (None, 100), 0, 0),
        LayerRow("hidden_dropout", "Dropout", (None, 100), 0, 0),
        LayerRow("logits", "Linear", (None, 10), 1_010, 0),
    ]
    assert sum(row.trainable for row in rows) == 941_526


@pytest.mark.sampled(7)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", SIZES)
def test_it_is_the_keras_network_of_the_same_weights(name: str, training: bool) -> None:
    image_shape, sizes = SIZES[name]
    model, theirs = build(image_shape, dropout=(0.0,), **sizes), reference.mnist_cnn(image_shape, **sizes)
    ours, expected = named_parameters(model), reference.variables(theirs)
    assert ours.keys() == expected.keys()
    rng = np.random.default_rng(0)
    for path, variable in ours.items():
        variable.assign_add(rng.normal(scale=0.1, size=variable.shape))
        expected[path].assign(variable.numpy())
    images, labels = rng.integers(0, 256, (16, *image_shape), np.uint8), rng.integers(0, 10, 16)
    loss, gradients = reference.loss_and_gradients(model, ours, images, labels, training=training)
    wanted_loss, wanted = reference.loss_and_gradients(theirs, expected, images, labels, training=training)
    np.testing.assert_allclose(loss, wanted_loss, rtol=1e-5)
    for path in ours if name != "default" else ():
        limit = 1e-4 * np.abs(wanted[path]).max()
        np.testing.assert_allclose(gradients[path], wanted[path], rtol=0, atol=limit, err_msg=path)


@pytest.mark.parametrize(("dropout", "rates"), [((0.3,), (0.3, 0.3)), ((0.1, 0.4), (0.1, 0.4)), (None, (0.25, 0.5))])
def test_the_rates_are_those_after_the_pool_and_before_the_logits(
    dropout: tuple[float, ...] | None, rates: tuple[float, float]
) -> None:
    model = build(SMALL, filters=(2,), **({"dropout": dropout} if dropout else {}))
    found = {layer.name: layer.rate for layer in model.submodules if isinstance(layer, Dropout)}
    assert found == {"dropout": rates[0], "hidden_dropout": rates[1]}


def test_no_longest_column_is_declared() -> None:
    assert max_norms(build()) == {}


@pytest.mark.parametrize(
    ("image_shape", "filters"), [((5, 28, 1), (4, 4)), ((28, 5, 1), (4, 4)), ((28, 28, 1), (2,) * 14)]
)
def test_pictures_too_small_for_the_convolutions_are_refused(
    image_shape: tuple[int, int, int], filters: tuple[int, ...]
) -> None:
    message = (
        rf"Pictures of {image_shape[0]}×{image_shape[1]} are too small for {len(filters)} convolutions without padding "
        "and a pool. Take fewer --filters"
    )
    with pytest.raises(ConfigError, match=message):
        build(image_shape, filters=filters)


def test_the_smallest_pictures_pass() -> None:
    rows = outline(build((6, 7, 1), filters=(2, 2), hidden=()), (6, 7, 1)).layers
    assert {row.path: row.output_shape for row in rows}["flatten"] == (None, 2)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"filters": ()}, "`filters` must be at least one number"),
        ({"filters": (4, 0)}, "`out_channels` must be an integer of at least 1. Received 0"),
        ({"hidden": (0,)}, "`out_features` must be an integer of at least 1. Received 0"),
        ({"dropout": (0.1, 1.0)}, "`dropout` must be at least 0 and below 1. Received 1.0"),
        ({"dropout": (0.1, 0.2, 0.3)}, "`dropout` must be one rate, or two"),
        ({"pooling": "mean"}, "`pooling` must be one of max, average, sum. Received 'mean'"),
    ],
)
def test_a_bad_size_is_refused(sizes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(SMALL, **sizes)
