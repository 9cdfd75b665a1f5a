"""Trains softmax regression or the multi-layer perceptron in JAX, and prints one line of JSON.

    python -m benchmarks.peers.jax_run softmax          one jitted call a step
    python -m benchmarks.peers.jax_run softmax --scan   one jitted call an epoch, a scan over its batches

The pictures stay on the device as uint8, and batches are gathered there. For the convolutional networks see
jax_convolutions.py.
"""

import itertools
import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peers import measuring
from benchmarks.peers.measuring import Stopwatch, peak_bytes

BATCH_SIZE = 100
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-7
SIZES = {"softmax": ("cifar10", (3072, 10)), "mlp": ("mnist", (784, 50, 50, 10))}
Tree = Any


class State(NamedTuple):
    """The state that a step updates; the sums are over the examples of the epoch."""

    params: Tree
    moments: tuple[Tree, Tree]
    step: jax.Array
    loss_sum: jax.Array
    hits: jax.Array


def initial(case: str, key: jax.Array) -> State:
    """The initial state: Glorot uniform weights, zeros in softmax regression; zero biases."""
    _, sizes = SIZES[case]
    params = []
    for inputs, outputs in itertools.pairwise(sizes):
        limit = 0.0 if case == "softmax" else math.sqrt(6 / (inputs + outputs))
        key, layer_key = jax.random.split(key)
        weights = jax.random.uniform(layer_key, (inputs, outputs), minval=-limit, maxval=limit)
        params.append((weights, jnp.zeros(outputs)))
    moments = tuple(jax.tree.map(jnp.zeros_like, params) for _ in range(2 if case == "mlp" else 0))
    return State(params, moments, jnp.zeros((), jnp.int32), jnp.zeros(()), jnp.zeros((), jnp.int32))


def scores(params: Tree, images: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Computes the mean loss and the number of correct predictions."""
    x = images.astype(jnp.float32) * (1 / 255)
    *hidden, (weights, biases) = params
    for hidden_weights, hidden_biases in hidden:
        x = jax.nn.relu(x @ hidden_weights + hidden_biases)
    logits = x @ weights + biases
    losses = -(jax.nn.log_softmax(logits) * jax.nn.one_hot(labels, logits.shape[1])).sum(1)
    return losses.mean(), (logits.argmax(1) == labels).sum()


def descend(params: Tree, gradients: Tree) -> Tree:
    """Applies gradient descent with a learning rate of 0.005."""
    return jax.tree.map(lambda p, g: p - 0.005 * g, params, gradients)


def adam(params: Tree, gradients: Tree, moments: tuple[Tree, Tree], step: jax.Array) -> tuple[Tree, tuple[Tree, Tree]]:
    """Applies Adam with a learning rate of 0.001; `step` counts from 1."""
    m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, moments[0], gradients)
    v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, moments[1], gradients)
    correct1, correct2 = 1 - BETA1**step, 1 - BETA2**step
    change = partial(jax.tree.map, lambda p, m, v: p - 0.001 * (m / correct1) / (jnp.sqrt(v / correct2) + EPSILON))
    return change(params, m, v), (m, v)


def update(state: State, images: jax.Array, labels: jax.Array, rows: jax.Array) -> State:
    """Makes one step on the examples at `rows`."""
    (loss, hits), gradients = jax.value_and_grad(scores, has_aux=True)(state.params, images[rows], labels[rows])
    step = state.step + 1
    if state.moments:
        params, moments = adam(state.params, gradients, state.moments, step)
    else:
        params, moments = descend(state.params, gradients), ()
    return State(params, moments, step, state.loss_sum + loss * len(rows), state.hits + hits)


one_step = jax.jit(update, donate_argnums=0)


@partial(jax.jit, donate_argnums=0)
def one_epoch(state: State, images: jax.Array, labels: jax.Array, rows: jax.Array) -> State:
    """Makes all steps of an epoch in one call, on the batches at `rows` [steps, B]."""
    return jax.lax.scan(lambda state, rows: (update(state, images, labels, rows), None), state, rows)[0]


def stepwise_epoch(state: State, images: jax.Array, labels: jax.Array, rows: np.ndarray) -> State:
    """Makes all steps of an epoch, one call for each."""
    for batch in rows:
        state = one_step(state, images, labels, batch)
    return state


def main() -> None:
    """Trains until the time is over."""
    bare_bytes = peak_bytes()
    parser = measuring.parser(__doc__, SIZES)
    parser.add_argument("--scan", action="store_true", help="an epoch in one call")
    arguments = parser.parse_args()
    pictures = measuring.pictures(SIZES[arguments.case][0], arguments.examples)
    images, labels = jnp.asarray(pictures[0].reshape(len(pictures[0]), -1)), jnp.asarray(pictures[1])
    run_epoch, generator = one_epoch if arguments.scan else stepwise_epoch, np.random.default_rng(0)
    state, watch, losses = initial(arguments.case, jax.random.key(0)), Stopwatch(arguments.secs), []
    while True:
        rows = generator.permutation(len(images)).astype(np.int32).reshape(-1, BATCH_SIZE)
        state = state._replace(loss_sum=jnp.zeros(()), hits=jnp.zeros((), jnp.int32))
        state = run_epoch(state, images, labels, rows)
        losses.append(float(state.loss_sum) / len(images))
        if watch.is_over():
            break
    setting = {"precision": "float32", "version": f"JAX {jax.__version__}"}
    measuring.report("steps_per_sec", len(images) // BATCH_SIZE, watch, bare_bytes, losses=losses, **setting)


if __name__ == "__main__":
    main()
