"""What the machine is and can do."""

import math
import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from tfcore.commands import machine

PRODUCT, CONVOLUTION = 2 * 2048**3, 2 * 8 * 32 * 32 * 3 * 3 * 256 * 256


def test_the_processor_has_a_name() -> None:
    assert machine.processor().strip()


def test_the_peak_is_no_less_than_what_is_in_use() -> None:
    held = bytearray(b"x") * (64 << 20)
    status = pathlib.Path("/proc/self/status").read_text(encoding="utf-8")
    (resident,) = [int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS")]
    assert machine.peak_bytes() >= resident > len(held)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("secs", "peak"), [((1.0, 1.0), PRODUCT), ((4.0, 1.0), CONVOLUTION), ((2.0, 9.0), PRODUCT / 2)]
)
def test_the_peak_is_the_better_of_product_and_convolution(
    monkeypatch: pytest.MonkeyPatch, precision: str, secs: tuple[float, float], peak: float
) -> None:
    taken = iter(secs)

    def timed(work: Callable[[], Any]) -> float:
        result = work()
        assert (result.shape, result.dtype.name) == ((), precision)
        return next(taken)

    monkeypatch.setattr(machine, "_best_secs", timed)
    assert machine.peak_flops_per_sec(precision) == peak


def test_the_peak_is_measured() -> None:
    assert 0 < machine.peak_flops_per_sec("float32") < math.inf


def test_the_bare_import_takes_as_long_as_it_takes() -> None:
    assert 0.1 < machine.bare_import_secs() < 100
