"""Facts about the machine: processor, memory, and this process's peak memory."""

import os
import platform
import resource
import sys
from pathlib import Path


def processor() -> str:
    """Returns the processor's model name, or its architecture if the name is unknown."""
    return _cpuinfo("model name") or platform.machine()


def processor_flags() -> frozenset[str]:
    """Returns the processor's instruction sets by Linux' names, such as avx2 and amx_bf16; empty if unknown."""
    return frozenset(_cpuinfo("flags").split())


def _cpuinfo(field: str) -> str:
    """Returns the first value of a field of Linux' /proc/cpuinfo; "" if there is none."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")


def has_gpu() -> bool:
    """Tells whether this process can see an NVIDIA GPU; does not load TensorFlow."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return not hidden and Path("/dev/nvidia0").exists()


def processors() -> int:
    """Returns the number of processors available to this process, TensorFlow's default number of threads."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> str:
    """Returns processor, count, and the versions of TensorFlow and Python on one line."""
    import tensorflow as tf

    return f"{os.cpu_count()} × {processor()}; TensorFlow {tf.__version__}, Python {platform.python_version()}"


def peak_bytes() -> int:
    """Returns the peak resident memory of this process."""
    status = Path("/proc/self/status")
    if status.exists():  # on Linux, getrusage's value starts at the size of the parent process
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def available_bytes(root: Path = Path("/")) -> int | None:
    """Returns the memory available without swapping, at most a container's limit; None if unknown.

    Args:
        root: folder that contains `proc` and `sys`.
    """
    info = root / "proc" / "meminfo"
    lines = info.read_text(encoding="ascii", errors="replace").splitlines() if info.exists() else []
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # of control groups, versions 2 and 1
        limit = root / "sys" / "fs" / "cgroup" / name
        text = limit.read_text(encoding="ascii", errors="replace").strip() if found and limit.exists() else ""
        found += [int(text)] if text.isdigit() else []
    return min(found, default=None)
