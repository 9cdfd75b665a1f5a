"""Times the four convolutions of cifar_cnn in JAX, forward and backward, without the rest of the network.

    python -m benchmarks.peers.jax_convolutions

Prints the steps a second with a batch of 64. They are fewer than tfcore's whole steps, so JAX is not in the
convolutional cases.
"""

import time

import jax
import jax.numpy as jnp

LAYERS = ((32, 3, 32), (32, 32, 64), (16, 64, 64), (8, 64, 128))  # side, channels, filters
STEPS = 5


def total(filters: list[jax.Array], images: list[jax.Array]) -> jax.Array:
    """A sum over the outputs of all convolutions, whose gradient needs the gradients of each."""
    pairs = zip(images, filters, strict=True)
    dimensions = ("NHWC", "HWIO", "NHWC")
    convolved = [jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=dimensions) for x, w in pairs]
    return sum(jnp.square(y).mean() for y in convolved)


def main() -> None:
    """Times both precisions; prints the fastest of the steps."""
    gradients = jax.jit(jax.value_and_grad(total, argnums=(0, 1)))
    for dtype in (jnp.float32, jnp.bfloat16):
        images = [
            jax.random.normal(jax.random.key(0), (64, side, side, channels), dtype) for side, channels, _ in LAYERS
        ]
        filters = [
            jax.random.normal(jax.random.key(1), (3, 3, channels, count), dtype) for _, channels, count in LAYERS
        ]
        jax.block_until_ready(gradients(filters, images))
        secs = []
        for _ in range(STEPS):
            start = time.monotonic()
            jax.block_until_ready(gradients(filters, images))
            secs.append(time.monotonic() - start)
        print(f"JAX {jax.__version__}, {dtype.dtype.name}: {1 / min(secs):.2f} steps/s")


if __name__ == "__main__":
    main()
