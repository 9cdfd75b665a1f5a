"""Compiled chains inside graphs: when they are compiled, how often, and that their results are the plain ones."""

import gc
import itertools
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from reference.graphs import kernels, operations

from tfcore import ops

ROWS = tf.TensorSpec([4, 3])
WORDS = tf.TensorSpec([4, 2], tf.uint32)
FAST_PATHS: dict[str, Callable[..., tf.Tensor]] = {
    "dropout": lambda x, words: ops.dropout(x, words, 0.5),
    "relu_dropout": lambda x, words: ops.relu_dropout(x, words, 0.5),
    "gelu": lambda x, _: ops.gelu(x),
    "silu": lambda x, _: ops.silu(x),
}
each_fast_path = pytest.mark.parametrize("fast_path", FAST_PATHS.values(), ids=FAST_PATHS)


class Counted:
    """A fused function, and the shapes that its body was run with: for each kernel once, for each plain call once."""

    def __init__(self) -> None:
        self.runs: list[tf.TensorShape] = []
        self.call = ops.fused(self._body)

    def _body(self, x: tf.Tensor, factor: float) -> tf.Tensor:
        self.runs.append(x.shape)
        return tf.tanh(x) * factor + 1

    def traced(self, *specs: tf.TensorSpec, factor: float = 2.0) -> Any:
        return tf.function(lambda x: self.call(x, factor)).get_concrete_function(*specs)


def gradient_of(fast_path: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    def run(x: tf.Tensor, words: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(fast_path(x, words))
        return tape.gradient(y, x)

    return run


def close(result: tf.Tensor, expected: Any) -> None:
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-6)


def arguments() -> Sequence[tf.Tensor]:
    rng = np.random.default_rng(0)
    return tf.constant(rng.normal(size=(4, 3)), tf.float32), tf.constant(rng.integers(0, 2**32, (4, 2), np.uint32))


def test_a_graph_holds_one_call_that_must_be_compiled_and_nothing_of_the_chain() -> None:
    traced = Counted().traced(ROWS)
    (kernel,) = kernels(traced)
    assert {"Tanh", "Mul", "AddV2"} <= {node.op for node in kernel.node_def}
    assert not operations(traced) & {"Tanh", "Mul", "AddV2"}
    x, _ = arguments()
    close(traced(x), np.tanh(x) * 2 + 1)


@each_fast_path
@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16], ids=lambda dtype: dtype.name)
def test_every_fast_path_is_one_kernel_forward_and_one_backward_and_keeps_no_intermediates(
    fast_path: Callable[..., tf.Tensor], dtype: tf.DType
) -> None:
    # A path that goes plain by mistake, or that has TensorFlow work out its gradient, would show here.
    traced = tf.function(gradient_of(fast_path)).get_concrete_function(tf.TensorSpec([4, 3], dtype), WORDS)
    assert [len(kernel.signature.output_arg) for kernel in kernels(traced)] == [1, 1]
    elementwise = {"Mul", "Tanh", "Erf", "Erfc", "Exp", "Sigmoid", "Relu", "Relu6", "Cast", "Select", "SelectV2"}
    assert not operations(traced) & (elementwise | {"BitwiseXor", "RightShift", "ReluGrad", "SigmoidGrad"})


@each_fast_path
def test_every_fast_path_is_plain_where_the_batch_size_is_unknown_and_under_plain(
    fast_path: Callable[..., tf.Tensor],
) -> None:
    run = gradient_of(fast_path)
    unknown = tf.TensorSpec([None, 3]), tf.TensorSpec([None, 2], tf.uint32)
    traces = [tf.function(run).get_concrete_function(*unknown)]
    with ops.plain():
        traces.append(tf.function(run).get_concrete_function(ROWS, WORDS))
    for traced in traces:
        assert kernels(traced) == []
        close(traced(*arguments()), run(*arguments()))


@pytest.mark.parametrize("shape", [None, [None, 3], [4, None]], ids=str)
def test_an_unknown_size_leaves_it_plain(shape: list[int | None] | None) -> None:
    traced = Counted().traced(tf.TensorSpec(shape))
    assert kernels(traced) == []
    assert "Tanh" in operations(traced)


def test_one_unknown_size_among_the_tensors_leaves_all_plain() -> None:
    added = ops.fused(lambda x, y: x + y)
    assert kernels(tf.function(added).get_concrete_function(ROWS, tf.TensorSpec([4, None]))) == []
    assert len(kernels(tf.function(added).get_concrete_function(ROWS, ROWS))) == 1


def test_it_is_compiled_once_for_each_shape_dtype_and_constant() -> None:
    counted = Counted()
    for _ in range(3):
        names = {kernels(counted.traced(ROWS))[0].signature.name for _ in range(3)}
        assert len(names) == 1
    assert counted.runs == [(4, 3)]
    counted.traced(tf.TensorSpec([5, 3]))
    assert counted.runs == [(4, 3), (5, 3)]
    counted.traced(tf.TensorSpec([4, 3], tf.bfloat16))
    assert len(counted.runs) == 3
    x, _ = arguments()
    close(counted.traced(ROWS, factor=7.0)(x), np.tanh(x) * 7 + 1)
    assert len(counted.runs) == 4


def test_several_calls_in_one_graph_share_a_kernel() -> None:
    counted = Counted()
    traced = tf.function(lambda x: counted.call(counted.call(x, 2.0), 2.0)).get_concrete_function(ROWS)
    assert len(kernels(traced)) == 2
    assert len({kernel.signature.name for kernel in kernels(traced)}) == len(counted.runs) == 1


def test_functions_do_not_share_kernels() -> None:
    doubled, squared = ops.fused(lambda x: x * 2), ops.fused(lambda x: x * x)
    result = tf.function(lambda x: (doubled(x), squared(x)))(tf.constant([3.0, 5.0]))
    np.testing.assert_array_equal(result, [[6, 10], [9, 25]])


def test_an_eager_call_is_plain_and_leaves_no_kernel() -> None:
    counted = Counted()
    x, _ = arguments()
    for _ in range(2):
        close(counted.call(x, 2.0), np.tanh(x) * 2 + 1)
    assert len(counted.runs) == 2
    counted.traced(ROWS)
    assert len(counted.runs) == 3


def test_many_shapes_are_compiled_without_warnings_of_retracing() -> None:
    messages = []
    handler = logging.Handler()
    handler.emit = messages.append
    logger = tf.get_logger()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)  # which the commands raise in their process
    try:
        logger.warning("this is heard")
        for size in range(1, 25):
            tf.function(ops.gelu).get_concrete_function(tf.TensorSpec([size, 5]))
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
    assert [message.getMessage() for message in messages] == ["this is heard"]


def test_a_kernel_outlives_the_graph_that_it_was_compiled_for() -> None:
    counted = Counted()
    counted.traced(ROWS)
    gc.collect()
    x, _ = arguments()
    close(counted.traced(ROWS)(x), np.tanh(x) * 2 + 1)
    assert len(counted.runs) == 1


def test_it_works_in_loops_branches_and_functions_that_are_compiled_as_a_whole() -> None:
    counted = Counted()
    x, _ = arguments()

    def looped(x: tf.Tensor) -> tf.Tensor:
        return tf.while_loop(lambda i, _: i < 3, lambda i, x: (i + 1, counted.call(x, 2.0)), [0, x])[1]

    def branched(x: tf.Tensor) -> tf.Tensor:
        return tf.cond(x[0, 0] < 1e9, lambda: counted.call(x, 2.0), lambda: x)

    once = np.tanh(x) * 2 + 1
    thrice = np.tanh(np.tanh(once) * 2 + 1) * 2 + 1
    close(tf.function(looped)(x), thrice)
    close(tf.function(branched)(x), once)
    whole = tf.function(lambda x: counted.call(x, 2.0), jit_compile=True)
    close(whole(x), once)
    assert len(counted.runs) == 1


@each_fast_path
def test_gradients_inside_a_loop_are_those_outside(fast_path: Callable[..., tf.Tensor]) -> None:
    run = gradient_of(fast_path)

    def steps(x: tf.Tensor, words: tf.Tensor) -> tf.Tensor:
        body = lambda i, x: (i + 1, x - 0.1 * run(x, words))  # noqa: E731
        return tf.while_loop(lambda i, _: i < 3, body, [0, x])[1]

    x, words = arguments()
    result = tf.function(steps)(x, words)
    for _ in range(3):
        x = x - 0.1 * run(x, words)
    close(result, x)


def test_graphs_traced_by_several_threads_are_right() -> None:
    counted, results = Counted(), {}

    def trace(number: int) -> None:
        x = tf.fill([number % 3 + 1, 2], float(number))
        results[number] = tf.function(lambda x: counted.call(x, 2.0))(x).numpy()

    threads = [threading.Thread(target=trace, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(6):
        close(results[number], np.full([number % 3 + 1, 2], np.tanh(number) * 2 + 1))


def enabled_in_a_graph() -> bool:
    found = []
    tf.function(lambda: found.append(ops.enabled())).get_concrete_function()
    return found[0]


def test_it_is_enabled_in_graphs_only() -> None:
    assert not ops.enabled()
    assert enabled_in_a_graph()


def test_plain_nests() -> None:
    with ops.plain():
        assert not enabled_in_a_graph()
        with ops.plain():
            assert not enabled_in_a_graph()
        assert not enabled_in_a_graph()
    assert enabled_in_a_graph()


def test_plain_ends_with_an_exception() -> None:
    for _ in range(2):
        with pytest.raises(KeyError), ops.plain():
            raise KeyError
        assert enabled_in_a_graph()


def test_plain_is_for_the_thread_that_asks_for_it() -> None:
    found = []
    with ops.plain():
        thread = threading.Thread(target=lambda: found.append(enabled_in_a_graph()))
        thread.start()
        thread.join()
    assert found == [True]


def test_a_graph_keeps_the_form_that_it_was_traced_in() -> None:
    fast = tf.function(ops.gelu)
    x = tf.constant([1.0, 2.0])
    fast(x)
    with ops.plain():
        fast(x)
        assert len(kernels(fast.get_concrete_function(x))) == 1
        slow = tf.function(ops.gelu)
        slow(x)
    assert kernels(slow.get_concrete_function(x)) == []


def test_it_keeps_the_name_and_the_docstring() -> None:
    def chain(x: tf.Tensor) -> tf.Tensor:
        """What it does."""
        return x

    assert (ops.fused(chain).__name__, ops.fused(chain).__doc__) == ("chain", "What it does.")


def test_kernels_of_one_shape_differ_by_every_constant() -> None:
    weighed = ops.fused(lambda x, y, first, second: x * first + y * second)
    x, y = tf.constant([1.0]), tf.constant([10.0])
    for first, second in itertools.product((1.0, 2.0), repeat=2):
        result = tf.function(lambda x, y, a=first, b=second: weighed(x, y, a, b))(x, y)
        np.testing.assert_array_equal(result, [first + 10 * second])
