"""The vision transformer: a NumPy forward of the same weights, its positions, rates and refusals."""

from typing import Any

import numpy as np
import pytest
from reference import models as reference

from tfcore.errors import ConfigError
from tfcore.layers import Pixels, StochasticDepth
from tfcore.models import ViT
from tfcore.modules import named_variables, outline

SMALL = (12, 8, 3)
SIZES: dict[str, Any] = {"width": 16, "depth": 2, "heads": 4}
RNG = np.random.default_rng(0)


def build(image_shape: tuple[int, int, int] = SMALL, **sizes: Any) -> ViT:
    return ViT(image_shape, 10, pixels=Pixels(), seed=0, **SIZES | sizes)


@pytest.mark.parametrize("sizes", [{}, {"patch": 2, "hidden": 5, "heads": 1}], ids=["patches of 4", "patches of 2"])
def test_its_logits_are_those_of_the_reference_of_the_same_weights(sizes: dict[str, Any]) -> None:
    model = build(**sizes)
    for variable in named_variables(model).values():
        variable.assign_add(RNG.normal(scale=0.2, size=variable.shape))
    weights = {path: variable.numpy().astype(np.float64) for path, variable in named_variables(model).items()}
    images = RNG.integers(0, 256, (5, *SMALL), np.uint8)
    arguments = {"patch": 4, "depth": 2, "heads": 4} | {name: sizes[name] for name in sizes.keys() - {"hidden"}}
    expected = reference.vit(images, weights, **arguments)
    for training in (True, False):
        logits = model(images, training=training)
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_its_layers_are_in_the_order_documented() -> None:
    rows = outline(build(depth=1, stochastic_depth=0.1), SMALL).layers
    assert [(row.path, row.kind, row.output_shape[1:]) for row in rows] == [
        ("pixels", "Pixels", SMALL),
        ("patches", "Conv2D", (3, 2, 16)),
        ("tokens", "Tokens", (6, 16)),
        ("attention_1.norm", "LayerNorm", (6, 16)),
        ("attention_1.attention.qkv", "Linear", (6, 48)),
        ("attention_1.attention.result", "Linear", (6, 16)),
        ("attention_1.drop", "StochasticDepth", (6, 16)),
        ("mlp_1.norm", "LayerNorm", (6, 16)),
        ("mlp_1.hidden", "Linear", (6, 64)),
        ("mlp_1.gelu", "Activation", (6, 64)),
        ("mlp_1.result", "Linear", (6, 16)),
        ("mlp_1.drop", "StochasticDepth", (6, 16)),
        ("norm", "LayerNorm", (6, 16)),
        ("pool", "TokenMean", (16,)),
        ("logits", "Linear", (10,)),
    ]


def test_the_rate_of_stochastic_depth_grows_with_the_block() -> None:
    model = build(depth=4, stochastic_depth=0.2)
    found = {layer.name: layer.rate for layer in model.submodules if isinstance(layer, StochasticDepth)}
    expected = {f"{kind}_{number}_drop": 0.05 * number for kind in ("attention", "mlp") for number in (1, 2, 3, 4)}
    assert found == pytest.approx(expected)
    assert not any(isinstance(layer, StochasticDepth) for layer in build().submodules)


def test_pictures_of_one_patch_and_tokens_of_four_numbers_pass() -> None:
    model = build((4, 4, 1), width=4, heads=2)
    assert np.isfinite(model(np.zeros((2, 4, 4, 1), np.uint8), training=False)).all()


@pytest.mark.parametrize(
    ("image_shape", "sizes", "message"),
    [
        ((28, 30, 1), {}, r"`patch` must divide the pictures' height and width, which are 28×30\. Received 4"),
        ((3, 3, 1), {}, r"which are 3×3\. Received 4"),
        (SMALL, {"patch": 0}, "`patch` must be an integer of at least 1"),
        (SMALL, {"width": 18, "heads": 2}, "`width` must be a multiple of 4"),
        (SMALL, {"heads": 3}, "`heads` must divide `features`, which is 16. Received 3"),
        (SMALL, {"depth": 0}, "`depth` must be an integer of at least 1"),
        (SMALL, {"depth": 10**9}, "`depth` must be at most 1000"),
        (SMALL, {"hidden": 0}, "`hidden` must be an integer of at least 1"),
        (SMALL, {"stochastic_depth": 1.0}, "`stochastic_depth` must be at least 0 and below 1"),
    ],
)
def test_a_bad_size_is_refused_in_one_line(
    image_shape: tuple[int, int, int], sizes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        build(image_shape, **sizes)
    assert "\n" not in str(caught.value)
