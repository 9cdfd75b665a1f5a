"""The network of depthwise separable convolutions."""

from typing import Any

from tfcore import checks
from tfcore.layers import Activation, DepthwiseConv2D, Pixels, Sequential
from tfcore.models import blocks, sizes

# Filters and stride of each separable convolution.
_BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
_FEWEST = 8  # filters of a narrow network's convolution, as in the authors' code


class MobileNet(Sequential):
    """Thirteen depthwise separable convolutions, four of which halve the picture.

        stem          3×3 convolution → norm → relu, with stride 1 for 32, 2 for 224
        block_i       3×3 depthwise convolution → norm → relu → 1×1 convolution → norm → relu
        logits        mean over the picture → linear

    At stride 2, zeros are below and to the right of even pictures (`same`), as in the authors' code and in Keras.

    Parameters for colour pictures, with 2·C further numbers in each norm of C channels that are not trained; those with
    1000 classes are Keras' too, whose `alpha` is `width` here:

        width    10 classes    1000 classes
        0.25        215,642         470,072
        0.5         823,722       1,331,592
        1         3,217,226       4,231,976

    Args:
        image_shape: (H, W, C), H and W at least 16 with a stem of 32, at least 32 with a stem of 224.
        classes: number of classes.
        pixels: the scaling layer; all layers compute in the dtype of its result.
        seed: the run's seed.
        stem: the first layers, for pictures of about that size: 32, which keeps it, or 224, which halves it.
        width: factor of the numbers of filters, which are rounded down, to at least 8; above 0.
        initializer: of all weights, a name accepted by `initializers.find`. Biases start at zero.

    Raises:
        ConfigError: an argument is out of range, or the pictures are too small.

    Source: Howard et al. 2017, arXiv 1704.04861, table 1 and section 3.3.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        *,
        pixels: Pixels,
        seed: int,
        stem: int = 32,
        width: float = 1.0,
        initializer: str = "he_normal",
    ) -> None:
        sizes.known_stem(stem)
        checks.positive("width", width)
        stride = 1 if stem == 32 else 2
        sizes.large_enough(image_shape, 16 * stride, sizes.advice(stem))
        shared: dict[str, Any] = {"seed": seed, "initializer": initializer}
        channels = _scaled(32, width)
        layers: blocks.Layers = {"pixels": pixels}
        layers |= blocks.stem(image_shape[2], channels, 3, stride=stride, padding="same", **shared)
        for number, (filters, stride) in enumerate(_BLOCKS, start=1):
            name = f"block_{number}"
            layers[name] = _separable(name, channels, _scaled(filters, width), stride, **shared)
            channels = _scaled(filters, width)
        super().__init__(layers | blocks.head(channels, classes, **shared), name="mobilenet")


def _scaled(filters: int, width: float) -> int:
    return max(_FEWEST, int(filters * width))


def _separable(name: str, channels: int, filters: int, stride: int, **shared: Any) -> Sequential:
    depthwise = f"{name}_depthwise"
    layers: blocks.Layers = {
        "depthwise": DepthwiseConv2D(channels, 3, name=depthwise, stride=stride, use_bias=False, **shared),
        "depthwise_norm": blocks.batch_norm(channels, f"{depthwise}_norm"),
        "depthwise_relu": Activation("relu"),
        "conv": blocks.convolution(channels, filters, 1, f"{name}_conv", **shared),
        "norm": blocks.batch_norm(filters, f"{name}_norm"),
        "relu": Activation("relu"),
    }
    return Sequential(layers, name=name)
