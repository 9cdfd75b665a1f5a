"""Reference values for a run: the import time of TensorFlow, and the machine's peak FLOP/s."""

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from tfcore.errors import RunError

_SIZE = 2048  # of the square matrices
_IMAGES, _SIDE, _CHANNELS, _FILTER = 8, 32, 256, 3  # of the convolution
_REPEAT_SECS = 0.1


def bare_import_secs() -> float:
    """Measures `import tensorflow` in a separate process, with its files in the page cache.

    Raises:
        RunError: the import fails.
    """
    code = "import time; start = time.monotonic(); import tensorflow; print(time.monotonic() - start)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["nothing"]
        raise RunError(f"`import tensorflow` failed in a separate process: {reason[0]}")
    return float(done.stdout)


def peak_flops_per_sec(precision: str) -> float:
    """Measures the peak floating-point operations per second of TensorFlow here, with its configured threads.

    It is the maximum of two rates, each the best of several repeats after a warm-up:

        product       2 · 2048³ operations, of square matrices
        convolution   2 · 8 · 32² · 3² · 256² operations, of 3 × 3 filters; uses matrix units better than the product

    Args:
        precision: float32 or bfloat16.
    """
    import tensorflow as tf

    dtype = tf.as_dtype(precision)
    matrix, images, filters = (
        tf.cast(tf.random.stateless_normal(shape, seed=(0, 0)), dtype)
        for shape in ([_SIZE] * 2, [_IMAGES, _SIDE, _SIDE, _CHANNELS], [_FILTER, _FILTER, _CHANNELS, _CHANNELS])
    )
    product = 2 * _SIZE**3 / _best_secs(lambda: tf.matmul(matrix, matrix)[0, 0])
    terms = _IMAGES * _SIDE**2 * _FILTER**2 * _CHANNELS**2
    convolution = 2 * terms / _best_secs(lambda: tf.nn.conv2d(images, filters, 1, "SAME")[0, 0, 0, 0])
    return max(product, convolution)


def _best_secs(work: Callable[[], Any]) -> float:
    """Returns the shortest time of at least two calls after a warm-up; fetching the number waits for the result."""
    secs: list[float] = []
    while len(secs) < 3 or sum(secs[1:]) < _REPEAT_SECS:
        start = time.monotonic()
        work().numpy()
        secs.append(time.monotonic() - start)
    return min(secs[1:])
