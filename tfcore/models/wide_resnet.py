"""The wide residual network."""

from typing import Any

from tfcore import checks
from tfcore.errors import ConfigError
from tfcore.layers import Activation, Dropout, Pixels, Sequential
from tfcore.models import blocks, sizes

_LAYERS_OF_A_BLOCK = 6  # two convolutions in each of three groups


class WideResNet(Sequential):
    """Three groups of (depth - 4) / 6 residual blocks, with 16, 32 and 64 times `width` filters.

        stem             3×3 convolution with 16 filters
        block_g_1 …      h = relu(norm(x)); x + 3×3 convolution(dropout(relu(norm(3×3 convolution(h))))), the first of
                         groups 2 and 3 with stride 2
        logits           norm → relu → mean over the picture → linear

    Where the shape of a block changes, its shortcut is a 1×1 convolution of h instead of x, as in the authors' code.

    Parameters for 32×32×3 pictures and 10 classes, of depth and width:

        16-4, the default    2,748,890        28-10    36,479,194

    Zeros are on all sides alike (`symmetric`), and batch norm has the momentum 0.9 and the epsilon 1e-5, as in the
    authors' code.

    Args:
        image_shape: (H, W, C), H and W at least 4.
        classes: number of classes.
        pixels: the scaling layer; all layers compute in the dtype of its result.
        seed: the run's seed.
        depth: number of layers on the longest path, 10 or a multiple of 6 more.
        width: factor of the numbers of filters, at least 1.
        dropout: rate between the convolutions of a block, 0 <= dropout < 1; the paper takes 0.3 without augmentation.
        initializer: of all weights, a name accepted by `initializers.find`. Biases start at zero.

    Raises:
        ConfigError: an argument is out of range, or the pictures are too small.

    Source: Zagoruyko & Komodakis 2016, arXiv 1605.07146, table 1.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        *,
        pixels: Pixels,
        seed: int,
        depth: int = 16,
        width: int = 4,
        dropout: float = 0.0,
        initializer: str = "he_normal",
    ) -> None:
        sizes.depth_in_range(depth)
        checks.positive_integer("width", width)
        checks.below_one("dropout", dropout)
        number, rest = divmod(depth - 4, _LAYERS_OF_A_BLOCK)
        if number < 1 or rest:
            raise ConfigError(f"`depth` must be 10 or a multiple of 6 more, such as 16, 22 or 28. Received {depth}.")
        sizes.large_enough(image_shape, 4, "Take larger pictures.")
        shared: dict[str, Any] = {"seed": seed, "initializer": initializer}
        layers: blocks.Layers = {"pixels": pixels, "conv": blocks.convolution(image_shape[2], 16, 3, "conv", **shared)}
        channels = 16
        for group, place, stride in blocks.places([number] * 3):
            name, filters = f"block_{place}", 8 * 2**group * width
            layers[name] = _block(name, channels, filters, stride, dropout, **shared)
            channels = filters
        layers |= {"norm": blocks.batch_norm(channels, "norm"), "relu": Activation("relu")}
        super().__init__(layers | blocks.head(channels, classes, **shared), name="wide_resnet")


def _block(name: str, channels: int, filters: int, stride: int, dropout: float, **shared: Any) -> blocks.Block:
    changes = channels != filters or stride > 1
    before: blocks.Layers = {"norm_1": blocks.batch_norm(channels, f"{name}_norm_1"), "relu_1": Activation("relu")}
    body: blocks.Layers = {
        "conv_1": blocks.convolution(channels, filters, 3, f"{name}_conv_1", stride=stride, **shared),
        "norm_2": blocks.batch_norm(filters, f"{name}_norm_2"),
        "relu_2": Activation("relu"),
        "dropout": Dropout(dropout, name=f"{name}_dropout"),
        "conv_2": blocks.convolution(filters, filters, 3, f"{name}_conv_2", **shared),
    }
    if not changes:
        return blocks.Block(before | body, name=name)
    shortcut = blocks.convolution(channels, filters, 1, f"{name}_shortcut", stride=stride, **shared)
    return blocks.Block(body, name=name, before=before, shortcut=shortcut)
