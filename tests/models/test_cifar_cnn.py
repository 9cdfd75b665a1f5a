"""The network of blocks: its layers, a Keras network of the same weights, and what it refuses."""

from typing import Any

import numpy as np
import pytest
from reference import models as reference

from tfcore.errors import ConfigError
from tfcore.layers import Dropout, Pixels
from tfcore.layers.activation import ACTIVATIONS
from tfcore.layers.pool import POOLS
from tfcore.models import CifarCnn
from tfcore.modules import LayerRow, max_norms, named_parameters, named_variables, outline

CIFAR, SMALL = (32, 32, 3), (12, 9, 3)  # of odd width, so that pools leave a column over

THREE: dict[str, Any] = {"filters": (3, 4, 5), "hidden": (7,)}
SMOOTH = {"activation": "tanh", "pooling": "average"}
# Of the default only the loss is compared: among its many numbers a few lie so near a kink that rounding takes them to
# the other side, where the gradient is another. The same network without kinks stands beside it.
SIZES: dict[str, tuple[tuple[int, int, int], dict[str, Any]]] = {
    "default": (CIFAR, {}),
    "one filter": (SMALL, {"filters": (5,), "hidden": (7,)}),
    "two filters": (SMALL, {"filters": (5, 4), "hidden": (7, 6, 5)}),
    "six filters": ((16, 18, 3), {"filters": (3, 4, 5, 6, 7, 8), "hidden": (7,)} | SMOOTH),
    "default without kinks": (CIFAR, SMOOTH),
    "none hidden": (SMALL, {"filters": (3, 4, 5), "hidden": ()}),
    **{f"{name} activation": (SMALL, THREE | {"activation": name}) for name in ACTIVATIONS},
    **{f"{name} pool": (SMALL, THREE | {"pooling": name}) for name in POOLS},
}  # fmt: skip


def build(image_shape: tuple[int, int, int] = CIFAR, **sizes: Any) -> CifarCnn:
    return CifarCnn(image_shape, 10, pixels=Pixels(), seed=0, **sizes)


def disturb(model: CifarCnn) -> None:
    """Gives every variable a value of its own; the averaged variances stay above zero."""
    rng = np.random.default_rng(1)
    for path, variable in named_variables(model).items():
        change = rng.normal(scale=0.1, size=variable.shape)
        variable.assign_add(np.abs(change) if path.endswith("moving_variance") else change)


def test_the_layers_of_the_default_are_in_the_order_documented() -> None:
    def block(number: int, side: int, channels: int, parameters: int, *, pooled: bool) -> list[LayerRow]:
        before, after = (None, side, side, channels), (None, side // 2, side // 2, channels)
        after = after if pooled else before
        return [
            LayerRow(f"conv_{number}", "Conv2D", before, parameters, 0),
            LayerRow(f"relu_{number}", "Activation", before, 0, 0),
            *([LayerRow(f"pool_{number}", "MaxPool", after, 0, 0)] if pooled else []),
            LayerRow(f"dropout_{number}", "Dropout", after, 0, 0),
            LayerRow(f"norm_{number}", "BatchNorm", after, 2 * channels, 2 * channels),
        ]

    def hidden(number: int, units: int, parameters: int) -> list[LayerRow]:
        return [
            LayerRow(f"hidden_{number}", "Linear", (None, units), parameters, 0),
            LayerRow(f"hidden_relu_{number}", "Activation", (None, units), 0, 0),
            LayerRow(f"hidden_dropout_{number}", "Dropout", (None, units), 0, 0),
            LayerRow(f"hidden_norm_{number}", "BatchNorm", (None, units), 2 * units, 2 * units),
        ]

    rows = outline(build(), CIFAR).layers
    assert rows == [
        LayerRow("pixels", "Pixels", (None, 32, 32, 3), 0, 0),
        *block(1, 32, 32, 896, pooled=False),
        *block(2, 32, 64, 18_496, pooled=True),
        *block(3, 16, 64, 36_928, pooled=True),
        *block(4, 8, 128, 73_856, pooled=False),
        LayerRow("flatten", "Flatten", (None, 8192), 0, 0),
        LayerRow("flat_dropout", "Dropout", (None, 8192), 0, 0),
        *hidden(1, 256, 2_097_408),
        *hidden(2, 128, 32_896),
        LayerRow("logits", "Linear", (None, 10), 1_290, 0),
    ]
    assert sum(row.parameters for row in rows) == 2_264_458
    assert sum(row.trainable for row in rows) == 2_263_114
    assert sum(row.non_trainable for row in rows) == 1_344


@pytest.mark.sampled(7)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", SIZES)
def test_it_is_the_keras_network_of_the_same_weights(name: str, training: bool) -> None:
    image_shape, sizes = SIZES[name]
    model, theirs = build(image_shape, dropout=(0.0,), **sizes), reference.cifar_cnn(image_shape, **sizes)
    disturb(model)
    ours, expected = named_variables(model), reference.variables(theirs)
    assert ours.keys() == expected.keys()
    for path, variable in expected.items():
        variable.assign(ours[path].numpy())
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (16, *image_shape), np.uint8), rng.integers(0, 10, 16)
    parameters = named_parameters(model)
    loss, gradients = reference.loss_and_gradients(model, parameters, images, labels, training=training)
    trained = {path: expected[path] for path in parameters}
    wanted_loss, wanted = reference.loss_and_gradients(theirs, trained, images, labels, training=training)
    np.testing.assert_allclose(loss, wanted_loss, rtol=1e-5)
    for path in parameters if name != "default" else ():
        limit = 2e-4 * np.abs(wanted[path]).max()
        np.testing.assert_allclose(gradients[path], wanted[path], rtol=0, atol=limit, err_msg=path)
    for path in ours:
        if path.endswith("moving_mean"):
            np.testing.assert_allclose(ours[path], expected[path].numpy(), rtol=1e-5, atol=1e-5, err_msg=path)


@pytest.mark.parametrize(("dropout", "rates"), [((0.3,), (0.3, 0.3)), ((0.1, 0.4), (0.1, 0.4)), (None, (0.2, 0.2))])
def test_the_rates_are_those_after_convolutions_and_after_linear_layers(
    dropout: tuple[float, ...] | None, rates: tuple[float, float]
) -> None:
    sizes = {"filters": (2, 2), "hidden": (3, 3)} | ({"dropout": dropout} if dropout else {})
    found = {layer.name: layer.rate for layer in build(SMALL, **sizes).submodules if isinstance(layer, Dropout)}
    convolutions = dict.fromkeys(["dropout_1", "dropout_2", "flat_dropout"], rates[0])
    assert found == convolutions | dict.fromkeys(["hidden_dropout_1", "hidden_dropout_2"], rates[1])


def test_the_hidden_layers_declare_the_longest_column_of_their_weights() -> None:
    assert max_norms(build()) == {"hidden_1.weights": 3.0, "hidden_2.weights": 3.0}
    assert max_norms(build(SMALL, filters=(2,), hidden=(4,), max_norm=0.5)) == {"hidden_1.weights": 0.5}
    assert max_norms(build(SMALL, filters=(2,), hidden=())) == {}


@pytest.mark.parametrize(
    ("image_shape", "filters"), [((2, 2, 3), (4,) * 4), ((32, 3, 3), (4,) * 4), ((32, 32, 3), (4,) * 8)]
)
def test_pictures_too_small_for_the_pools_are_refused(
    image_shape: tuple[int, int, int], filters: tuple[int, ...]
) -> None:
    message = (
        rf"Pictures of {image_shape[0]}×{image_shape[1]} are too small for {len(filters) - 2} pools that halve them. "
        "Take fewer --filters"
    )
    with pytest.raises(ConfigError, match=message):
        build(image_shape, filters=filters)


def test_the_smallest_pictures_pass() -> None:
    rows = outline(build((4, 5, 1), filters=(2,) * 4, hidden=()), (4, 5, 1)).layers
    assert {row.path: row.output_shape for row in rows}["flatten"] == (None, 2)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"filters": ()}, "`filters` must be at least one number"),
        ({"filters": (4, 0)}, "`out_channels` must be an integer of at least 1. Received 0"),
        ({"hidden": (0,)}, "`out_features` must be an integer of at least 1. Received 0"),
        ({"dropout": (0.1, 1.0)}, "`dropout` must be at least 0 and below 1. Received 1.0"),
        ({"dropout": ()}, "`dropout` must be one rate, or two"),
        ({"pooling": "mean"}, "`pooling` must be one of max, average, sum. Received 'mean'"),
        ({"max_norm": 0.0}, "`max_norm` must be above 0. Received 0.0"),
    ],
)
def test_a_bad_size_is_refused(sizes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(SMALL, **sizes)
