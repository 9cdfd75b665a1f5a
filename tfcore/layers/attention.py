"""The attention layer."""

import tensorflow as tf

from tfcore import checks
from tfcore.errors import ShapeError
from tfcore.layers.inputs import floating
from tfcore.layers.linear import Linear
from tfcore.seeds import Key


class MultiHeadAttention(tf.Module):
    """Self-attention: each token gets a mean of all tokens' values, weighted by how its query fits their keys.

        q, k, v = x W_qkv + b_qkv, each [T, D], cut into heads of D / heads columns
        head_h = softmax(q_h k_hᵀ / sqrt(D / heads)) v_h
        y = (head_1, …, head_H) W_result + b_result

    `qkv.weights` is `[D, 3 · D]`: D columns of queries, D of keys, D of values; within each, head 1's come first. The
    rows of `result.weights` `[D, D]` are in the same order of heads. These are PyTorch's `in_proj_weight` and
    `out_proj.weight`, transposed, and timm's `qkv` and `proj`. Keras has four matrices with an axis for heads. The
    initializer sees W_qkv as one matrix, so `glorot_uniform` draws smaller values than for three of `[D, D]`, as in
    PyTorch.

    The variables are float32; products are computed and returned in the dtype of x, the softmax in float32 for every
    dtype. There is no mask and no dropout of the weights: the tokens of a picture all see each other.

    Args:
        features: D, the length of a token, at least 1.
        heads: a divisor of `features`.
        name: the layer's path in its model; the initial weights depend on it, so two layers draw differently.
        seed: the run's seed.
        initializer: of both matrices, a name accepted by `initializers.find`.

    Raises:
        ConfigError: a size below 1, heads that do not divide the features, or an unknown initializer.
        ShapeError: at the call, when `x` is not floating-point `[N, T, features]`.

    Source: Vaswani et al. 2017, arXiv 1706.03762, section 3.2.
    """

    def __init__(self, features: int, heads: int, *, name: str, seed: int, initializer: str = "glorot_uniform") -> None:
        super().__init__(name=name)
        checks.positive_integer("features", features)
        checks.divisor("heads", heads, "features", features)
        self.features, self.heads = features, heads
        self.qkv = Linear(features, 3 * features, name=f"{name}_qkv", seed=seed, initializer=initializer)
        self.result = Linear(features, features, name=f"{name}_result", seed=seed, initializer=initializer)

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        x = floating(x, self.name)
        if x.shape.rank != 3 or x.shape[2] != self.features:
            raise ShapeError(f"Layer '{self.name}' takes x of shape [N, T, {self.features}]. Received {x.shape}.")
        tokens = tf.shape(x)[1] if x.shape[1] is None else x.shape[1]
        size = self.features // self.heads
        qkv = tf.reshape(self.qkv(x, training=training, key=key), [-1, tokens, 3, self.heads, size])
        q, k, v = tf.unstack(tf.transpose(qkv, [2, 0, 3, 1, 4]))  # each [N, heads, T, size]
        scores = tf.cast(tf.matmul(q, k, transpose_b=True), tf.float32) * size**-0.5
        y = tf.matmul(tf.cast(tf.nn.softmax(scores), x.dtype), v)
        y = tf.reshape(tf.transpose(y, [0, 2, 1, 3]), [-1, tokens, self.features])
        return self.result(y, training=training, key=key)
