"""The networks of several sizes: where they halve the picture, what they drop and what they refuse."""

from typing import Any

import numpy as np
import pytest

from tfcore import models
from tfcore.errors import ConfigError
from tfcore.layers import Dropout, Pixels
from tfcore.modules import outline

SMALL: dict[str, dict[str, Any]] = {
    "ResNet18": {"filters": (2, 2, 3, 3)},
    "ResNet34": {"filters": (2, 2, 3, 3)},
    "ResNet50": {"filters": (2, 2, 3, 3)},
    "WideResNet": {"depth": 10, "width": 1},
    "MobileNet": {"width": 0.01},
}


def build(name: str, image_shape: tuple[int, int, int], **sizes: Any) -> Any:
    return getattr(models, name)(image_shape, 10, pixels=Pixels(), seed=0, **SMALL[name] | sizes)


def sides(name: str, image_shape: tuple[int, int, int], **sizes: Any) -> list[int]:
    """The heights that pictures have on their way through the network, largest first."""
    rows = outline(build(name, image_shape, **sizes), image_shape).layers
    found = [row.output_shape[1] for row in rows if len(row.output_shape) == 4]
    return sorted({height for height in found if height is not None}, reverse=True)


@pytest.mark.parametrize(
    ("name", "image_shape", "sizes", "expected"),
    [
        ("ResNet18", (32, 32, 3), {}, [32, 16, 8, 4]),
        ("ResNet34", (28, 28, 1), {}, [28, 14, 7, 4]),
        ("ResNet50", (224, 224, 3), {"stem": 224}, [224, 112, 56, 28, 14, 7]),
        ("WideResNet", (33, 31, 3), {}, [33, 17, 9]),
        ("MobileNet", (32, 32, 3), {}, [32, 16, 8, 4, 2]),
        ("MobileNet", (224, 224, 3), {"stem": 224}, [224, 112, 56, 28, 14, 7]),
    ],
)
def test_the_sides_of_the_picture(
    name: str, image_shape: tuple[int, int, int], sizes: dict[str, Any], expected: list[int]
) -> None:
    assert sides(name, image_shape, **sizes) == expected


@pytest.mark.parametrize("place", ["block_2_1", "block_2_2"])
def test_a_wide_block_normalizes_before_its_convolutions(place: str) -> None:
    block = getattr(build("WideResNet", (8, 8, 3), depth=16), place)
    x = np.random.default_rng(0).normal(size=(2, 8, 8, block.conv_1.in_channels)).astype(np.float32)

    def through(x: Any, *names: str) -> Any:
        for name in names:
            x = getattr(block, name)(x, training=False)
        return x

    h = through(x, "norm_1", "relu_1")
    beside = x if place == "block_2_2" else through(h, "shortcut")
    expected = through(h, "conv_1", "norm_2", "relu_2", "conv_2") + beside
    np.testing.assert_allclose(block(x, training=False), expected, rtol=1e-6)


def test_the_dropout_of_a_wide_network_is_between_its_convolutions() -> None:
    model = build("WideResNet", (8, 8, 3), dropout=0.3, depth=16)
    found = {layer.name: layer.rate for layer in model.submodules if isinstance(layer, Dropout)}
    assert found == {f"block_{group}_{number}_dropout": 0.3 for group in (1, 2, 3) for number in (1, 2)}


@pytest.mark.parametrize(
    ("name", "image_shape", "sizes", "message"),
    [
        ("ResNet18", (7, 9, 3), {}, r"Pictures of 7×9 are too small .* 8 times smaller\. Take larger pictures\.$"),
        ("ResNet50", (28, 28, 1), {"stem": 224}, r"28×28 are too small .* 32 times smaller.*, or stem=32\.$"),
        ("ResNet34", (32, 32, 3), {"stem": 64}, r"`stem` must be one of 32, 224\. Received '64'"),
        ("ResNet18", (32, 32, 3), {"filters": (4, 4)}, "`filters` must be 4 numbers, one for each group. Received 2"),
        ("WideResNet", (3, 32, 3), {}, r"Pictures of 3×32 are too small"),
        ("WideResNet", (32, 32, 3), {"depth": 18}, "`depth` must be 10 or a multiple of 6 more.*Received 18"),
        ("WideResNet", (32, 32, 3), {"depth": 4}, "`depth` must be 10 or a multiple of 6 more.*Received 4"),
        ("WideResNet", (32, 32, 3), {"depth": 6 * 10**8 + 4}, "`depth` must be at most"),
        ("WideResNet", (32, 32, 3), {"width": 0}, "`width` must be an integer of at least 1"),
        ("WideResNet", (32, 32, 3), {"dropout": 1.0}, "`dropout` must be at least 0 and below 1"),
        ("MobileNet", (12, 12, 3), {}, r"Pictures of 12×12 are too small .* 16 times smaller"),
        ("MobileNet", (28, 28, 3), {"stem": 224}, r"are too small .* 32 times smaller.*stem=32"),
        ("MobileNet", (32, 32, 3), {"width": 0.0}, "`width` must be above 0"),
        ("MobileNet", (32, 32, 3), {"stem": 0}, "`stem` must be one of 32, 224"),
    ],
)
def test_a_bad_size_is_refused_in_one_line(
    name: str, image_shape: tuple[int, int, int], sizes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        build(name, image_shape, **sizes)
    assert "\n" not in str(caught.value)
