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
    return _by_shape(function, plain=lambda bound: bound, shaped=kernel, needs_sizes=True)


def with_gradient(function: Callable[..., Any]) -> Callable[..., tf.Tensor]:
    """`tf.custom_gradient(function)`, traced once for each shape.

    TensorFlow never forgets a trace of `tf.custom_gradient`, nor the graph in which it was made. Here that is a small
    one; else it would be the training step, with the weights of every run of a process. Eager calls, which leave
    nothing, and those under `plain` are as TensorFlow has them.

    Args:
        function: pure; takes tensors, then numbers. Gives the result, and a function from the upstream gradient to the
            gradients of all tensors.
    """

    def trace(bound: Callable[..., Any], *specs: Any) -> Callable[..., tf.Tensor]:
        with tf.init_scope():
            return tf.function(tf.custom_gradient(bound), autograph=False).get_concrete_function(*specs)

    return _by_shape(function, plain=tf.custom_gradient, shaped=trace, needs_sizes=False)


def _by_shape(
    function: Callable[..., Any], *, plain: Callable[..., Any], shaped: Callable[..., Any], needs_sizes: bool
) -> Callable[..., tf.Tensor]:
    """`shaped(function, *specs)`, made once for each shape, where fast paths can be taken; else `plain(function)`.

    The `function` that those two are given takes the tensors only.
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
