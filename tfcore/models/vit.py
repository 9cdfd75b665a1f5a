"""The vision transformer."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfcore import checks
from tfcore.errors import ConfigError
from tfcore.layers import (
    Activation,
    Conv2D,
    LayerNorm,
    Linear,
    MultiHeadAttention,
    Pixels,
    Sequential,
    StochasticDepth,
)  # fmt: skip
from tfcore.models import blocks, sizes
from tfcore.seeds import Key

_LONGEST_WAVE = 10_000.0


class ViT(Sequential):
    """A transformer over the patches of a picture.

        patches        convolution of patch × patch pixels with that stride → tokens, with their positions added
        attention_i    x + drop(attention(norm(x)))
        mlp_i          x + drop(linear(gelu(linear(norm(x)))))
        logits         norm → mean over the tokens → linear

    Parameters for 32×32×3 pictures, patches of 4 and 10 classes:

        tiny, the default                 width 192, depth 12, heads 3     5,350,090
        small                             width 384, depth 12, heads 6    21,317,002

    The positions are not learned: a quarter of a token's numbers each are the sine and cosine of its column and of its
    row, at wavelengths from 2π to 10,000 · 2π. So every place is told apart from the first step on, there is nothing to
    resize for pictures of another size, and the simple ViT does the same; the first ViT, timm and torchvision learn
    them. It also takes the mean of all tokens where those have a token for the class.

    Args:
        image_shape: (H, W, C), H and W multiples of `patch`.
        classes: number of classes.
        pixels: the scaling layer; all layers compute in the dtype of its result.
        seed: the run's seed.
        patch: height and width of the patches, in pixels; the papers take 16 for pictures of 224.
        width: length of a token, a multiple of 4.
        depth: number of blocks of an attention and an MLP.
        heads: of each attention, a divisor of `width`.
        hidden: units in the hidden layer of each MLP; None for 4 · width.
        stochastic_depth: rate of `StochasticDepth` in the last block, 0 <= stochastic_depth < 1; it grows with the
            block, i / depth of it in block i.
        initializer: of all weights, a name accepted by `initializers.find`. Biases start at zero.

    Raises:
        ConfigError: an argument is out of range, or the patches do not divide the pictures.

    Source: Dosovitskiy et al. 2020, arXiv 2010.11929, equations 1 to 4; Beyer, Zhai & Kolesnikov 2022, arXiv 2205.01580
        (positions, mean); Touvron et al. 2020, arXiv 2012.12877, table 1 (tiny and small).
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        *,
        pixels: Pixels,
        seed: int,
        patch: int = 4,
        width: int = 192,
        depth: int = 12,
        heads: int = 3,
        hidden: int | None = None,
        stochastic_depth: float = 0.0,
        initializer: str = "glorot_uniform",
    ) -> None:
        hidden = 4 * width if hidden is None else hidden
        _check(image_shape, patch, width, hidden, stochastic_depth)
        sizes.depth_in_range(depth)
        shared: dict[str, Any] = {"seed": seed, "initializer": initializer}
        cut = Conv2D(image_shape[2], width, patch, name="patches", stride=patch, padding="valid", **shared)
        layers: blocks.Layers = {"pixels": pixels, "patches": cut, "tokens": Tokens()}
        for number in range(1, depth + 1):
            rate = stochastic_depth * number / depth
            for name, body in (
                (f"attention_{number}", _attention(f"attention_{number}", width, heads, **shared)),
                (f"mlp_{number}", _mlp(f"mlp_{number}", width, hidden, **shared)),
            ):
                drop: blocks.Layers = {"drop": StochasticDepth(rate, name=f"{name}_drop")} if rate else {}
                norm: blocks.Layers = {"norm": LayerNorm(width, name=f"{name}_norm")}
                layers[name] = blocks.Block(norm | body | drop, name=name)
        layers |= {"norm": LayerNorm(width, name="norm"), "pool": TokenMean()}
        layers["logits"] = Linear(width, classes, name="logits", **shared)
        super().__init__(layers, name="vit")


def _check(image_shape: tuple[int, int, int], patch: int, width: int, hidden: int, stochastic_depth: float) -> None:
    for name, value in {"patch": patch, "width": width, "hidden": hidden}.items():
        checks.positive_integer(name, value)
    checks.below_one("stochastic_depth", stochastic_depth)
    if any(side % patch for side in image_shape[:2]):
        raise ConfigError(
            f"`patch` must divide the pictures' height and width, which are {image_shape[0]}×{image_shape[1]}. "
            f"Received {patch}."
        )
    if width % 4:
        raise ConfigError(f"`width` must be a multiple of 4, for the positions' sines and cosines. Received {width}.")


def _attention(name: str, width: int, heads: int, **shared: Any) -> blocks.Layers:
    return {"attention": MultiHeadAttention(width, heads, name=name, **shared)}


def _mlp(name: str, width: int, hidden: int, **shared: Any) -> blocks.Layers:
    return {
        "hidden": Linear(width, hidden, name=f"{name}_hidden", **shared),
        "gelu": Activation("gelu"),
        "result": Linear(hidden, width, name=f"{name}_result", **shared),
    }


class Tokens(tf.Module):
    """Reshapes `[N, rows, columns, width]` to `[N, rows · columns, width]`, and adds the positions."""

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        del training, key
        _, rows, columns, width = x.shape
        return tf.reshape(x, [-1, rows * columns, width]) + tf.cast(_positions(rows, columns, width), x.dtype)


class TokenMean(tf.Module):
    """Takes the mean over the tokens: `[N, tokens, width]` to `[N, width]`."""

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        del training, key
        return tf.reduce_mean(x, axis=1)


def _positions(rows: int, columns: int, width: int) -> np.ndarray:
    """Returns sines and cosines of the columns, then of the rows, float32 `[rows · columns, width]`."""
    row, column = (place.reshape(-1, 1) for place in np.mgrid[:rows, :columns])
    rates = _LONGEST_WAVE ** -np.linspace(0, 1, width // 4)
    waves = [wave(place * rates) for place in (column, row) for wave in (np.sin, np.cos)]
    return np.concatenate(waves, axis=1).astype(np.float32)
