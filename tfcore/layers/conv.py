"""The convolution layers."""

import tensorflow as tf

from tfcore import checks, initializers, ops, seeds
from tfcore.errors import ShapeError
from tfcore.layers.inputs import check_padding, floating, tf_padding
from tfcore.seeds import Key


class _Convolution(tf.Module):
    """What both kinds of convolution share: variables, the checks of x, and the biases.

    Args:
        channels: length of the last axis of `x`.
        inputs: channels that each result depends on, for the fan-in of the initial weights.
        out_channels: length of the last axis of the result.

    The other arguments are those of the layers.
    """

    def __init__(
        self,
        channels: int,
        inputs: int,
        out_channels: int,
        size: int,
        *,
        name: str,
        seed: int,
        stride: int,
        padding: str,
        use_bias: bool,
        initializer: str,
    ) -> None:
        super().__init__(name=name)
        checks.positive_integer("size", size)
        checks.positive_integer("stride", stride)
        check_padding(padding, size)
        draw = initializers.find(initializer)
        self.size, self.stride, self.padding = size, stride, padding
        first, second = seeds.words(seed, "initial value", f"{name}.weights")
        weights = draw((size, size, inputs, out_channels), (first, second))
        self.weights = tf.Variable(tf.reshape(weights, [size, size, channels, -1]), name="weights")
        self.biases = tf.Variable(tf.zeros([out_channels]), name="biases") if use_bias else None

    def _operands(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, str]:
        """Returns x, checked, with zeros around it where TensorFlow has no name for them; weights; and the padding.

        With explicit paddings of TensorFlow 2.21, the gradients of narrow convolutions take 1.4 times as long on a CPU,
        and the process aborts where a depthwise convolution is fused with its biases.
        """
        x = floating(x, self.name)
        self._check(x.shape)
        padding = tf_padding(self.padding, self.size, self.stride)
        weights = tf.cast(self.weights, x.dtype)
        return (x, weights, padding) if isinstance(padding, str) else (tf.pad(x, padding), weights, "VALID")

    def _with_biases(self, y: tf.Tensor) -> tf.Tensor:
        return y if self.biases is None else ops.with_biases(y, self.biases)

    def _check(self, shape: tf.TensorShape) -> None:
        """Raises ShapeError unless the layer accepts inputs of this shape."""
        channels = self.weights.shape[2]
        if shape.rank != 4 or shape[3] != channels:
            raise ShapeError(f"Layer '{self.name}' takes x of shape [N, H, W, {channels}]. Received {shape}.")
        least = min(side for side in (*shape[1:3], self.size) if side is not None)
        if self.padding == "valid" and least < self.size:
            raise ShapeError(
                f"Layer '{self.name}' has filters of {self.size}×{self.size} and no padding, for x of at least that "
                f"size. Received {shape}. Take fewer layers, or padding 'same'."
            )


class Conv2D(_Convolution):
    """y[n, i, j, o] = sum over (a, b, c) of x[n, s·i + a - p, s·j + b - q, c] · W[a, b, c, o] + b[o]

    with W `[size, size, in_channels, out_channels]`, stride s, and zeros outside the picture. `valid` pads nothing
    (p = q = 0): H shrinks to ceil((H - size + 1) / s). `same` pads to ceil(H / s); an odd number of rows to pad puts
    the greater half below and to the right, as in TensorFlow and Keras. `symmetric` gives as many rows and columns, of
    other windows where the stride is above 1: p = q = (size - 1) / 2 zeros on every side, as in PyTorch with that
    `padding`, and in the published residual networks. Like everywhere in deep learning this is a cross-correlation: the
    kernel is not flipped.

    The variables are float32; the convolution is computed and returned in the dtype of x.

    Args:
        in_channels: length of the last axis of `x`, at least 1.
        out_channels: number of filters, at least 1.
        size: height and width of the filters, in pixels.
        name: the layer's path in its model; the initial weights depend on it, so two layers draw differently.
        seed: the run's seed.
        stride: pixels from one window to the next, both ways.
        padding: `same`, `symmetric` or `valid`.
        use_bias: whether the layer has a bias; before a BatchNorm a bias has no effect.
        initializer: of W, a name accepted by `initializers.find`.

    Raises:
        ConfigError: a size below 1, or an even one with `symmetric`; an unknown padding or initializer.
        ShapeError: at the call, when `x` is not floating-point `[N, H, W, in_channels]` or, with `valid`, smaller than
            the filters.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        size: int,
        *,
        name: str,
        seed: int,
        stride: int = 1,
        padding: str = "same",
        use_bias: bool = True,
        initializer: str = "glorot_uniform",
    ) -> None:
        checks.positive_integer("in_channels", in_channels)
        checks.positive_integer("out_channels", out_channels)
        super().__init__(
            in_channels, in_channels, out_channels, size,
            name=name, seed=seed, stride=stride, padding=padding, use_bias=use_bias, initializer=initializer,
        )  # fmt: skip
        self.in_channels = in_channels

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        del key
        convolve = ops.conv2d if training else tf.nn.conv2d
        x, weights, padding = self._operands(x)
        return self._with_biases(convolve(x, weights, self.stride, padding))


class DepthwiseConv2D(_Convolution):
    """y[n, i, j, c] = sum over (a, b) of x[n, s·i + a - p, s·j + b - q, c] · W[a, b, c, 0] + b[c]

    with W `[size, size, channels, 1]`: each channel has one filter of its own, and stays by itself. Followed by a
    `Conv2D` of size 1, which mixes the channels, it is a depthwise separable convolution. Padding, stride, dtype and
    bias are those of `Conv2D`.

    Args:
        channels: length of the last axis of `x` and of the result, at least 1.
        size: height and width of the filters, in pixels.
        name: the layer's path in its model; the initial weights depend on it, so two layers draw differently.
        seed: the run's seed.
        stride: pixels from one window to the next, both ways.
        padding: `same`, `symmetric` or `valid`.
        use_bias: whether the layer has a bias; before a BatchNorm a bias has no effect.
        initializer: of W, a name accepted by `initializers.find`. A result has size² inputs, which is the fan-in, as in
            PyTorch; Keras counts size² · channels and draws smaller weights.

    Raises:
        ConfigError: a size below 1, or an even one with `symmetric`; an unknown padding or initializer.
        ShapeError: at the call, when `x` is not floating-point `[N, H, W, channels]` or, with `valid`, smaller than
            the filters.

    Source: Howard et al. 2017, arXiv 1704.04861, section 3.1.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        *,
        name: str,
        seed: int,
        stride: int = 1,
        padding: str = "same",
        use_bias: bool = True,
        initializer: str = "glorot_uniform",
    ) -> None:
        checks.positive_integer("channels", channels)
        super().__init__(
            channels, 1, channels, size,
            name=name, seed=seed, stride=stride, padding=padding, use_bias=use_bias, initializer=initializer,
        )  # fmt: skip

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        del training, key
        x, weights, padding = self._operands(x)
        strides = [1, self.stride, self.stride, 1]
        return self._with_biases(tf.nn.depthwise_conv2d(x, weights, strides, padding))
