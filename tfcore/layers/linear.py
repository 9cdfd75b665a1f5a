"""The fully connected layer."""

import tensorflow as tf

from tfcore import checks, initializers, ops, seeds
from tfcore.errors import ShapeError
from tfcore.layers.inputs import floating, has_features
from tfcore.seeds import Key


class Linear(tf.Module):
    """y = x W + b, with W `[in_features, out_features]` and b `[out_features]` (zeros at the start).

    x may have any number of axes, such as `[N, tokens, in_features]`: the layer maps the last one.

    The variables are float32; the result is computed and returned in the dtype of x.

    Args:
        in_features: length of the last axis of `x`, at least 1.
        out_features: length of the last axis of the result, at least 1.
        name: the layer's path in its model; the initial weights depend on it, so two layers draw differently.
        seed: the run's seed.
        initializer: of W, a name accepted by `initializers.find`.
        use_bias: whether there is b.
        max_norm: upper bound on the L2 norm of each column of W in training, above 0; None for no bound. The layer only
            declares it; the optimizer applies it (`optimizers.MaxNorm`).

    Raises:
        ConfigError: a size below 1, an unknown initializer, or a norm that is not above 0.
        ShapeError: at the call, when `x` is not floating-point `[N, …, in_features]`.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        name: str,
        seed: int,
        initializer: str = "glorot_uniform",
        use_bias: bool = True,
        max_norm: float | None = None,
    ) -> None:
        super().__init__(name=name)
        checks.positive_integer("in_features", in_features)
        checks.positive_integer("out_features", out_features)
        if max_norm is not None:
            checks.positive("max_norm", max_norm)
        draw = initializers.find(initializer)
        self.in_features = in_features
        self.max_norm = max_norm
        first, second = seeds.words(seed, "initial value", f"{name}.weights")
        self.weights = tf.Variable(draw((in_features, out_features), (first, second)), name="weights")
        self.biases = tf.Variable(tf.zeros([out_features]), name="biases") if use_bias else None

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        del training, key
        return self.of_scaled(x, 1)

    def of_scaled(self, x: tf.Tensor, factor: float) -> tf.Tensor:
        """Computes the layer for factor · x, multiplying the product x W, which is smaller than x."""
        x = floating(x, self.name)
        if not has_features(x.shape, self.in_features):
            raise ShapeError(
                f"Layer '{self.name}' takes x of shape [N, …, {self.in_features}]. Received {x.shape}. "
                "For pictures, put layers.Flatten() first."
            )
        rows = x if x.shape.rank == 2 else tf.reshape(x, [-1, self.in_features])
        product = ops.product(rows, tf.cast(self.weights, x.dtype))
        y = product if factor == 1 else product * factor
        if self.biases is not None:
            y += tf.cast(self.biases, x.dtype)
        return y if x.shape.rank == 2 else _in_axes_of(x, y)


def _in_axes_of(x: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Reshapes rows `[M, K]` to the axes of x, with K in place of the last; sizes that are known stay known."""
    known = [*x.shape[:-1], rows.shape[1]]
    sizes = known if known.count(None) == 0 else tf.concat([tf.shape(x)[:-1], [rows.shape[1]]], 0)
    return tf.ensure_shape(tf.reshape(rows, sizes), known)
