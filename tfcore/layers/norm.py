"""The normalisation layers."""

import tensorflow as tf

from tfcore import checks, ops
from tfcore.errors import ShapeError
from tfcore.layers.inputs import floating, has_features
from tfcore.seeds import Key
from tfcore.workers import AllReduce, across_workers


class BatchNorm(tf.Module):
    """Normalises each channel to zero mean and unit variance over the batch, then applies a learned scale and offset.

        training     y = scale · (x - mean_B) / sqrt(variance_B + epsilon) + k · offset
                     moving_mean     ← momentum · moving_mean     + (1 - momentum) · mean_B
                     moving_variance ← momentum · moving_variance + (1 - momentum) · variance_B · m / (m - 1)
        otherwise    y = scale · (x - moving_mean) / sqrt(moving_variance + epsilon) + k · offset

    mean_B and variance_B (biased, divided by m) are taken over the m = N·H·W elements of a channel, or m = N for rows.

    Momentum is the fraction of the moving average that is kept, as in Keras; PyTorch's momentum is 1 - this one. The
    moving variance is unbiased, as in the paper (algorithm 2, line 10), PyTorch and TensorFlow's fused op; Keras 3 uses
    the biased one. Each micro-batch is normalised by itself and updates the moving averages.

    Where several workers share a batch (`workers.summed_across`), mean_B and variance_B are those of the whole batch,
    from sums over all workers of d = x - moving_mean and d²: one exchange, and as exact as two passes unless the mean
    of the batch is many standard deviations from the moving one. The gradient flows through the sums.

    In a compiled evaluation, a batch norm right after a convolution or product is folded into it (`ops.folded`).

    The result has the dtype of x; statistics are computed in float32 for every dtype. scale and offset are float32
    parameters; moving_mean and moving_variance are not trained, but saved with the model.

    Args:
        features: C, the length of the last axis of `x`, at least 1.
        name: the layer's path in its model.
        momentum: 0 <= momentum < 1.
        epsilon: above 0.
        use_scale: whether there is a scale to learn; without, it is 1.
        offset_factor: k, above 0. By gradient descent or momentum, with the penalty on weights and offsets alike, k ·
            offset learns as an offset with k² times the learning rate (k = 8: Jordan 2024, arXiv 2404.00498).

    Raises:
        ConfigError: an argument is out of range.
        ShapeError: at the call, when `x` is not floating-point `[N, H, W, C]` or `[N, C]`.

    Source: Ioffe & Szegedy 2015, arXiv 1502.03167, algorithms 1 and 2.
    """

    sums_across_workers = True

    def __init__(
        self,
        features: int,
        *,
        name: str,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        use_scale: bool = True,
        offset_factor: float = 1.0,
    ) -> None:
        super().__init__(name=name)
        checks.positive_integer("features", features)
        checks.below_one("momentum", momentum)
        checks.positive("epsilon", epsilon)
        checks.positive("offset_factor", offset_factor)
        self.features, self.momentum, self.epsilon, self.offset_factor = features, momentum, epsilon, offset_factor
        self.scale = tf.Variable(tf.ones([features]), name="scale") if use_scale else None
        self.offset = tf.Variable(tf.zeros([features]), name="offset")
        self.moving_mean = tf.Variable(tf.zeros([features]), trainable=False, name="moving_mean")
        self.moving_variance = tf.Variable(tf.ones([features]), trainable=False, name="moving_variance")

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        del key
        x = floating(x, self.name)
        if x.shape.rank not in (2, 4) or x.shape[-1] != self.features:
            raise ShapeError(
                f"Layer '{self.name}' takes x of shape [N, H, W, {self.features}] or [N, {self.features}]. "
                f"Received {x.shape}."
            )
        if not training and (y := ops.folded(x, self._factor_and_shift)) is not None:
            return y
        if training and (all_reduce := across_workers()) is not None:
            return self._normalised_across(x, all_reduce)
        pictures = x if x.shape.rank == 4 else x[:, tf.newaxis, tf.newaxis, :]  # [N, H, W, C], as the op requires
        y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=pictures,
            scale=self._factor(),
            offset=self._shift(),
            mean=[] if training else self.moving_mean,
            variance=[] if training else self.moving_variance,
            epsilon=self.epsilon,
            is_training=training,
        )
        if training:
            _move(self.moving_mean, mean, 1 - self.momentum)
            _move(self.moving_variance, variance, 1 - self.momentum)
        return y if x.shape.rank == 4 else y[:, 0, 0, :]

    def _normalised_across(self, x: tf.Tensor, all_reduce: AllReduce) -> tf.Tensor:
        """Normalises in training, with the mean and variance over the batches of all workers."""
        centre = tf.identity(self.moving_mean)
        d = tf.cast(x, tf.float32) - centre
        axes = list(range(x.shape.rank - 1))
        m = tf.cast(tf.size(d) // self.features, tf.float32)
        sums = all_reduce(tf.concat([tf.reduce_sum(d, axes), tf.reduce_sum(d * d, axes), [m]], 0))
        total, squares, m = sums[: self.features], sums[self.features : -1], sums[-1]
        mean = total / m
        variance = tf.maximum(squares / m - mean * mean, 0.0)
        _move(self.moving_mean, centre + mean, 1 - self.momentum)
        _move(self.moving_variance, variance * (m / tf.maximum(m - 1, 1.0)), 1 - self.momentum)
        factor = self._factor() * tf.math.rsqrt(variance + self.epsilon)
        return tf.cast(d * factor + (self._shift() - mean * factor), x.dtype)

    def _factor_and_shift(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns a and b, each `[C]`, of y = a · x + b outside of training."""
        factor = self._factor() * tf.math.rsqrt(self.moving_variance + self.epsilon)
        return factor, self._shift() - self.moving_mean * factor

    def _factor(self) -> tf.Tensor:
        return tf.ones([self.features]) if self.scale is None else tf.convert_to_tensor(self.scale)

    def _shift(self) -> tf.Tensor:
        return tf.convert_to_tensor(self.offset) if self.offset_factor == 1 else self.offset * self.offset_factor


class LayerNorm(tf.Module):
    """Normalises each example's, or token's, features to zero mean and unit variance, then scales and shifts them.

        y = scale · (x - mean) / sqrt(variance + epsilon) + offset

    mean and variance (biased, divided by C) are those of the C values along the last axis. The result has the dtype of
    x; it is computed in float32 for every dtype. scale and offset are float32 parameters, 1 and 0 at the start. An
    epsilon of 1e-6 is that of the published transformers for pictures; PyTorch's default is 1e-5, Keras' 1e-3.

    Args:
        features: C, the length of the last axis of `x`, at least 1.
        name: the layer's path in its model.
        epsilon: above 0.

    Raises:
        ConfigError: an argument is out of range.
        ShapeError: at the call, when `x` is not floating-point `[N, …, C]`.

    Source: Ba, Kiros & Hinton 2016, arXiv 1607.06450, section 3.
    """

    def __init__(self, features: int, *, name: str, epsilon: float = 1e-6) -> None:
        super().__init__(name=name)
        checks.positive_integer("features", features)
        checks.positive("epsilon", epsilon)
        self.features, self.epsilon = features, epsilon
        self.scale = tf.Variable(tf.ones([features]), name="scale")
        self.offset = tf.Variable(tf.zeros([features]), name="offset")

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        del training, key
        x = floating(x, self.name)
        if not has_features(x.shape, self.features):
            raise ShapeError(f"Layer '{self.name}' takes x of shape [N, …, {self.features}]. Received {x.shape}.")
        return ops.layer_norm(x, tf.convert_to_tensor(self.scale), tf.convert_to_tensor(self.offset), self.epsilon)


class GroupNorm(tf.Module):
    """Normalises each example's groups of channels to zero mean and unit variance, then scales and shifts each channel.

        y = scale · (x - mean) / sqrt(variance + epsilon) + offset

    Group g has the C / groups neighbouring channels from g · C / groups on. mean and variance (biased) are those of its
    values in one example, over all its pixels, so an example's result does not depend on its batch, and training and
    evaluation are the same function. The result has the dtype of x; statistics are computed in float32 for every dtype.
    scale and offset are float32 parameters, 1 and 0 at the start. 32 groups and an epsilon of 1e-5 are the paper's and
    PyTorch's; Keras' epsilon is 1e-3. One group normalises all channels together, C groups each one by itself.

    Args:
        features: C, the length of the last axis of `x`, at least 1.
        name: the layer's path in its model.
        groups: a divisor of `features`.
        epsilon: above 0.

    Raises:
        ConfigError: an argument is out of range.
        ShapeError: at the call, when `x` is not floating-point `[N, …, C]`.

    Source: Wu & He 2018, arXiv 1803.08494, equations 1, 2, 6 and 7.
    """

    def __init__(self, features: int, *, name: str, groups: int = 32, epsilon: float = 1e-5) -> None:
        super().__init__(name=name)
        checks.positive_integer("features", features)
        checks.divisor("groups", groups, "features", features)
        checks.positive("epsilon", epsilon)
        self.features, self.groups, self.epsilon = features, groups, epsilon
        self.scale = tf.Variable(tf.ones([features]), name="scale")
        self.offset = tf.Variable(tf.zeros([features]), name="offset")

    def __call__(self, x: tf.Tensor, *, training: bool, key: Key | None = None) -> tf.Tensor:
        del training, key
        x = floating(x, self.name)
        if not has_features(x.shape, self.features):
            raise ShapeError(f"Layer '{self.name}' takes x of shape [N, …, {self.features}]. Received {x.shape}.")
        each = [self.groups, self.features // self.groups]
        wide = tf.reshape(tf.cast(x, tf.float32), [tf.shape(x)[0], -1, *each])  # [N, pixels, groups, C / groups]
        centred = wide - tf.reduce_mean(wide, [1, 3], keepdims=True)
        inverse = tf.math.rsqrt(tf.reduce_mean(tf.square(centred), [1, 3], keepdims=True) + self.epsilon)
        y = centred * (inverse * tf.reshape(self.scale, each)) + tf.reshape(self.offset, each)
        return tf.ensure_shape(tf.reshape(tf.cast(y, x.dtype), tf.shape(x)), x.shape)


def _move(average: tf.Variable, value: tf.Tensor, part: float) -> None:
    """Updates a moving average: average ← (1 - part) · average + part · value."""
    average.assign_add((value - average) * part)
