"""What the machine is and can do."""

import math
import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from tfcore import machine
from tfcore.bench import machine_limits

PRODUCT, CONVOLUTION = 2 * 2048**3, 2 * 8 * 32 * 32 * 3 * 3 * 256 * 256


def test_the_processor_has_a_name() -> None:
    assert machine.processor().strip()


def test_the_peak_is_no_less_than_what_is_in_use() -> None:
    held = bytearray(b"x") * (64 << 20)
    status = pathlib.Path("/proc/self/status").read_text(encoding="utf-8")
    (resident,) = [int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS")]
    assert machine.peak_bytes() >= resident > len(held)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"sys/fs/cgroup/memory.max": "5000"}, None),
        ({"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:    7 kB\n"}, 7 * 1024),
        ({"proc/meminfo": "MemAvailable: 7 kB\n", "sys/fs/cgroup/memory.max": "5000\n"}, 5000),
        ({"proc/meminfo": "MemAvailable: 7 kB\n", "sys/fs/cgroup/memory.max": "max\n"}, 7 * 1024),
        ({"proc/meminfo": "MemAvailable: 7 kB\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "6000\n"}, 6000),
        ({"proc/meminfo": "MemTotal: 9 kB\n"}, None),
    ],
)
def test_what_is_available_is_no_more_than_a_containers_limit(
    tmp_path: pathlib.Path, files: dict[str, str], expected: int | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert machine.available_bytes(tmp_path) == expected


@pytest.mark.sampled(4)
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

    monkeypatch.setattr(machine_limits, "_best_secs", timed)
    assert machine_limits.peak_flops_per_sec(precision) == peak


def test_the_peak_is_measured() -> None:
    assert 0 < machine_limits.peak_flops_per_sec("float32") < math.inf


@pytest.mark.thorough
def test_the_bare_import_takes_as_long_as_it_takes() -> None:
    assert 0.1 < machine_limits.bare_import_secs() < 100
