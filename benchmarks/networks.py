"""Defines five published networks for CIFAR-10 as a user of tfcore writes them: `--model=benchmarks/networks.py:ViT`.

peers/keras_models.py and peers/torch_models.py define the same ones, with as many parameters.
"""

import tensorflow as tf

from tfcore.layers import (
    Activation,
    BatchNorm,
    Conv2D,
    DepthwiseConv2D,
    Flatten,
    GlobalAveragePool,
    LayerNorm,
    Linear,
    MaxPool,
    Pixels,
    Residual,
    Sequential,
)  # fmt: skip
from tfcore.seeds import Key

ImageShape = tuple[int, int, int]
Layers = dict[str, tf.Module]


class ResNet20(Sequential):
    """Three groups of three residual blocks, of 16, 32 and 64 channels (He et al. 2015, arXiv 1512.03385, section 4.2).

    As in the paper's option B, a convolution of size 1 is the shortcut where the shape changes.
    """

    def __init__(self, image_shape: ImageShape, classes: int, *, pixels: Pixels, seed: int) -> None:
        layers = _stem(pixels, image_shape[2], 16, seed)
        channels = 16
        for group, filters in enumerate((16, 32, 64), start=1):
            for number in (1, 2, 3):
                block, stride = f"block_{group}_{number}", 2 if group > 1 and number == 1 else 1
                layers[block] = _basic_block(channels, filters, block, seed, stride)
                layers[f"relu_{group}_{number}"] = Activation("relu")
                channels = filters
        layers["pool"] = GlobalAveragePool()
        layers["logits"] = Linear(channels, classes, name="logits", seed=seed)
        super().__init__(layers, name="resnet20")


class Airbench94(tf.Module):
    """The network of airbench94 (Jordan 2024, arXiv 2404.00498), whose first convolution is trained here."""

    def __init__(self, image_shape: ImageShape, classes: int, *, pixels: Pixels, seed: int) -> None:
        super().__init__(name="airbench94")
        height, width, channels = image_shape
        layers: Layers = {
            "pixels": pixels,
            "conv": Conv2D(channels, 24, 2, name="conv", seed=seed, padding="valid"),
            "gelu": Activation("gelu"),
        }
        height, width, channels = height - 1, width - 1, 24
        for group, filters in enumerate((64, 256, 256), start=1):
            layers |= {
                f"conv_{group}_1": _conv(channels, filters, 3, f"conv_{group}_1", seed),
                f"pool_{group}": MaxPool(2),
                f"norm_{group}_1": BatchNorm(filters, name=f"norm_{group}_1"),
                f"gelu_{group}_1": Activation("gelu"),
                f"conv_{group}_2": _conv(filters, filters, 3, f"conv_{group}_2", seed),
                f"norm_{group}_2": BatchNorm(filters, name=f"norm_{group}_2"),
                f"gelu_{group}_2": Activation("gelu"),
            }
            height, width, channels = height // 2, width // 2, filters
        layers |= {"pool": MaxPool(3), "flatten": Flatten()}
        self.features = Sequential(layers)
        self.logits = Linear((height // 3) * (width // 3) * channels, classes, name="logits", seed=seed)

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        x = self.features(x, training=training, key=key)
        return self.logits(x, training=training, key=key) / 9


class WideResNet(Sequential):
    """WRN-16-4: three groups of two residual blocks, of 64, 128 and 256 channels, with batch norm and ReLU before each
    convolution (Zagoruyko & Komodakis 2016, arXiv 1605.07146).
    """

    def __init__(self, image_shape: ImageShape, classes: int, *, pixels: Pixels, seed: int) -> None:
        layers: Layers = {"pixels": pixels, "conv": _conv(image_shape[2], 16, 3, "conv", seed)}
        channels = 16
        for group, filters in enumerate((64, 128, 256), start=1):
            for number in (1, 2):
                block, stride = f"block_{group}_{number}", 2 if group > 1 and number == 1 else 1
                layers[block] = _wide_block(channels, filters, block, seed, stride)
                channels = filters
        layers |= {"norm": BatchNorm(channels, name="norm"), "relu": Activation("relu"), "pool": GlobalAveragePool()}
        layers["logits"] = Linear(channels, classes, name="logits", seed=seed)
        super().__init__(layers, name="wide_resnet")


class ViT(tf.Module):
    """A small vision transformer with the mean over the tokens instead of a class token (Dosovitskiy et al. 2020, arXiv
    2010.11929; Beyer, Zhai & Kolesnikov 2022, arXiv 2205.01580).

    Args:
        image_shape: (H, W, C), H and W multiples of 4, the size of the patches.
        classes: number of classes.
        pixels: the scaling layer.
        seed: the run's seed.
        width: length of a token.
        depth: number of blocks of an attention and an MLP.
        heads: of each attention; a divisor of the width.
    """

    def __init__(
        self,
        image_shape: ImageShape,
        classes: int,
        *,
        pixels: Pixels,
        seed: int,
        width: int = 192,
        depth: int = 6,
        heads: int = 3,
    ) -> None:
        super().__init__(name="vit")
        height, picture_width, channels = image_shape
        self.tokens = (height // 4) * (picture_width // 4)
        self.pixels = pixels
        self.patches = Conv2D(channels, width, 4, name="patches", seed=seed, stride=4, padding="valid")
        self.positions = tf.Variable(tf.zeros([1, self.tokens, width]), name="positions")
        blocks: Layers = {}
        for number in range(1, depth + 1):
            attention, mlp = f"attention_{number}", f"mlp_{number}"
            blocks[attention] = Residual(
                Sequential(
                    {
                        "norm": LayerNorm(width, name=f"{attention}_norm"),
                        "attention": SelfAttention(width, heads, name=attention, seed=seed),
                    }
                ),
                name=attention,
            )
            blocks[mlp] = Residual(
                Sequential(
                    {
                        "norm": LayerNorm(width, name=f"{mlp}_norm"),
                        "hidden": Linear(width, 2 * width, name=f"{mlp}_hidden", seed=seed),
                        "gelu": Activation("gelu"),
                        "result": Linear(2 * width, width, name=f"{mlp}_result", seed=seed),
                    }
                ),
                name=mlp,
            )
        self.blocks = Sequential(blocks)
        self.norm = LayerNorm(width, name="norm")
        self.logits = Linear(width, classes, name="logits", seed=seed)

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        x = self.patches(self.pixels(x, training=training), training=training)  # [N, H/4, W/4, width]
        x = tf.reshape(x, [-1, self.tokens, x.shape[3]]) + tf.cast(self.positions, x.dtype)
        x = self.norm(self.blocks(x, training=training, key=key), training=training)
        return self.logits(tf.reduce_mean(x, axis=1), training=training)


class SelfAttention(tf.Module):
    """y = concatenated over the heads: softmax(q kᵀ / sqrt(size)) v, times a matrix (Vaswani et al. 2017, arXiv
    1706.03762, section 3.2), for tokens [N, tokens, width].

    Args:
        width: length of a token.
        heads: a divisor of the width.
        name: the layer's path in its model.
        seed: the run's seed.
    """

    def __init__(self, width: int, heads: int, *, name: str, seed: int) -> None:
        super().__init__(name=name)
        self.heads, self.size = heads, width // heads
        self.qkv = Linear(width, 3 * width, name=f"{name}_qkv", seed=seed)
        self.result = Linear(width, width, name=f"{name}_result", seed=seed)

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        tokens, width = x.shape[1:]
        qkv = tf.reshape(self.qkv(x, training=training, key=key), [-1, tokens, 3, self.heads, self.size])
        q, k, v = tf.unstack(tf.transpose(qkv, [2, 0, 3, 1, 4]))  # each [N, heads, tokens, size]
        scores = tf.cast(tf.matmul(q, k, transpose_b=True), tf.float32) * self.size**-0.5
        y = tf.matmul(tf.cast(tf.nn.softmax(scores), x.dtype), v)
        y = tf.reshape(tf.transpose(y, [0, 2, 1, 3]), [-1, tokens, width])
        return self.result(y, training=training, key=key)


class MobileNet(Sequential):
    """Seven depthwise separable convolutions (Howard et al. 2017, arXiv 1704.04861), strided for small pictures."""

    def __init__(self, image_shape: ImageShape, classes: int, *, pixels: Pixels, seed: int) -> None:
        layers = _stem(pixels, image_shape[2], 32, seed)
        channels = 32
        blocks = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1))
        for number, (filters, stride) in enumerate(blocks, start=1):
            depthwise, conv = f"depthwise_{number}", f"conv_{number}"
            layers |= {
                depthwise: DepthwiseConv2D(channels, 3, name=depthwise, seed=seed, stride=stride, use_bias=False),
                f"depthwise_norm_{number}": BatchNorm(channels, name=f"depthwise_norm_{number}"),
                f"depthwise_relu_{number}": Activation("relu"),
                conv: _conv(channels, filters, 1, conv, seed),
                f"norm_{number}": BatchNorm(filters, name=f"norm_{number}"),
                f"relu_{number}": Activation("relu"),
            }
            channels = filters
        layers["pool"] = GlobalAveragePool()
        layers["logits"] = Linear(channels, classes, name="logits", seed=seed)
        super().__init__(layers, name="mobilenet")


def _conv(channels: int, filters: int, size: int, name: str, seed: int, stride: int = 1) -> Conv2D:
    """A `same` convolution without a bias."""
    return Conv2D(channels, filters, size, name=name, seed=seed, stride=stride, use_bias=False)


def _stem(pixels: Pixels, channels: int, filters: int, seed: int) -> Layers:
    """The layers before the first block: a convolution of the scaled pictures, batch norm, ReLU."""
    conv, norm = _conv(channels, filters, 3, "conv", seed), BatchNorm(filters, name="norm")
    return {"pixels": pixels, "conv": conv, "norm": norm, "relu": Activation("relu")}


def _basic_block(channels: int, filters: int, name: str, seed: int, stride: int) -> Residual:
    """Two convolutions with batch norm, the block of ResNet-20; the ReLU after the sum is not part of it."""
    body = Sequential(
        {
            "conv_1": _conv(channels, filters, 3, f"{name}_conv_1", seed, stride),
            "norm_1": BatchNorm(filters, name=f"{name}_norm_1"),
            "relu": Activation("relu"),
            "conv_2": _conv(filters, filters, 3, f"{name}_conv_2", seed),
            "norm_2": BatchNorm(filters, name=f"{name}_norm_2"),
        }
    )
    if channels == filters:
        return Residual(body, name=name)
    conv = _conv(channels, filters, 1, f"{name}_shortcut", seed, stride)
    norm = BatchNorm(filters, name=f"{name}_shortcut_norm")
    return Residual(body, Sequential({"conv": conv, "norm": norm}), name=name)


def _wide_block(channels: int, filters: int, name: str, seed: int, stride: int) -> tf.Module:
    """Two convolutions, each after batch norm and ReLU: the block of WRN.

    Where the shape changes, the shortcut is a convolution of size 1, of what the first ReLU gives.
    """
    before: Layers = {"norm_1": BatchNorm(channels, name=f"{name}_norm_1"), "relu_1": Activation("relu")}
    body: Layers = {
        "conv_1": _conv(channels, filters, 3, f"{name}_conv_1", seed, stride),
        "norm_2": BatchNorm(filters, name=f"{name}_norm_2"),
        "relu_2": Activation("relu"),
        "conv_2": _conv(filters, filters, 3, f"{name}_conv_2", seed),
    }
    if channels == filters:
        return Residual(Sequential(before | body), name=name)
    shortcut = _conv(channels, filters, 1, f"{name}_shortcut", seed, stride)
    return Sequential({**before, "sum": Residual(Sequential(body), shortcut)}, name=name)
