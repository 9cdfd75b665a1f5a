"""Gradients of a layer in several compute types."""

from typing import Any

import tensorflow as tf


def by_dtype(layer: Any, x: tf.Tensor) -> dict[tf.DType, list[tf.Tensor]]:
    """Returns the compiled gradients of sum(relu(layer(x))) for weights and biases, x in float32 and in bfloat16."""

    @tf.function
    def step(x: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.cast(tf.nn.relu(layer(x, training=True)), tf.float32))
        return tape.gradient(loss, [layer.weights, layer.biases])

    return {dtype: step(tf.cast(x, dtype)) for dtype in (tf.float32, tf.bfloat16)}
