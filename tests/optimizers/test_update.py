"""Large parameters are updated by a compiled kernel: the same function as the plain ops of small ones."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from reference import optimizers as reference
from reference.optimizers import CASES, Case

from tfcore import ops, optimizers
from tfcore.optimizers import Adam, MaxNorm, Optimizer, update

cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
SHAPE, STEPS = (331, 199), 6  # 65,869 numbers: just above the limit
GRADIENTS = reference.gradients(5, STEPS, [SHAPE])
START = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)


def trained(case: Case, *, plainly: bool, **chain: Any) -> Optimizer:
    """After a few updates in one trace."""
    optimizer = getattr(optimizers, case.method)({"w": tf.Variable(START)}, 0.01, **case.settings, **chain)
    apply = tf.function(lambda gradient: optimizer.apply([gradient]))
    for (gradient,) in GRADIENTS:
        if plainly:
            with ops.plain():
                apply(tf.constant(gradient))
        else:
            apply(tf.constant(gradient))
    return optimizer


def compiled_calls(optimizer: Optimizer) -> int:
    """How many kernels of XLA an update calls."""
    specs = [tf.TensorSpec(parameter.shape) for parameter in optimizer.parameters]
    definition = tf.function(optimizer.apply).get_concrete_function(specs).graph.as_graph_def()
    return sum(function.attr["_XlaMustCompile"].b for function in definition.library.function)


@pytest.mark.sampled(3)
@cases
@pytest.mark.parametrize("chain", [{}, {"constraints": {"w": MaxNorm(2.0)}, "average_decay": 0.5}], ids=str)
def test_the_kernel_does_what_the_plain_ops_do(case: Case, chain: dict[str, Any]) -> None:
    fast, plain = (trained(case, plainly=plainly, **chain) for plainly in (False, True))
    change = np.abs(plain.parameters[0].numpy() - START).max()
    np.testing.assert_allclose(fast.parameters[0], plain.parameters[0], atol=1e-4 * change, rtol=1e-6)
    for name, variable in plain.variables.items():
        np.testing.assert_allclose(
            fast.variables[name], variable, rtol=1e-5, atol=1e-5 * np.abs(variable).max() + 1e-30
        )


@cases
def test_the_kernel_against_float64(case: Case) -> None:
    fast = trained(case, plainly=False)
    path = reference.trajectory(lambda: case.reference(**case.settings), [START], GRADIENTS, [0.01] * STEPS)
    update_size = np.abs(np.diff(path, axis=0)).max()
    np.testing.assert_allclose(fast.parameters[0].numpy().ravel(), path[-1], atol=0.01 * update_size)


def test_only_large_parameters_take_the_kernel_and_only_in_a_graph() -> None:
    assert compiled_calls(Adam({"large": tf.Variable(START), "small": tf.Variable(START[:9])})) == 1
    with ops.plain():
        assert compiled_calls(Adam({"large": tf.Variable(START)})) == 0


def test_one_kernel_serves_all_runs_of_a_method() -> None:
    trained(CASES["adam"], plainly=False)
    before = update._kernel.cache_info().currsize
    first, second = (trained(CASES["adam"], plainly=False) for _ in range(2))
    assert update._kernel.cache_info().currsize == before
    np.testing.assert_array_equal(first.parameters[0], second.parameters[0])
    trained(CASES["adam"], plainly=False, constraints={"w": MaxNorm(1.5)})  # another function needs another kernel
    assert update._kernel.cache_info().currsize == before + 1
