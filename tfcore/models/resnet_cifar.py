"""The residual networks for small pictures, ResNet-20 to ResNet-110."""

from typing import Any

import tensorflow as tf

from tfcore import checks
from tfcore.errors import ConfigError
from tfcore.layers import Activation, Pixels, Sequential
from tfcore.models import blocks, sizes
from tfcore.seeds import Key

SHORTCUTS = ("A", "B")


class ResNet20(Sequential):
    """Three groups of residual blocks of two convolutions, with 16, 32 and 64 filters: three blocks in each group.

        stem             3×3 convolution → norm → relu
        block_g_1 …      relu(x + norm(3×3 convolution(relu(norm(3×3 convolution(x)))))), the first of groups 2 and 3
                         with stride 2
        logits           mean over the picture → linear

    Where the shape of a block changes, its shortcut is

        A    every second pixel of every second row, with zeros as the further channels, half of them before and half
             after; no parameters, the paper's choice for CIFAR-10
        B    1×1 convolution with stride 2 → norm

    Parameters for 32×32×3 pictures and 10 classes, with shortcuts A; the paper counts 0.27, 0.46, 0.66, 0.85 and 1.7
    million. B has 2,752 more in each.

        resnet20    269,722        resnet44    658,586        resnet110    1,727,962
        resnet32    464,154        resnet56    853,018

    Zeros are on all sides alike (`symmetric`), and batch norm has the momentum 0.9 and the epsilon 1e-5, as in the
    authors' code. PyTorch's networks of these names have the same logits with the same weights: `--init_from` takes
    them with `--rename=pytorch_resnet`.

    Args:
        image_shape: (H, W, C), H and W at least 4.
        classes: number of classes.
        pixels: the scaling layer; all layers compute in the dtype of its result.
        seed: the run's seed.
        filters: of each group of blocks, at least one; every further group halves the pictures.
        shortcut: A or B.
        initializer: of all weights, a name accepted by `initializers.find`. Biases start at zero.

    Raises:
        ConfigError: an argument is out of range, or the pictures are too small for so many groups.

    Source: He, Zhang, Ren & Sun 2015, arXiv 1512.03385, section 4.2; the initial weights: the same, arXiv 1502.01852.
    """

    group_blocks = 3

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        *,
        pixels: Pixels,
        seed: int,
        filters: tuple[int, ...] = (16, 32, 64),
        shortcut: str = "A",
        initializer: str = "he_normal",
    ) -> None:
        sizes.some_filters(filters)
        checks.one_of("shortcut", shortcut, SHORTCUTS)
        sizes.large_enough(image_shape, 2 ** (len(filters) - 1), "Take fewer --filters.")
        beside = Subsampled.between if shortcut == "A" else blocks.projection
        shared: dict[str, Any] = {"seed": seed, "initializer": initializer}
        layers: blocks.Layers = {"pixels": pixels, **blocks.stem(image_shape[2], filters[0], 3, **shared)}
        channels = filters[0]
        for group, place, stride in blocks.places([self.group_blocks] * len(filters)):
            name, count = f"block_{place}", filters[group - 1]
            body = blocks.basic(name, channels, count, stride, **shared)
            layers[name] = blocks.Block(body, name=name, shortcut=beside(name, channels, count, stride, **shared))
            layers[f"relu_{place}"] = Activation("relu")
            channels = count
        super().__init__(layers | blocks.head(channels, classes, **shared), name=type(self).__name__.lower())


class ResNet32(ResNet20):
    """ResNet-20 with five blocks in each group."""

    group_blocks = 5


class ResNet44(ResNet20):
    """ResNet-20 with seven blocks in each group."""

    group_blocks = 7


class ResNet56(ResNet20):
    """ResNet-20 with nine blocks in each group."""

    group_blocks = 9


class ResNet110(ResNet20):
    """ResNet-20 with eighteen blocks in each group."""

    group_blocks = 18


class Subsampled(tf.Module):
    """Takes every `stride`-th pixel of every `stride`-th row, and adds `more` channels of zeros, half on either side.

    The paper does not say on which side. This is the place they have in `pytorch_resnet_cifar10`, whose weights load.
    """

    def __init__(self, stride: int, more: int) -> None:
        super().__init__(name="shortcut")
        self.stride, self.more = stride, more

    @classmethod
    def between(cls, block: str, channels: int, filters: int, stride: int, **_: Any) -> "Subsampled | None":
        """The shortcut of a block; None where the shape stays as it is."""
        if filters < channels:
            raise ConfigError(
                f"Shortcuts of kind A cannot leave out channels: block '{block}' has {filters} filters for {channels} "
                "channels. Take shortcut=B, or --filters that do not decrease."
            )
        return None if channels == filters and stride == 1 else cls(stride, filters - channels)

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        del training, key
        before = self.more // 2
        around = [[0, 0], [0, 0], [0, 0], [before, self.more - before]]
        return tf.pad(x[:, :: self.stride, :: self.stride], around)
