"""The machine: its processor, its memory, and how much of it this process has taken."""

import os
import platform
import resource
import sys
from pathlib import Path


def processor() -> str:
    """The processor's name, as far as it is told."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def processors() -> int:
    """How many this process may use, which is how many threads TensorFlow takes by default."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> str:
    """Processor and count, and the versions that matter."""
    import tensorflow as tf

    return f"{os.cpu_count()} × {processor()}; TensorFlow {tf.__version__}, Python {platform.python_version()}"


def peak_bytes() -> int:
    """The largest resident size of this process so far."""
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage tells on Linux starts at the size of the process that started this one
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def available_bytes(root: Path = Path("/")) -> int | None:
    """Memory that can still be taken without swapping, no more than a container's limit; None where nobody tells.

    Args:
        root: where `proc` and `sys` are.
    """
    info = root / "proc" / "meminfo"
    lines = info.read_text(encoding="ascii", errors="replace").splitlines() if info.exists() else []
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # of control groups, versions 2 and 1
        limit = root / "sys" / "fs" / "cgroup" / name
        text = limit.read_text(encoding="ascii", errors="replace").strip() if found and limit.exists() else ""
        found += [int(text)] if text.isdigit() else []
    return min(found, default=None)
