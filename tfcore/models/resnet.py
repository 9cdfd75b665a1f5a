"""The residual networks of ImageNet, ResNet-18, ResNet-34 and ResNet-50."""

from typing import Any

from tfcore.errors import ConfigError
from tfcore.layers import Activation, MaxPool, Pixels, Sequential
from tfcore.models import blocks, sizes


class ResNet18(Sequential):
    """Four groups of residual blocks, with 64, 128, 256 and 512 filters: two blocks in each group.

        stem of 32       3×3 convolution → norm → relu
        stem of 224      7×7 convolution with stride 2 → norm → relu → 3×3 max pool with stride 2
        block_g_1 …      relu(x + body(x)), the first of groups 2, 3 and 4 with stride 2
        logits           mean over the picture → linear

        body of 18, 34   3×3 convolution → norm → relu → 3×3 convolution → norm
        body of 50       1×1 convolution → norm → relu → 3×3 convolution → norm → relu → 1×1 convolution of four times
                         as many filters → norm

    Where the shape of a block changes, its shortcut is a 1×1 convolution → norm. The stride of ResNet-50's blocks is
    that of the 3×3 convolution, as in torchvision; in the paper and in Keras it is that of the first 1×1 convolution.

    Parameters for colour pictures, with 2·C further numbers in each norm of C channels that are not trained; the right
    column is torchvision's:

                     10 classes, stem of 32      1000 classes, stem of 224
        resnet18                 11,173,962                     11,689,512
        resnet34                 21,282,122                     21,797,672
        resnet50                 23,520,842                     25,557,032

    Zeros are on all sides alike (`symmetric`), and batch norm has the momentum 0.9 and the epsilon 1e-5, as in
    torchvision and timm: their weights give the same logits here. `--init_from` takes them with
    `--rename=pytorch_resnet`.

    Args:
        image_shape: (H, W, C), H and W at least 8 with a stem of 32, at least 32 with a stem of 224.
        classes: number of classes.
        pixels: the scaling layer; all layers compute in the dtype of its result.
        seed: the run's seed.
        stem: the first layers, for pictures of about that size: 32, which keeps it, or 224, which quarters it.
        filters: of each of the four groups of blocks.
        initializer: of all weights, a name accepted by `initializers.find`. Biases start at zero.

    Raises:
        ConfigError: an argument is out of range, or the pictures are too small.

    Source: He, Zhang, Ren & Sun 2015, arXiv 1512.03385, table 1; the initial weights: the same, arXiv 1502.01852.
    """

    counts: tuple[int, ...] = (2, 2, 2, 2)  # of blocks in each group
    has_bottlenecks = False

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        *,
        pixels: Pixels,
        seed: int,
        stem: int = 32,
        filters: tuple[int, ...] = (64, 128, 256, 512),
        initializer: str = "he_normal",
    ) -> None:
        sizes.known_stem(stem)
        if len(filters) != len(self.counts):
            raise ConfigError(
                f"`filters` must be {len(self.counts)} numbers, one for each group. Received {len(filters)}."
            )
        sizes.large_enough(image_shape, 8 if stem == 32 else 32, sizes.advice(stem))
        shared: dict[str, Any] = {"seed": seed, "initializer": initializer}
        layers: blocks.Layers = {"pixels": pixels, **_stem(stem, image_shape[2], filters[0], **shared)}
        channels, body = filters[0], _bottleneck if self.has_bottlenecks else blocks.basic
        for group, place, stride in blocks.places(self.counts):
            name, count = f"block_{place}", filters[group - 1]
            out_channels = 4 * count if self.has_bottlenecks else count
            layers[name] = blocks.Block(
                body(name, channels, count, stride, **shared),
                name=name,
                shortcut=blocks.projection(name, channels, out_channels, stride, **shared),
            )
            layers[f"relu_{place}"] = Activation("relu")
            channels = out_channels
        super().__init__(layers | blocks.head(channels, classes, **shared), name=type(self).__name__.lower())


class ResNet34(ResNet18):
    """ResNet-18 with 3, 4, 6 and 3 blocks in its groups."""

    counts = (3, 4, 6, 3)


class ResNet50(ResNet34):
    """ResNet-34 with blocks of three convolutions, the last of four times as many filters."""

    has_bottlenecks = True


def _stem(size: int, channels: int, filters: int, **shared: Any) -> blocks.Layers:
    """The layers before the first block, for pictures of about that size."""
    if size == 32:
        return blocks.stem(channels, filters, 3, **shared)
    return blocks.stem(channels, filters, 7, stride=2, **shared) | {
        "max_pool": MaxPool(3, stride=2, padding="symmetric")
    }


def _bottleneck(block: str, channels: int, filters: int, stride: int, **shared: Any) -> blocks.Layers:
    """The body of a block of ResNet-50."""
    return {
        **blocks.normed(block, 1, channels, filters, 1, **shared),
        "relu_1": Activation("relu"),
        **blocks.normed(block, 2, filters, filters, 3, stride=stride, **shared),
        "relu_2": Activation("relu"),
        **blocks.normed(block, 3, filters, 4 * filters, 1, **shared),
    }
