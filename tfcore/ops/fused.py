"""Compiles chains of elementwise ops to one kernel each, and the switch that turns this off."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import tensorflow as tf

_enabled = ContextVar("_enabled", default=True)
_gradients = ContextVar("_gradients", default=True)


@contextmanager
def plain(*, gradients: bool = True) -> Iterator[None]:
    """Traces functions in their plain form inside the context, for exports and as the reference in tests.

    Args:
        gradients: False leaves out their own gradients, which TensorFlow would keep for the life of the process.
    """
    tokens = _enabled.set(False), _gradients.set(gradients)
    try:
        yield
    finally:
        _enabled.reset(tokens[0])
        _gradients.reset(tokens[1])


def enabled() -> bool:
    """Tells whether a graph traced now uses the fast paths."""
    return _enabled.get() and not tf.executing_eagerly()


def kernel(function: Callable[..., Any], *specs: Any) -> Callable[..., Any]:
    """Compiles `function` with XLA for arguments of these specs; the result outlives the graph being traced."""
    with tf.init_scope():
        return tf.function(function, jit_compile=True, autograph=False).get_concrete_function(*specs)


def fused(function: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    """Compiles `function` with XLA inside the graph that is being traced.

    XLA computes a chain of elementwise ops in one pass. Unfused, each op writes its result to memory, and one bfloat16
    op of TensorFlow costs as much as the whole chain. Kernels are compiled per shape and kept for the life of the
    process, so a call stays plain where it is eager, where a dimension is unknown, and under `plain`.

    Args:
        function: pure; takes tensors, then numbers that are constants to the compiler. The caller defines the gradient.
    """
    return _by_shape(function, plain=lambda bound: bound, shaped=kernel, needs_sizes=True)


def with_gradient(function: Callable[..., Any]) -> Callable[..., tf.Tensor]:
    """Applies `tf.custom_gradient` to `function`, traced once for each shape.

    TensorFlow never frees a trace of `tf.custom_gradient`, nor the graph it was traced in. A small graph of its own is
    used here; otherwise the training step would stay in memory, with the weights of every run of the process. Eager
    calls, which leave nothing in memory, and calls under `plain` use `tf.custom_gradient` directly.

    Args:
        function: pure; takes tensors, then numbers. Returns the result, and a function from the upstream gradient to
            the gradients of all tensors.
    """

    def trace(bound: Callable[..., Any], *specs: Any) -> Callable[..., tf.Tensor]:
        with tf.init_scope():
            return tf.function(tf.custom_gradient(bound), autograph=False).get_concrete_function(*specs)

    def untraced(bound: Callable[..., Any]) -> Callable[..., tf.Tensor]:
        return tf.custom_gradient(bound) if _gradients.get() else lambda *tensors: bound(*tensors)[0]

    return _by_shape(function, plain=untraced, shaped=trace, needs_sizes=False)


def _by_shape(
    function: Callable[..., Any], *, plain: Callable[..., Any], shaped: Callable[..., Any], needs_sizes: bool
) -> Callable[..., tf.Tensor]:
    """Calls `shaped(function, *specs)`, made once for each shape, where fast paths apply; else `plain(function)`.

    Both receive a `function` of the tensors only, with the constants bound.
    """

    def bound(constants: tuple[Any, ...]) -> Callable[..., Any]:
        return lambda *tensors: function(*tensors, *constants)

    @functools.cache
    def made(specs: tuple[tf.TensorSpec, ...], constants: tuple[Any, ...]) -> Callable[..., tf.Tensor]:
        return shaped(bound(constants), *specs)

    @functools.wraps(function)
    def call(*args: Any) -> tf.Tensor:
        tensors = [arg for arg in args if tf.is_tensor(arg)]
        constants = args[len(tensors) :]
        is_known = all(tensor.shape.is_fully_defined() for tensor in tensors)
        if not enabled() or (needs_sizes and not is_known):
            return plain(bound(constants))(*tensors)
        specs = tuple(tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in tensors)
        return made(specs, constants)(*tensors)

    return call
