"""Chains of elementwise ops as one kernel each, and the switch that turns that off."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import tensorflow as tf

_enabled = ContextVar("_enabled", default=True)


@contextmanager
def plain() -> Iterator[None]:
    """While it lasts, what is traced is traced in its plain form: as exports are, and the references of the tests."""
    token = _enabled.set(False)
    try:
        yield
    finally:
        _enabled.reset(token)


def enabled() -> bool:
    """Whether graphs that are traced now take the fast paths."""
    return _enabled.get() and not tf.executing_eagerly()


def kernel(function: Callable[..., Any], *specs: Any) -> Callable[..., Any]:
    """`function` compiled by XLA for arguments of these specs; it outlives the graph that asks for it."""
    with tf.init_scope():
        return tf.function(function, jit_compile=True, autograph=False).get_concrete_function(*specs)


def fused(function: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    """`function`, compiled by XLA inside the graph that is being traced.

    XLA makes one pass of a chain of elementwise ops. Unfused, each op writes its result to memory, and TensorFlow's
    bfloat16 ones cost as much as a whole chain. Kernels are compiled by shape and kept as long as the process, so a
    call is left plain where it is eager, where a size is unknown, and under `plain`.

    Args:
        function: pure; takes tensors, then numbers that are constants to the compiler. A caller gives the gradient.
    """

    @functools.cache
    def compiled(specs: tuple[tf.TensorSpec, ...], constants: tuple[Any, ...]) -> Callable[..., tf.Tensor]:
        return kernel(lambda *tensors: function(*tensors, *constants), *specs)

    @functools.wraps(function)
    def call(*args: Any) -> tf.Tensor:
        tensors = [arg for arg in args if tf.is_tensor(arg)]
        if not enabled() or not all(tensor.shape.is_fully_defined() for tensor in tensors):
            return function(*args)
        specs = tuple(tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in tensors)
        return compiled(specs, args[len(tensors) :])(*tensors)

    return call
